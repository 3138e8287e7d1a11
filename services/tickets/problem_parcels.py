"""Problem parcels (问题件): parcels that scans call damaged, lost, refused or delayed.

One ticket per waybill and cause, opened at the earliest such scan. An earlier scan that arrives later moves the opening and
the deadline back, whatever the ticket's state: both are facts, not opinions.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.tickets import deadlines
from shared import working_days
from shared.db import driver
from shared.ids import natural_id

Problems = dict[tuple[str, str], datetime]
"""When a parcel's problem began, by waybill and cause."""

_OPEN = """
INSERT INTO tickets AS t (ticket_id, class, cause_hint, waybill_no, account_no, branch_code, priority, opened_at, due_at,
                          state, changed_at, version)
SELECT i.ticket_id, 'problem_parcel', i.cause, p.waybill_no, p.account_no, p.branch_code, $1, i.opened_at, i.due_at,
       'open', greatest(business_now(), i.opened_at), 1
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS i (ticket_id, waybill_no, cause, opened_at, due_at)
JOIN parcels p ON p.waybill_no = i.waybill_no
ORDER BY i.ticket_id
ON CONFLICT (ticket_id) DO UPDATE
SET opened_at = EXCLUDED.opened_at, due_at = EXCLUDED.due_at, changed_at = EXCLUDED.changed_at, version = t.version + 1
WHERE EXCLUDED.opened_at < t.opened_at
RETURNING new.*, old.state AS state_before"""

_MOVE = """
UPDATE tickets t
SET account_no = p.account_no, branch_code = p.branch_code, changed_at = greatest(business_now(), t.opened_at),
    version = t.version + 1
FROM parcels p
WHERE t.waybill_no = ANY ($1::text[]) AND t.cause_hint IS NOT NULL AND p.waybill_no = t.waybill_no
  AND (t.account_no, t.branch_code) IS DISTINCT FROM (p.account_no, p.branch_code)
RETURNING new.*, old.state AS state_before"""


def ticket_id(waybill_no: str, cause: str) -> Any:
    """Return the id of the one ticket that a parcel may have for a cause."""
    return natural_id("ticket", waybill_no, cause)


async def due_instants(session: AsyncSession, opened: Iterable[datetime]) -> Mapping[datetime, datetime]:
    """Return the deadline of a problem parcel for each instant of opening (at least one)."""
    instants = set(opened)
    calendar = await working_days.load(session, *deadlines.days_needed(instants))
    return {at: deadlines.due_at(calendar, at, deadlines.PROBLEM_PARCEL_PRIORITY) for at in instants}


async def open_tickets(session: AsyncSession, problems: Problems) -> list[Any]:
    """Open the tickets of problems, or move them back to an earlier beginning; returns the rows changed.

    The parcels are locked by the caller.
    """
    due = await due_instants(session, problems.values())
    connection = await driver(session)
    rows: list[Any] = await connection.fetch(
        _OPEN,
        deadlines.PROBLEM_PARCEL_PRIORITY,
        [ticket_id(waybill_no, cause) for waybill_no, cause in problems],
        [waybill_no for waybill_no, _ in problems],
        [cause for _, cause in problems],
        list(problems.values()),
        [due[at] for at in problems.values()],
    )
    return rows


async def move(session: AsyncSession, waybills: list[str]) -> list[Any]:
    """Let the tickets of parcels follow them to another account or branch; returns the rows changed."""
    connection = await driver(session)
    rows: list[Any] = await connection.fetch(_MOVE, waybills)
    return rows
