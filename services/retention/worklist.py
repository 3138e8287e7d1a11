"""The worklist (维系清单): tasks by unit, role, state and due instant, and one task with everything recorded for it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention.contacts import missing_blocks, of_task
from services.retention.models import Task
from shared.directory import in_subtree
from shared.paging import PageRequest, paged
from shared.problems import NotFound


async def list_tasks(
    session: AsyncSession,
    unit: str,
    page: PageRequest,
    *,
    role: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    assist: str | None = None,
    due_before: datetime | None = None,
) -> dict[str, Any]:
    """List the tasks of a unit's subtree, the earliest due first; `due_before` is exclusive, `assist` a role that helps."""
    wanted = {"role": role, "state": state, "kind": kind}
    query = select(Task).where(in_subtree(Task.unit_code, unit))
    query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
    if assist is not None:
        query = query.where(Task.assist.contains([{"role": assist}]))
    if due_before is not None:
        query = query.where(Task.due_at < due_before)
    if page.after is not None:
        query = query.where(tuple_(Task.due_at, Task.task_id) > page.after)
    rows = await session.execute(query.order_by(Task.due_at, Task.task_id).limit(page.limit + 1))
    return paged(rows.scalars().all(), page, lambda task: (task.due_at, task.task_id))


async def read_task(session: AsyncSession, task_id: UUID) -> dict[str, Any]:
    """Read a task with its contacts and the blocks that the talk still has to bring. Raises NotFound."""
    task = await session.get(Task, task_id)
    if task is None:
        raise NotFound("task", task_id)
    contacts = await of_task(session, task_id)
    return {"task": task, "contacts": contacts, "missing_blocks": missing_blocks(contacts)}
