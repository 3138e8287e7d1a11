"""Provisional accounts (临时账户): an account that a parcel or charge names before anybody opened it.

It keeps the least business date seen and the branch of its earliest parcel that names one (by instant, then waybill number),
until a real opening replaces both. Least and earliest are decided in the database, so the order of arrival does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.memberships import Membership, write_memberships
from services.customer.models import SettlementAccount
from services.customer.states import announce
from shared.clock import business_date
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.freight import FreightCharged
from shared.events.shipments import ShipmentStatusChanged

ACTOR = "events"
"""Who is recorded for what nobody entered."""

_Parcel = tuple[datetime, str, str]


@dataclass(slots=True)
class Sight:
    """What events say of an account: the least business date, and the earliest parcel (instant, waybill_no, branch)."""

    seen_on: date
    parcel: _Parcel | None = None

    def add(self, seen_on: date, parcel: _Parcel | None = None) -> None:
        """Add what one more event says."""
        self.seen_on = min(self.seen_on, seen_on)
        if parcel is not None:
            self.parcel = min(self.parcel or parcel, parcel)


_KNOWN = """
SELECT s.account_no FROM settlement_accounts s JOIN unnest($1::text[]) AS k (account_no) ON s.account_no = k.account_no
WHERE NOT s.provisional"""

_LEARN = """
INSERT INTO settlement_accounts AS s
    (account_no, status, provisional, opened_on, first_parcel_at, first_waybill_no, first_branch_code, version, recorded_by)
SELECT i.account_no, 'open', true, i.seen_on, i.at, i.waybill_no, i.branch_code, 1, $6
FROM unnest($1::text[], $2::date[], $3::timestamptz[], $4::text[], $5::text[])
    AS i (account_no, seen_on, at, waybill_no, branch_code)
ORDER BY i.account_no COLLATE "C"
ON CONFLICT (account_no) DO UPDATE
SET opened_on = least(s.opened_on, EXCLUDED.opened_on),
    (first_parcel_at, first_waybill_no, first_branch_code) = (
        SELECT f.at, f.waybill_no, f.branch_code
        FROM (VALUES (s.first_parcel_at, s.first_waybill_no, s.first_branch_code),
                     (EXCLUDED.first_parcel_at, EXCLUDED.first_waybill_no, EXCLUDED.first_branch_code))
            AS f (at, waybill_no, branch_code)
        ORDER BY f.at, f.waybill_no, f.branch_code LIMIT 1),
    version = s.version + CASE WHEN s.opened_on > EXCLUDED.opened_on OR s.first_branch_code IS NULL OR
        ((s.first_parcel_at, s.first_waybill_no, s.first_branch_code)
         > (EXCLUDED.first_parcel_at, EXCLUDED.first_waybill_no, EXCLUDED.first_branch_code)
         AND s.first_branch_code <> EXCLUDED.first_branch_code) THEN 1 ELSE 0 END
WHERE s.provisional AND (
    s.opened_on > EXCLUDED.opened_on
    OR EXCLUDED.first_branch_code IS NOT NULL AND (
        s.first_branch_code IS NULL
        OR (s.first_parcel_at, s.first_waybill_no, s.first_branch_code)
            > (EXCLUDED.first_parcel_at, EXCLUDED.first_waybill_no, EXCLUDED.first_branch_code)))
RETURNING s.account_no, coalesce(old.version, 0) AS was, s.version"""


async def learn_from_scans(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
    """Learn accounts from scans: the business date of the scan, and the branch the parcel comes from."""
    sights: dict[str, Sight] = {}
    for delivery in deliveries:
        scan = delivery.event
        if scan.account_no is None:
            continue
        branch_code, seen_on = scan.origin.branch, business_date(scan.occurred_at)
        parcel = (scan.occurred_at, scan.waybill_no, branch_code) if branch_code is not None else None
        sights.setdefault(scan.account_no, Sight(seen_on)).add(seen_on, parcel)
    await learn(session, sights)


async def learn_from_charges(session: AsyncSession, deliveries: Sequence[Delivery[FreightCharged]]) -> None:
    """Learn accounts from charges: the business date charged."""
    sights: dict[str, Sight] = {}
    for delivery in deliveries:
        seen_on = business_date(delivery.event.charged_at)
        sights.setdefault(delivery.event.account_no, Sight(seen_on)).add(seen_on)
    await learn(session, sights)


async def learn(session: AsyncSession, sights: dict[str, Sight]) -> None:
    """Open provisional accounts, or let them learn an earlier date or parcel; really opened ones are left alone.

    Locks the accounts in the order of their numbers. A real opening is for ever, so it may be looked up before that.
    """
    connection = await driver(session)
    known = {row["account_no"] for row in await connection.fetch(_KNOWN, list(sights))}
    numbers = sorted(sights.keys() - known)
    if not numbers:
        return
    parcels = [sights[number].parcel or (None, None, None) for number in numbers]
    rows = await connection.fetch(
        _LEARN,
        numbers,
        [sights[number].seen_on for number in numbers],
        [at for at, _, _ in parcels],
        [waybill_no for _, waybill_no, _ in parcels],
        [branch_code for _, _, branch_code in parcels],
        ACTOR,
    )
    await _announce(session, [row for row in rows if row["was"] < row["version"]])


async def _announce(session: AsyncSession, rows: Sequence[Any]) -> None:
    if not rows:
        return
    fresh = {row["account_no"] for row in rows if row["was"] == 0}
    query = select(SettlementAccount).where(SettlementAccount.account_no.in_([row["account_no"] for row in rows]))
    query = query.execution_options(populate_existing=True)  # an event before this one may have loaded it
    accounts = (await session.scalars(query)).all()
    memberships = {a.account_no: [Membership(a.opened_on, a.first_branch_code, None)] for a in accounts}
    await write_memberships(session, memberships)
    await announce(
        session,
        [account for account in accounts if account.account_no in fresh],
        [account for account in accounts if account.account_no not in fresh],
        memberships,
    )
