"""Keyset paging: a list goes on after the last key it gave, so that a thousandth page costs what the first one does.

A route declares `page: Page`, its room fetches `page.limit + 1` rows after `page.after` in the order of the key columns, and
`paged(rows, page, key)` makes the answer. Cursors are signed and belong to one operation: a forged or foreign one is 422.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request

from shared.problems import Invalid

R = TypeVar("R")
MAX_LIMIT = 200
SIGNATURE_BYTES = 12
_READERS: dict[str, Callable[[str], Any]] = {"i": datetime.fromisoformat, "d": date.fromisoformat, "u": UUID}


@dataclass(frozen=True)
class PageRequest:
    """What part of a list is wanted: at most `limit` items, after the key `after` (None: from the start)."""

    limit: int = 50
    after: tuple[Any, ...] | None = None
    seal: bytes = b""
    """Key that signs the cursors of this operation."""


def paged(rows: Sequence[R], page: PageRequest, key: Callable[[R], tuple[Any, ...]]) -> dict[str, Any]:
    """Make a list's answer of up to `limit + 1` rows: `{"items": [...], "next_cursor": text or None}`.

    `key` gives a row's values of the columns that the list is ordered by (text, int, date, datetime, UUID, None).
    """
    items = list(rows[: page.limit])
    more = len(rows) > page.limit
    return {
        "items": [dict(row._mapping) if hasattr(row, "_mapping") else row for row in items],
        "next_cursor": encode_cursor(key(items[-1]), page.seal) if more else None,
    }


def encode_cursor(key: tuple[Any, ...], seal: bytes) -> str:
    """Render a key as an opaque, signed text."""
    content = json.dumps([_tagged(value) for value in key], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_signature(content, seal) + content).rstrip(b"=").decode()


def decode_cursor(cursor: str, seal: bytes) -> tuple[Any, ...]:
    """Read a cursor back. Raises Invalid where it was not made by this operation."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (ValueError, binascii.Error):
        raw = b""
    signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(content, seal)):
        raise Invalid("The cursor is not one that this list gave: begin without one.", "bad-cursor")
    return tuple(_untagged(value) for value in json.loads(content))


def _signature(content: bytes, seal: bytes) -> bytes:
    return hmac.digest(seal, content, hashlib.sha256)[:SIGNATURE_BYTES]


def _tagged(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"i": value.isoformat()}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    return {"u": str(value)} if isinstance(value, UUID) else value


def _untagged(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    return _READERS[tag](content)


async def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items per page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the page before.")] = None,
) -> PageRequest:
    operation: str = request.scope["route"].name
    seal = hmac.digest(request.app.state.cursor_key, operation.encode(), hashlib.sha256)
    return PageRequest(limit, decode_cursor(cursor, seal) if cursor else None, seal)


Page = Annotated[PageRequest, Depends(_page)]
"""The parameter that a list's route declares; elsewhere it is a PageRequest."""
