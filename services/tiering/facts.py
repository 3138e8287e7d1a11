"""Facts (事实) of other services: maintenance tasks, contacts, tickets and routes, kept as their owners last told them.

Reports, causes, scores and datasets read them here. Each is written by sequence: what is not newer changes nothing, however
events were cut into batches. A task's tier and place are those of the movement behind it, which this service published itself.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import driver
from shared.events.contacts import ContactRecorded
from shared.events.envelope import Delivery, Event
from shared.events.retention import TaskState
from shared.events.retention_v1 import TaskStateV1
from shared.events.tickets import RoutesCounted, TicketState

E = TypeVar("E", bound=Event)


async def note_tasks(session: AsyncSession, deliveries: Sequence[Delivery[TaskState | TaskStateV1]]) -> None:
    """Keep the newest state of each task."""
    rows = _newest(deliveries, "task_id")
    await _write(session, _TASKS, rows, _TASK_COLUMNS)


async def note_contacts(session: AsyncSession, deliveries: Sequence[Delivery[ContactRecorded]]) -> None:
    """Keep each contact once; the blocks of one contact stand as one text, since arrays of arrays have one length."""
    rows = [{**row, "blocks": ",".join(row["blocks"])} for row in _newest(deliveries, "contact_id")]
    await _write(session, _CONTACTS, rows, _CONTACT_COLUMNS)


async def note_tickets(session: AsyncSession, deliveries: Sequence[Delivery[TicketState]]) -> None:
    """Keep the newest state of each ticket, also of one without an account: it may learn its account later."""
    await _write(session, _TICKETS, _newest(deliveries, "ticket_id"), _TICKET_COLUMNS)


async def note_routes(session: AsyncSession, deliveries: Sequence[Delivery[RoutesCounted]]) -> None:
    """Keep the routes of each account and month; they are counted once."""
    counted = {(delivery.event.account_no, delivery.event.month): delivery.event for delivery in deliveries}
    events = [counted[key] for key in sorted(counted)]
    await (await driver(session)).execute(
        _ROUTES,
        [event.account_no for event in events],
        [event.month for event in events],
        [event.parcels for event in events],
        [orjson.dumps([route.model_dump() for route in event.routes]).decode() for event in events],
    )


def _newest(deliveries: Sequence[Delivery[E]], key: str) -> list[dict[str, Any]]:
    """Return the fields of the newest event of each thing, with its sequence, in the order of the ids: locks never cross."""
    newest: dict[str, Delivery[E]] = {}
    for delivery in deliveries:
        thing = str(getattr(delivery.event, key))
        if thing not in newest or newest[thing].sequence < delivery.sequence:
            newest[thing] = delivery
    return [{**dict(newest[thing].event), "sequence": newest[thing].sequence} for thing in sorted(newest)]


async def _write(session: AsyncSession, statement: str, rows: Sequence[dict[str, Any]], columns: str) -> None:
    await (await driver(session)).execute(statement, *([row[name] for row in rows] for name in columns.split()))


_TASK_COLUMNS = "task_id account_no role unit_code kind state movement_id due_at changed_at sequence"
# A movement that is not found here is one that an installation restored from a backup has still to read again: its task takes
# the tier in force and the place of its unit.
_TIER_IN_FORCE = """(
    SELECT d.service_tier FROM month_closes c JOIN decisions d ON d.month = c.month AND d.account_no = t.account_no
    WHERE d.service_tier IS NOT NULL ORDER BY c.month DESC LIMIT 1)"""
_BRANCH_OF_UNIT = """(
    SELECT a.ancestor_code FROM unit_ancestors a JOIN units u ON u.unit_code = a.ancestor_code AND u.kind = 'branch'
    WHERE a.unit_code = t.unit_code ORDER BY a.depth LIMIT 1)"""
_TASKS = f"""
INSERT INTO task_facts AS f (task_id, account_no, role, unit_code, branch_code, outlet_code, kind, state, movement_id,
                             service_tier, opened_at, due_at, done_at, overdue_at, sequence)
SELECT t.task_id, t.account_no, t.role, t.unit_code,
       coalesce(m.branch_code, q.branch_code, {_BRANCH_OF_UNIT},
                (SELECT a.branch_code FROM accounts a WHERE a.account_no = t.account_no)),
       coalesce(m.outlet_code, q.outlet_code), t.kind, t.state, t.movement_id,
       coalesce(m.service_tier, q.service_tier, {_TIER_IN_FORCE}, 'general'),
       t.changed_at, t.due_at,
       CASE WHEN t.state = 'done' THEN t.changed_at END, CASE WHEN t.state = 'overdue' THEN t.due_at END, t.sequence
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[],
            $9::timestamptz[], $10::bigint[])
         AS s (task_id, account_no, role, unit_code, kind, state, movement_id, due_at, changed_at, sequence)
     CROSS JOIN LATERAL (SELECT s.task_id, s.account_no COLLATE "C" AS account_no, s.role, s.unit_code COLLATE "C" AS unit_code,
                                s.kind, s.state, s.movement_id, s.due_at, s.changed_at, s.sequence) AS t
     LEFT JOIN movements m ON m.movement_id = t.movement_id
     LEFT JOIN quarter_movements q ON q.movement_id = t.movement_id
ORDER BY t.task_id
ON CONFLICT (task_id) DO UPDATE
SET state = EXCLUDED.state, due_at = EXCLUDED.due_at, role = EXCLUDED.role, unit_code = EXCLUDED.unit_code,
    opened_at = least(f.opened_at, EXCLUDED.opened_at), done_at = EXCLUDED.done_at,
    overdue_at = coalesce(f.overdue_at, EXCLUDED.overdue_at), sequence = EXCLUDED.sequence
WHERE f.sequence < EXCLUDED.sequence"""
"""The first event of a task is its opening, so that its `changed_at` is when the task was opened."""

_CONTACT_COLUMNS = (
    "contact_id task_id account_no channel contacted_at entered_at late blocks_filled blocks role unit_code staff_id sequence"
)
_CONTACTS = """
INSERT INTO contact_facts (contact_id, task_id, account_no, channel, contacted_at, entered_at, late, blocks_filled, blocks,
                           actor_role, unit_code, staff_id, sequence)
SELECT contact_id, task_id, account_no, channel, contacted_at, entered_at, late, blocks_filled, string_to_array(blocks, ','),
       role, unit_code, staff_id, sequence
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::boolean[], $8::integer[],
            $9::text[], $10::text[], $11::text[], $12::uuid[], $13::bigint[])
    AS c (contact_id, task_id, account_no, channel, contacted_at, entered_at, late, blocks_filled, blocks, role, unit_code,
          staff_id, sequence)
ORDER BY contact_id
ON CONFLICT (contact_id) DO NOTHING"""

_TICKET_COLUMNS = (
    "ticket_id account_no branch_code ticket_class cause_hint cause_code priority state opened_at due_at changed_at sequence"
)
_TICKETS = """
INSERT INTO ticket_facts AS f (ticket_id, account_no, branch_code, ticket_class, cause_hint, cause_code, priority, state,
                               opened_at, due_at, resolved_at, sequence)
SELECT ticket_id, account_no, branch_code, ticket_class, cause_hint, cause_code, priority, state, opened_at, due_at,
       CASE WHEN state IN ('resolved', 'closed') THEN changed_at END, sequence
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[],
            $10::timestamptz[], $11::timestamptz[], $12::bigint[])
    AS t (ticket_id, account_no, branch_code, ticket_class, cause_hint, cause_code, priority, state, opened_at, due_at,
          changed_at, sequence)
ORDER BY ticket_id
ON CONFLICT (ticket_id) DO UPDATE
SET account_no = EXCLUDED.account_no, branch_code = EXCLUDED.branch_code, ticket_class = EXCLUDED.ticket_class,
    cause_hint = EXCLUDED.cause_hint, cause_code = EXCLUDED.cause_code, priority = EXCLUDED.priority, state = EXCLUDED.state,
    opened_at = EXCLUDED.opened_at, due_at = EXCLUDED.due_at,
    resolved_at = CASE WHEN EXCLUDED.resolved_at IS NOT NULL THEN coalesce(f.resolved_at, EXCLUDED.resolved_at) END,
    sequence = EXCLUDED.sequence
WHERE f.sequence < EXCLUDED.sequence"""

_ROUTES = """
INSERT INTO route_facts (account_no, month, parcels, routes)
SELECT * FROM unnest($1::text[], $2::date[], $3::integer[], $4::jsonb[]) AS r (account_no, month)
ORDER BY r.account_no COLLATE "C", r.month
ON CONFLICT DO NOTHING"""
