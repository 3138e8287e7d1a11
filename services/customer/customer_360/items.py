"""Movements, tasks and tickets on the page (异动, 维系任务, 工单): each as its owner's list shows it, while it is not settled."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import Section, touch
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.retention import TaskState
from shared.events.retention_v1 import TaskStateV1
from shared.events.tickets import TicketState
from shared.events.tiering import MovementState
from shared.months import month_start_instant, month_text, quarter_text
from shared.schemas import instant_text

MOVEMENTS_SHOWN = frozenset({"open"})
TASKS_SHOWN = frozenset({"open", "claimed", "overdue"})
TICKETS_SHOWN = frozenset({"open", "assigned"})

_NOTE = """
INSERT INTO overview_items AS o (section, item_id, sequence, account_no, shown, sorted_at, item, as_of)
SELECT $1, i.* FROM unnest($2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::timestamptz[], $7::text[],
                           $8::timestamptz[]) AS i (item_id)
ORDER BY i.item_id COLLATE "C"
ON CONFLICT (section, item_id) DO UPDATE
SET sequence = EXCLUDED.sequence, account_no = EXCLUDED.account_no, shown = EXCLUDED.shown,
    sorted_at = EXCLUDED.sorted_at, item = EXCLUDED.item, as_of = EXCLUDED.as_of
WHERE o.sequence < EXCLUDED.sequence
RETURNING old.account_no AS was_of, o.account_no"""


class _Item(NamedTuple):
    item_id: str
    sequence: int
    account_no: str | None
    shown: bool
    sorted_at: datetime
    item: str
    as_of: datetime


async def note_movements(session: AsyncSession, deliveries: Sequence[Delivery[MovementState]]) -> None:
    """Keep movements, the earliest month first; one that was withdrawn leaves the page."""
    await _note(session, "movements", (_movement(delivery) for delivery in deliveries))


async def note_tasks(session: AsyncSession, deliveries: Sequence[Delivery[TaskState | TaskStateV1]]) -> None:
    """Keep maintenance tasks, the earliest due first; one that is done or cancelled leaves the page."""
    await _note(session, "tasks", (_task(delivery) for delivery in deliveries))


async def note_tickets(session: AsyncSession, deliveries: Sequence[Delivery[TicketState]]) -> None:
    """Keep tickets, the earliest due first; one that is resolved, closed or refuted leaves the page.

    A ticket without an account is kept too: it may learn its account later.
    """
    await _note(session, "tickets", (_ticket(delivery) for delivery in deliveries))


async def _note(session: AsyncSession, section: Section, items: Iterable[_Item]) -> None:
    """Write what is newer than what is kept, and touch the accounts that had or have such an item."""
    latest: dict[str, _Item] = {}
    for item in items:
        known = latest.get(item.item_id)
        if known is None or known.sequence < item.sequence:
            latest[item.item_id] = item
    columns = zip(*(latest[item_id] for item_id in sorted(latest)), strict=True)
    rows = await (await driver(session)).fetch(_NOTE, section, *columns)
    touch(session, section, {account_no for row in rows for account_no in row.values() if account_no is not None})


def _movement(delivery: Delivery[MovementState]) -> _Item:
    event = delivery.event
    shown = {
        "movement_id": str(event.movement_id),
        "account_no": event.account_no,
        "branch_code": event.branch_code,
        "month": month_text(event.month),
        "kind": event.kind,
        "zero_months": event.zero_months,
        "previous_fen": event.previous_fen,
        "current_fen": event.current_fen,
        "state": event.state,
        "detected_at": instant_text(event.detected_at),
        "decision_id": str(event.decision_id),
    }
    return _item(delivery, event.account_no, event.state in MOVEMENTS_SHOWN, month_start_instant(event.month), shown)


def _task(delivery: Delivery[TaskState | TaskStateV1]) -> _Item:
    event = delivery.event
    new = event if isinstance(event, TaskState) else None
    shown = {
        "task_id": str(event.task_id),
        "kind": event.kind,
        "account_no": event.account_no,
        "role": event.role,
        "unit_code": event.unit_code,
        "state": event.state,
        "due_at": instant_text(event.due_at),
        "reason": {
            "movement_id": str(event.movement_id),
            "month": month_text(event.month),
            "quarter": quarter_text(new.quarter) if new and new.quarter else None,
            "kind": event.movement_kind,
        },
        "in_person": bool(new and new.in_person),
        "priority": bool(new and new.priority),
        "assist": [one.model_dump() for one in new.assist] if new else [],
    }
    return _item(delivery, event.account_no, event.state in TASKS_SHOWN, event.due_at, shown)


def _ticket(delivery: Delivery[TicketState]) -> _Item:
    event = delivery.event
    shown = {
        "ticket_id": str(event.ticket_id),
        "class": event.ticket_class,
        "cause_hint": event.cause_hint,
        "waybill_no": event.waybill_no,
        "account_no": event.account_no,
        "priority": event.priority,
        "opened_at": instant_text(event.opened_at),
        "due_at": instant_text(event.due_at),
        "state": event.state,
    }
    return _item(delivery, event.account_no, event.state in TICKETS_SHOWN, event.due_at, shown)


def _item(delivery: Delivery[Any], account_no: str | None, shown: bool, sorted_at: datetime, item: dict[str, Any]) -> _Item:
    """Make an item; its id is the first member of what is shown."""
    text = orjson.dumps(item).decode()
    return _Item(next(iter(item.values())), delivery.sequence, account_no, shown, sorted_at, text, delivery.time)
