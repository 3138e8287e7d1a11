"""Parcels on the page (快件): the last status of each, and the last twenty of an account by their last scan.

As in the tickets service, scans are ordered by instant and then by the place of their status in the contract's list; a status
that is not in the list decides nothing.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch, touch_parcels
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.shipments import STEP, ShipmentStatusChanged

_NOTE = """
INSERT INTO overview_parcels AS p
    (waybill_no, status, occurred_at, step, account_no, account_said_at, account_step, as_of)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::smallint[], $5::text[], $6::timestamptz[], $7::smallint[],
                     $8::timestamptz[]) AS i (waybill_no)
ORDER BY i.waybill_no COLLATE "C"
ON CONFLICT (waybill_no) DO UPDATE
SET (status, occurred_at, step) = (
        SELECT CASE WHEN later THEN EXCLUDED.status ELSE p.status END,
               CASE WHEN later THEN EXCLUDED.occurred_at ELSE p.occurred_at END,
               CASE WHEN later THEN EXCLUDED.step ELSE p.step END
        FROM (SELECT (EXCLUDED.occurred_at, EXCLUDED.step) > (p.occurred_at, p.step) AS later) AS c),
    (account_no, account_said_at, account_step) = (
        SELECT CASE WHEN later THEN EXCLUDED.account_no ELSE p.account_no END,
               CASE WHEN later THEN EXCLUDED.account_said_at ELSE p.account_said_at END,
               CASE WHEN later THEN EXCLUDED.account_step ELSE p.account_step END
        FROM (SELECT EXCLUDED.account_no IS NOT NULL AND (p.account_no IS NULL OR
                  (EXCLUDED.account_said_at, EXCLUDED.account_step, EXCLUDED.account_no)
                  > (p.account_said_at, p.account_step, p.account_no)) AS later) AS c),
    as_of = greatest(p.as_of, EXCLUDED.as_of)
RETURNING old.account_no AS was_of, p.waybill_no, p.account_no"""

_Scan = tuple[datetime, int, str]
_Naming = tuple[datetime, int, str]


async def note_scans(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
    """Keep where each parcel stands and whose it is. Order and repeats of scans do not matter."""
    scans: dict[str, _Scan] = {}
    namings: dict[str, _Naming] = {}
    as_of: dict[str, datetime] = {}
    for delivery in deliveries:
        event = delivery.event
        step = STEP.get(event.status)
        if step is None:
            continue
        waybill_no, scan = event.waybill_no, (event.occurred_at, step, event.status)
        scans[waybill_no] = max(scans.get(waybill_no, scan), scan)
        as_of[waybill_no] = max(as_of.get(waybill_no, delivery.time), delivery.time)
        if event.account_no is not None:
            naming = event.occurred_at, step, event.account_no
            namings[waybill_no] = max(namings.get(waybill_no, naming), naming)
    waybills = sorted(scans)
    if not waybills:
        return
    said = [namings.get(waybill_no, (None, None, None)) for waybill_no in waybills]
    rows = await (await driver(session)).fetch(
        _NOTE,
        waybills,
        [scans[waybill_no][2] for waybill_no in waybills],
        [scans[waybill_no][0] for waybill_no in waybills],
        [scans[waybill_no][1] for waybill_no in waybills],
        [account_no for _, _, account_no in said],
        [at for at, _, _ in said],
        [step for _, step, _ in said],
        [as_of[waybill_no] for waybill_no in waybills],
    )
    touch(session, "parcels", {was_of for was_of, _, account_no in rows if was_of is not None and was_of != account_no})
    touch_parcels(session, ((waybill_no, account_no) for _, waybill_no, account_no in rows if account_no is not None))
