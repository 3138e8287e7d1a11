"""Maintenance tasks (维系任务): what a movement and the passing of time do to them.

Each movement, monthly or quarterly, opens one task for the role that answers for it; nothing that happens later changes who
owes it or until when. A withdrawn movement cancels its task, time makes it overdue. What people do with a task is in
`executors` and `contacts`.

The states and their order do not depend on how events are cut into batches: a task is always announced as opened before
it is announced as overdue or cancelled, also where the withdrawal is seen first.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention.deadlines import due_at
from services.retention.models import Task
from services.retention.responsibility import Placement, Responsible, responsible_for
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.retention import TaskCancelled, TaskOpened, TaskOverdue, TaskState
from shared.events.tiering import Assist, MovementDetected, MovementRestated, MovementWithdrawn, QuarterMovementDetected
from shared.ids import natural_id
from shared.months import add_months
from shared.outbox import publish, publish_query

Movement = MovementDetected | MovementRestated | MovementWithdrawn

PENDING: Final = ("open", "claimed")
"""The states in which a task can fall overdue."""


async def note_movements(session: AsyncSession, deliveries: Sequence[Delivery[Movement]]) -> None:
    """Open a task for each movement not seen before, and cancel the tasks of those withdrawn.

    A movement whose amounts alone were restated changes nothing here. Of several events about one movement the last by
    sequence counts; what is not newer than the task has seen is ignored. Rows are locked in the order of movement_id.
    """
    newest: dict[str, Delivery[Movement]] = {}
    for delivery in deliveries:
        movement_id = str(delivery.event.movement_id)
        if movement_id not in newest or newest[movement_id].sequence < delivery.sequence:
            newest[movement_id] = delivery
    latest = [newest[movement_id] for movement_id in sorted(newest)]
    newer = await _open(session, latest)
    await _cancel(session, [d.event for d in latest if d.event.state == "withdrawn" and d.event.movement_id in newer])


async def note_quarter_movements(session: AsyncSession, deliveries: Sequence[Delivery[QuarterMovementDetected]]) -> None:
    """Open a task for each quarterly movement not seen before; it stays as decided, so nothing ever cancels it.

    A helper is a field of the one task, never a task of its own. Source: T-34, T-35.
    """
    newest = {str(delivery.event.movement_id): delivery for delivery in deliveries}
    owed = [_owed_for_quarter(newest[movement_id]) for movement_id in sorted(newest)]
    await _insert(session, owed)


class _Owed(NamedTuple):
    """What a movement asks for; the columns of a task."""

    task_id: UUID
    kind: str
    account_no: str
    role: str
    unit_code: str
    due_at: datetime
    movement_id: UUID
    month: date
    quarter: date | None
    movement_kind: str
    opened_at: datetime
    in_person: bool
    priority: bool
    assist: str
    sequence: int


def _owed_for_quarter(delivery: Delivery[QuarterMovementDetected]) -> _Owed:
    m = delivery.event
    return _Owed(
        task_id=natural_id("task", str(m.movement_id)),
        kind="quarter_movement",
        account_no=m.account_no,
        role=m.role,
        unit_code=m.unit_code,
        due_at=due_at(m.detected_at),
        movement_id=m.movement_id,
        month=add_months(m.quarter, 2),
        quarter=m.quarter,
        movement_kind=m.kind,
        opened_at=m.detected_at,
        in_person=m.in_person,
        priority=m.priority,
        assist=_json(one.model_dump() for one in m.assist),
        sequence=delivery.sequence,
    )


def _owed(delivery: Delivery[Movement], root: str) -> _Owed:
    m = delivery.event
    who = responsible_for(m.service_tier, Placement(m.district_code, m.branch_code, m.outlet_code), root)
    if m.role is not None and m.unit_code is not None:
        who = Responsible(m.role, m.unit_code, bool(m.in_person), tuple(one.model_dump() for one in m.assist or ()))
    return _Owed(
        task_id=natural_id("task", str(m.movement_id)),
        kind="movement",
        account_no=m.account_no,
        role=who.role,
        unit_code=who.unit_code,
        due_at=due_at(m.detected_at),
        movement_id=m.movement_id,
        month=m.month,
        quarter=None,
        movement_kind=m.kind,
        opened_at=m.detected_at,
        in_person=who.in_person,
        priority=bool(m.priority),
        assist=_json(who.assist),
        sequence=delivery.sequence,
    )


async def _open(session: AsyncSession, deliveries: Sequence[Delivery[Movement]]) -> set[Any]:
    """Insert the tasks that are missing; return the movements whose event is newer than what their task has seen."""
    root = (await session.execute(text("SELECT unit_code FROM units WHERE kind = 'hq'"))).scalar() or "HQ"
    return await _insert(session, [_owed(delivery, root) for delivery in deliveries])


async def _insert(session: AsyncSession, owed: Sequence[_Owed]) -> set[Any]:
    """Insert tasks in the order of their movements and announce those that are new."""
    rows = await (await driver(session)).fetch(_OPEN, *([getattr(one, name) for one in owed] for name in _Owed._fields))
    _announce(session, TaskOpened, [row for row in rows if row["is_new"]])
    return {row["movement_id"] for row in rows}


def _json(helpers: Iterable[Mapping[str, str]]) -> str:
    return orjson.dumps(list(helpers)).decode()


async def _cancel(session: AsyncSession, movements: Sequence[Movement]) -> None:
    """Cancel the tasks of withdrawn movements, unless done; one that was due before the withdrawal is overdue first."""
    if not movements:
        return
    connection = await driver(session)
    withdrawn = (
        [m.movement_id for m in movements],
        [m.judged_at for m in movements],
        [m.withdrawn_reason for m in movements],
    )
    _announce(session, TaskOverdue, await connection.fetch(_OVERDUE_BEFORE_WITHDRAWAL, *withdrawn))
    _announce(session, TaskCancelled, await connection.fetch(_CANCEL, *withdrawn))


async def mark_overdue(session: AsyncSession, instant: datetime) -> None:
    """Mark and announce as overdue every task that was due by this scheduled instant and is neither done nor cancelled.

    `overdue_at` is the task's own due instant, whenever it is found. Source: R-41.
    """
    found = await (await driver(session)).fetchval(_OVERDUE, instant)
    if found:
        publish_query(session, TaskOverdue, _SELECT_OVERDUE, {"run": instant, "type": TaskOverdue.TYPE})


def fall_due(session: AsyncSession, task: Task, now: datetime) -> None:
    """Mark a locked task as overdue where its due instant has passed but the daily run has not come yet."""
    if task.state in PENDING and task.due_at <= now:
        task.overdue_at = task.due_at
        change(session, task, TaskOverdue, "overdue", task.due_at)


def change(session: AsyncSession, task: Task, event: type[TaskState], state: str, at: datetime) -> None:
    """Give a locked task a new state as of an instant, with the next version, and announce it."""
    task.state = state
    task.changed_at = at
    task.version += 1
    publish(session, state_event(event, {name: getattr(task, name) for name in event.model_fields}))


def state_event(event: type[TaskState], row: Mapping[str, Any] | RowMapping) -> TaskState:
    """Return the full state of a task as an event; the row has the columns of `tasks`."""
    values = {name: row[name] for name in event.model_fields}
    # The driver gives jsonb as text, the model as a list.
    helpers = orjson.loads(values["assist"]) if isinstance(values["assist"], str) else values["assist"]
    return event(**values | {"assist": tuple(Assist(**one) for one in helpers or ())})


def _announce(session: AsyncSession, event: type[TaskState], rows: Iterable[Mapping[str, Any]]) -> None:
    for row in sorted(rows, key=lambda row: str(row["movement_id"])):
        publish(session, state_event(event, row))


_OPEN = """
INSERT INTO tasks (task_id, kind, account_no, role, unit_code, state, due_at, movement_id, month, quarter, movement_kind,
                   opened_at, changed_at, in_person, priority, assist, version, movement_sequence)
SELECT m.task_id, m.kind, m.account_no, m.role, m.unit_code, 'open', m.due_at, m.movement_id, m.month, m.quarter,
       m.movement_kind, m.opened_at, m.opened_at, m.in_person, m.priority, m.assist::jsonb, 1, m.sequence
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::uuid[], $8::date[], $9::date[],
            $10::text[], $11::timestamptz[], $12::boolean[], $13::boolean[], $14::text[], $15::bigint[])
    AS m (task_id, kind, account_no, role, unit_code, due_at, movement_id, month, quarter, movement_kind, opened_at, in_person,
          priority, assist, sequence)
ORDER BY m.movement_id
ON CONFLICT (movement_id) DO UPDATE SET movement_sequence = EXCLUDED.movement_sequence
WHERE tasks.movement_sequence < EXCLUDED.movement_sequence
RETURNING tasks.*, old.task_id IS NULL AS is_new"""

# The rows are already locked, in order, by _OPEN.
_WITHDRAWN = "unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS w (movement_id, judged_at, reason)"

_OVERDUE_BEFORE_WITHDRAWAL = f"""
UPDATE tasks SET state = 'overdue', overdue_at = due_at, changed_at = due_at, version = version + 1
FROM {_WITHDRAWN}
WHERE tasks.movement_id = w.movement_id AND state IN ('open', 'claimed') AND due_at <= w.judged_at
RETURNING tasks.*"""

_CANCEL = f"""
UPDATE tasks SET state = 'cancelled', cancelled_reason = w.reason, changed_at = w.judged_at, version = version + 1
FROM {_WITHDRAWN}
WHERE tasks.movement_id = w.movement_id AND state IN ('open', 'claimed', 'overdue')
RETURNING tasks.*"""

_OVERDUE = """
WITH due AS (
    SELECT task_id FROM tasks WHERE state IN ('open', 'claimed') AND due_at <= $1 ORDER BY movement_id FOR UPDATE
), marked AS (
    UPDATE tasks
    SET state = 'overdue', overdue_at = due_at, overdue_run = $1, changed_at = due_at, version = version + 1
    FROM due WHERE tasks.task_id = due.task_id
    RETURNING 1
)
SELECT count(*) FROM marked"""

_SELECT_OVERDUE = """
SELECT account_no AS key, natural_id(:type || '/' || task_id || '/' || version) AS event_id, json_build_object(
    'task_id', task_id, 'kind', kind, 'account_no', account_no, 'role', role, 'unit_code', unit_code, 'state', state,
    'due_at', to_char(due_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS"+08:00"'),
    'movement_id', movement_id, 'month', to_char(month, 'YYYY-MM'), 'quarter', to_char(quarter, 'YYYY-"Q"Q'),
    'movement_kind', movement_kind, 'in_person', in_person, 'priority', priority, 'assist', assist,
    'changed_at', to_char(changed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS"+08:00"'),
    'version', version) AS data
FROM tasks WHERE overdue_run = :run AND state = 'overdue' ORDER BY movement_id"""
