"""Delegations (转派): who arranges which of the staff does a task, and the attempts to pass on what is owed in person (违规).

Source: T-32 (a key shipper's task is the branch manager's own: an attempt is refused and logged as a breach), T-33 (a general
shipper's staff is arranged by the branch manager).
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention.models import Delegation, Task
from shared.clock import business_now
from shared.directory import in_subtree
from shared.ids import natural_id
from shared.paging import PageRequest, paged
from shared.problems import Conflict, Forbidden, NotFound

ARRANGER = "branch_manager"
SETTLED = ("done", "cancelled")


async def delegate(session: AsyncSession, task_id: UUID, actor: str, roles: Collection[str], delegate_to: str) -> Delegation:
    """Arrange who does a task, or log the attempt as a breach where it is owed in person: then nothing is passed on.

    The attempt is an answer, not an error: it must stay, and an error would take it back.

    Raises:
        NotFound: there is no such task in what the caller may see.
        Forbidden: the caller neither owes the task nor arranges the staff of its unit.
        Conflict: it is done or cancelled already.
    """
    task = (await session.execute(select(Task).where(Task.task_id == task_id).with_for_update())).scalar_one_or_none()
    if task is None:
        raise NotFound("task", task_id)
    if task.role not in roles and ARRANGER not in roles and not task.in_person:
        raise Forbidden(
            f"The staff of {task.unit_code} is arranged by its branch manager or by {task.role}.", "task-of-another-role"
        )
    if task.state in SETTLED:
        raise Conflict(f"task-{task.state}", "The task is settled; there is nothing left to pass on.")
    earlier = select(func.coalesce(func.max(Delegation.number), 0)).where(Delegation.task_id == task_id)
    number = int((await session.execute(earlier)).scalar_one()) + 1
    asked = Delegation(
        delegation_id=natural_id("delegation", str(task_id), number),
        task_id=task_id,
        number=number,
        account_no=task.account_no,
        unit_code=task.unit_code,
        asked_by=actor,
        delegate_to=delegate_to,
        breach=task.in_person,
        asked_at=await business_now(session),
    )
    session.add(asked)
    if not task.in_person:
        task.delegated_to = delegate_to
    await session.flush()
    return asked


async def list_delegations(session: AsyncSession, unit: str, page: PageRequest, *, breach: bool | None = None) -> dict[str, Any]:
    """List the delegations asked for in a unit's subtree, in the order they were asked for."""
    query = select(Delegation).where(in_subtree(Delegation.unit_code, unit))
    if breach is not None:
        query = query.where(Delegation.breach == breach)
    if page.after is not None:
        query = query.where(tuple_(Delegation.asked_at, Delegation.delegation_id) > page.after)
    found = await session.execute(query.order_by(Delegation.asked_at, Delegation.delegation_id).limit(page.limit + 1))
    return paged(found.scalars().all(), page, lambda row: (row.asked_at, row.delegation_id))
