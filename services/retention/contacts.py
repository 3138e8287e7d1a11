"""Records of contacts (维系记录), and what a movement talk has to bring before its task is done: five blocks.

Source: R-39 (the five blocks), R-42 (recorded within three working days, else late). The blocks are free text about
people and rivals: they are stored here and never published or logged; `retention.contact-recorded` names the blocks only.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention.deadlines import is_entered_late
from services.retention.executors import lock_for_work, take
from services.retention.models import Contact, Task
from services.retention.tasks import change
from shared import working_days
from shared.clock import business_date, shanghai
from shared.events.contacts import ContactRecorded
from shared.events.retention import TaskDone
from shared.ids import natural_id
from shared.outbox import publish
from shared.problems import Conflict, Invalid

BlockName = Literal["cause", "satisfaction", "other_needs", "competitor", "news_passed_on"]
BLOCKS: Final[tuple[BlockName, ...]] = get_args(BlockName)
"""What the talk has to bring: why freight moved, whether the shipper is content, what else it needs, which competitor
it uses, and which news of ours it was told."""
MAX_CONTACTS: Final = 1000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Entry(NamedTuple):
    """What a person enters about one contact; a block that was not spoken of is None."""

    channel: str
    contacted_at: datetime
    cause: str | None = None
    satisfaction: str | None = None
    other_needs: str | None = None
    competitor: str | None = None
    news_passed_on: str | None = None
    cause_code: str | None = None


class Recorded(NamedTuple):
    """The receipt of a contact, and the blocks that the talk still has to bring."""

    contact_id: UUID
    entered_at: datetime
    late: bool
    missing_blocks: list[BlockName]


async def record(session: AsyncSession, task_id: UUID, actor: str, roles: Collection[str], entry: Entry) -> Recorded:
    """Record a contact made for a task; whoever owes it and records the first one claims it with that.

    Who only helps with the task (`assist`) records contacts and claims nothing: the role that owes it still answers for it.

    The task is locked, so that contacts are numbered without gaps and none slips in behind a completion.

    Raises:
        NotFound, Forbidden, Conflict: as for a claim, but that a colleague's claim does not hinder the record.
        Invalid: the contact lies in the future or before the movement was detected, or fills none of the five blocks.
    """
    task, now = await lock_for_work(session, task_id, roles, helping=True)
    _check(task, entry, now)
    if task.claimed_by is None and task.role in roles:
        take(session, task, actor, now)
    earlier = await of_task(session, task_id)
    if len(earlier) >= MAX_CONTACTS:
        raise Conflict("too-many-contacts", f"The task has {MAX_CONTACTS} contacts, which is the most that one can have.")
    calendar = await working_days.load(session, business_date(entry.contacted_at), business_date(now))
    contact = Contact(
        contact_id=natural_id("contact", str(task_id), len(earlier) + 1),
        task_id=task_id,
        number=len(earlier) + 1,
        unit_code=task.unit_code,
        entered_at=now,
        late=is_entered_late(calendar, entry.contacted_at, now),
        actor=actor,
        **entry._asdict(),
    )
    session.add(contact)
    await session.flush()
    publish(session, _event(task, contact, roles))
    return Recorded(contact.contact_id, now, contact.late, missing_blocks([*earlier, contact]))


async def complete(session: AsyncSession, task_id: UUID, actor: str, roles: Collection[str]) -> Task:
    """Complete a task whose contacts fill all five blocks between them.

    Raises:
        NotFound, Forbidden, Conflict: as for a claim; Conflict also while a block is missing.
    """
    task, now = await lock_for_work(session, task_id, roles)
    missing = missing_blocks(await of_task(session, task_id))
    if missing:
        raise Conflict(
            "blocks-missing",
            f"A movement talk is complete with all five blocks; still missing: {', '.join(missing)}. "
            f"Record a contact that fills them (POST /v1/tasks/{task_id}/contacts), then complete the task.",
        )
    task.done_by, task.done_at = actor, now
    change(session, task, TaskDone, "done", now)
    return task


async def of_task(session: AsyncSession, task_id: UUID) -> Sequence[Contact]:
    """List a task's contacts in the order in which they were entered."""
    found = await session.execute(select(Contact).where(Contact.task_id == task_id).order_by(Contact.number))
    return found.scalars().all()


def missing_blocks(contacts: Sequence[Contact]) -> list[BlockName]:
    """Name the blocks that none of the contacts fills, in the order of the form."""
    return [block for block in BLOCKS if not any(getattr(contact, block) for contact in contacts)]


def _event(task: Task, contact: Contact, roles: Collection[str]) -> ContactRecorded:
    """Say of a contact what others may know: names of blocks, no text, no name of a person."""
    blocks = tuple(block for block in BLOCKS if getattr(contact, block))
    return ContactRecorded(
        contact_id=contact.contact_id,
        task_id=contact.task_id,
        account_no=task.account_no,
        channel=contact.channel,  # type: ignore[arg-type]
        contacted_at=contact.contacted_at,
        entered_at=contact.entered_at,
        late=contact.late,
        blocks_filled=len(blocks),
        blocks=blocks,
        role=_role_of(task, roles),  # type: ignore[arg-type]
        unit_code=contact.unit_code,
        staff_id=opaque_id(contact.actor),
        cause_code=contact.cause_code,  # type: ignore[arg-type]
    )


def _role_of(task: Task, roles: Collection[str]) -> str:
    """Return in which role the contact was made: the one that owes the task, else the first that helps with it."""
    return task.role if task.role in roles else next(one["role"] for one in task.assist if one["role"] in roles)


def opaque_id(actor: str) -> UUID | None:
    """Return the actor where it is an id that says nothing of the person (a UUID), else None: a name never leaves."""
    return UUID(actor) if _UUID.fullmatch(actor) else None


def _check(task: Task, entry: Entry, now: datetime) -> None:
    if entry.contacted_at > now:
        raise Invalid(
            f"The contact would lie in the future; it is {shanghai(now).isoformat(timespec='seconds')} now. "
            "Record it after it has taken place.",
            "contact-in-the-future",
        )
    if entry.contacted_at < task.opened_at:
        raise Invalid(
            f"The movement was detected at {shanghai(task.opened_at).isoformat(timespec='seconds')}; "
            "a contact before that cannot have been about it.",
            "contact-before-the-movement",
        )
    if not any(getattr(entry, block) for block in BLOCKS):
        raise Invalid(f"Fill at least one of the five blocks: {', '.join(BLOCKS)}.", "contact-without-content")
