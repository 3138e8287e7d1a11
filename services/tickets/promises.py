"""Promises (承诺时效): which parcels are late, judged in event time when the promise falls due.

A promise is in force at its due instant unless another one, later in the timeline, had been said by then. The parcel is late
unless it was delivered, cancelled, returned or refused by that instant, to the second; whatever scans follow. Nobody judges
before the instant has passed, so that a delivery at the promised second is in time; `parcels.late_at` (tracking.py) says
what the scans amount to, and these functions turn it into tickets.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.tickets import deadlines, problem_parcels, tickets
from services.tickets.lifecycle import LATE
from shared.db import driver

_FALLEN_DUE = """
SELECT waybill_no, next_due_at FROM parcels WHERE next_due_at < $1 ORDER BY waybill_no FOR UPDATE"""

_JUDGED = "UPDATE parcels SET next_due_at = NULL WHERE waybill_no = ANY ($1::text[])"

# A ticket that is there and refuted is late again, by a promise that came to light later.
_OPEN = """
INSERT INTO tickets AS t (ticket_id, class, cause_hint, waybill_no, account_no, branch_code, priority, opened_at, due_at,
                          state, delivered_at, changed_at, version)
SELECT i.ticket_id, 'problem_parcel', $1, p.waybill_no, p.account_no, p.branch_code, $2, i.opened_at, i.due_at,
       'open', p.delivered_at, $3, 1
FROM unnest($4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[]) AS i (ticket_id, waybill_no, opened_at, due_at)
JOIN parcels p ON p.waybill_no = i.waybill_no
ORDER BY i.ticket_id
ON CONFLICT (ticket_id) DO UPDATE
SET state = CASE WHEN t.assignee IS NULL THEN 'open' ELSE 'assigned' END, opened_at = EXCLUDED.opened_at,
    due_at = EXCLUDED.due_at, delivered_at = EXCLUDED.delivered_at, changed_at = EXCLUDED.changed_at, version = t.version + 1
WHERE t.state = 'refuted'
RETURNING new.*, old.state AS state_before"""

# What a person has settled stays settled.
_JUDGE_AGAIN = """
UPDATE tickets t
SET state = CASE WHEN NOT i.late THEN 'refuted'
                 WHEN t.state <> 'refuted' THEN t.state
                 WHEN t.assignee IS NULL THEN 'open' ELSE 'assigned' END,
    opened_at = i.opened_at, due_at = i.due_at, changed_at = greatest(business_now(), i.opened_at), version = t.version + 1
FROM unnest($1::uuid[], $2::boolean[], $3::timestamptz[], $4::timestamptz[]) AS i (ticket_id, late, opened_at, due_at)
WHERE t.ticket_id = i.ticket_id AND t.state NOT IN ('resolved', 'closed')
  AND (i.late = (t.state = 'refuted') OR t.opened_at <> i.opened_at)
RETURNING new.*, old.state AS state_before"""

_NOTE_DELIVERY = """
UPDATE tickets t SET delivered_at = i.delivered_at
FROM unnest($1::uuid[], $2::timestamptz[]) AS i (ticket_id, delivered_at)
WHERE t.ticket_id = i.ticket_id AND t.delivered_at IS DISTINCT FROM i.delivered_at"""


async def judge(session: AsyncSession, instant: datetime) -> None:
    """Open a ticket for every parcel whose promise has passed unkept before the instant, opened at the promise itself.

    Schedule `promises`. Locks the parcels in the order of their numbers; a repeat finds nothing.
    """
    connection = await driver(session)
    fallen = await connection.fetch(_FALLEN_DUE, instant)
    if not fallen:
        return
    waybills = [row["waybill_no"] for row in fallen]
    opened = [row["next_due_at"] for row in fallen]
    due = await problem_parcels.due_instants(session, opened)
    rows = await connection.fetch(
        _OPEN,
        LATE,
        deadlines.PROBLEM_PARCEL_PRIORITY,
        instant,
        [problem_parcels.ticket_id(waybill_no, LATE) for waybill_no in waybills],
        waybills,
        opened,
        [due[at] for at in opened],
    )
    await connection.execute(_JUDGED, waybills)
    changes = tickets.Changes()
    changes.note(rows)
    changes.announce(session)


async def judge_again(session: AsyncSession, parcels: Sequence[Any]) -> list[Any]:
    """Bring the late tickets of parcels up to what their scans amount to now; returns the rows changed.

    Parcels are rows of tracking with `late_ticket_id`, `late_at`, `promised_at`, `delivered_at` and `now`. Not late any more:
    the ticket is refuted, at the promise last said. Late by another promise that has passed: it moves there. A delivery is
    noted on the ticket and is no change of its state. The parcels are locked by the caller.
    """
    ids = [row["late_ticket_id"] for row in parcels]
    late = [row["late_at"] is not None and row["late_at"] < row["now"] for row in parcels]
    opened = [row["late_at"] if is_late else row["promised_at"] for row, is_late in zip(parcels, late, strict=True)]
    due = await problem_parcels.due_instants(session, opened)
    connection = await driver(session)
    rows: list[Any] = await connection.fetch(_JUDGE_AGAIN, ids, late, opened, [due[at] for at in opened])
    await connection.execute(_NOTE_DELIVERY, ids, [row["delivered_at"] for row in parcels])
    return rows
