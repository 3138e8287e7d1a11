"""Who works on a task (执行人): it is locked, checked against the caller's roles, and taken by one person.

Source: X-01, X-03, X-04 (the roles); T-32: a key shipper's task is the branch manager's own, in person.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention.models import Task
from services.retention.tasks import change, fall_due
from shared.clock import business_now, shanghai
from shared.events.retention import TaskClaimed
from shared.problems import Conflict, Forbidden, NotFound


async def claim(session: AsyncSession, task_id: UUID, actor: str, roles: Collection[str]) -> Task:
    """Give a task to the person who asks; of several who ask at once, one gets it. An overdue task stays overdue.

    Raises:
        NotFound: there is no such task in what the caller may see.
        Forbidden: the task is for another role.
        Conflict: it is taken, done or cancelled already.
    """
    task, now = await lock_for_work(session, task_id, roles)
    if task.claimed_by is not None:
        raise Conflict(
            "task-already-claimed",
            f"The task was claimed at {_text(task.claimed_at)}; read it to see by whom. "
            "A contact with the customer can still be recorded for it.",
        )
    take(session, task, actor, now)
    return task


async def lock_for_work(
    session: AsyncSession, task_id: UUID, roles: Collection[str], *, helping: bool = False
) -> tuple[Task, datetime]:
    """Lock a task that the caller may work on; returns it, overdue where its due instant has passed, and business time.

    Who helps with a task may record contacts for it (`helping`), unless it is owed in person.

    Raises:
        NotFound: there is no such task in what the caller may see.
        Forbidden: the task is for another role.
        Conflict: it is done or cancelled already.
    """
    task = (await session.execute(select(Task).where(Task.task_id == task_id).with_for_update())).scalar_one_or_none()
    if task is None:
        raise NotFound("task", task_id)
    if task.role not in roles and not (helping and helps(task, roles)):
        raise Forbidden(_who_may(task), "task-of-another-role")
    if task.state == "done":
        raise Conflict("task-done", f"The task was completed at {_text(task.done_at)}; there is nothing left to do for it.")
    if task.state == "cancelled":
        raise Conflict(
            "task-cancelled",
            f"The movement was withdrawn at {_text(task.changed_at)} ({task.cancelled_reason}), so no talk is owed; "
            "if another one took its place, that one has a task of its own.",
        )
    now = await business_now(session)
    fall_due(session, task, now)
    return task, now


def helps(task: Task, roles: Collection[str]) -> bool:
    """Say whether one of these roles assists with a task: the care group telephones for the outlet (T-33, T-35)."""
    return not task.in_person and any(one["role"] in roles for one in task.assist)


def take(session: AsyncSession, task: Task, actor: str, now: datetime) -> None:
    """Give a locked task to a person and announce it; an overdue task stays overdue."""
    task.claimed_by, task.claimed_at = actor, now
    change(session, task, TaskClaimed, "overdue" if task.state == "overdue" else "claimed", now)


def _who_may(task: Task) -> str:
    if task.in_person:
        return (
            f"A key shipper is looked after by the branch manager of {task.unit_code} in person; this task cannot be passed on."
        )
    return f"This task is for the role {task.role} of {task.unit_code}."


def _text(instant: datetime | None) -> str:
    return shanghai(instant).isoformat(timespec="seconds") if instant else "an unknown instant"
