"""The latest parcels of a page (最近快件): the section as text, and how a scan changes it.

Scans only ever move a parcel's place forward, so the latest of an account are among those that were and those just scanned:
nothing else has to be read. Where a parcel leaves an account, one that was not shown comes up; then all is rendered anew.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from shared.schemas import instant_text

SHOWN = 20


class ParcelLine(NamedTuple):
    """A parcel as its last scan left it; `as_of` is the latest publication that named it."""

    waybill_no: str
    account_no: str
    status: str
    occurred_at: datetime
    as_of: datetime


def with_lines(body: str | None, lines: Sequence[ParcelLine]) -> str:
    """Return the section with these lines in it, the latest scan first; `body` is the section as it was, None without parcels.

    Its `as_of` is the latest publication that named any parcel of the account. Instants are compared as text: all are in the
    time of Shanghai, with six digits after the second or none.
    """
    section: dict[str, Any] = {"as_of": "", "items": []} if body is None else orjson.loads(body)
    items = {item["waybill_no"]: item for item in section["items"]}
    for line in lines:
        items[line.waybill_no] = {
            "waybill_no": line.waybill_no,
            "account_no": line.account_no,
            "status": line.status,
            "occurred_at": instant_text(line.occurred_at),
        }
    as_of = max(section["as_of"], instant_text(max(line.as_of for line in lines)))
    by_waybill = sorted(items.values(), key=lambda item: item["waybill_no"])
    latest = sorted(by_waybill, key=lambda item: item["occurred_at"], reverse=True)[:SHOWN]
    return orjson.dumps({"as_of": as_of, "items": latest}).decode()
