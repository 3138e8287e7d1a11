"""Door: somebody asks. Maintenance tasks, their claims, contacts and completion."""

from typing import Annotated

from fastapi import Query

from services.retention import contacts, delegations, executors, worklist
from services.retention.schemas import (
    ContactCreate,
    ContactRecorded,
    DelegationCreate,
    DelegationList,
    DelegationRead,
    Kind,
    Role,
    State,
    TaskDetail,
    TaskList,
    TaskRead,
)
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Id, Instant

router = Router()
HelpedBy = Annotated[Role | None, Query(description="Only tasks that this role helps with.")]
DueBefore = Annotated[Instant | None, Query(description="Only tasks due before this instant.")]


@router.get("/v1/tasks", name="retention.list_tasks", summary="List tasks, the earliest due first", responses=PROBLEMS)
async def list_tasks(
    *,
    session: Session,
    unit: UnitFilter,
    page: Page,
    role: Role | None = None,
    state: State | None = None,
    kind: Kind | None = None,
    assist: HelpedBy = None,
    due_before: DueBefore = None,
) -> TaskList:
    """List the tasks of a unit and the units below it."""
    found = await worklist.list_tasks(
        session, unit, page, role=role, state=state, kind=kind, assist=assist, due_before=due_before
    )
    return TaskList.model_validate(found)


@router.get("/v1/tasks/{task_id}", name="retention.read_task", summary="Read a task with its contacts", responses=PROBLEMS)
async def read_task(session: Session, task_id: Id) -> TaskDetail:
    """Read a task, the contacts made for it, and which of the five blocks are still missing."""
    return TaskDetail.model_validate(await worklist.read_task(session, task_id))


@router.post("/v1/tasks/{task_id}/claim", name="retention.claim_task", summary="Claim a task", responses=PROBLEMS)
async def claim_task(session: Session, caller: Caller, idempotent: Idempotent, task_id: Id) -> TaskRead:
    """Take a task that is for the caller's role; a second claim is refused with 409."""
    return TaskRead.model_validate(await executors.claim(session, task_id, caller.actor, caller.roles))


@router.post(
    "/v1/tasks/{task_id}/contacts",
    name="retention.record_contact",
    summary="Record a contact made for a task",
    status_code=201,
    responses=PROBLEMS,
)
async def record_contact(
    session: Session, caller: Caller, idempotent: Idempotent, task_id: Id, contact: ContactCreate
) -> ContactRecorded:
    """Record a visit, call or message: the task is claimed with it, if nobody had. Entered late after 3 working days."""
    entry = contacts.Entry(contacted_at=contact.at, **contact.model_dump(exclude={"at"}))
    return ContactRecorded.model_validate(await contacts.record(session, task_id, caller.actor, caller.roles, entry))


@router.post(
    "/v1/tasks/{task_id}/completion",
    name="retention.complete_task",
    summary="Complete a task whose five blocks are filled",
    responses=PROBLEMS,
)
async def complete_task(session: Session, caller: Caller, idempotent: Idempotent, task_id: Id) -> TaskRead:
    """Complete the task once its contacts fill all five blocks between them."""
    return TaskRead.model_validate(await contacts.complete(session, task_id, caller.actor, caller.roles))


@router.post(
    "/v1/tasks/{task_id}/delegations",
    name="retention.delegate_task",
    summary="Arrange who does a task",
    status_code=201,
    responses=PROBLEMS,
)
async def delegate_task(
    session: Session, caller: Caller, idempotent: Idempotent, task_id: Id, wanted: DelegationCreate
) -> DelegationRead:
    """Arrange who of the staff does a task; of one that is owed in person the attempt is refused and logged as a breach."""
    found = await delegations.delegate(session, task_id, caller.actor, caller.roles, wanted.delegate_to)
    return DelegationRead.model_validate(found)


@router.get("/v1/delegations", name="retention.list_delegations", summary="List delegations and breaches", responses=PROBLEMS)
async def list_delegations(*, session: Session, unit: UnitFilter, page: Page, breach: bool | None = None) -> DelegationList:
    """List the delegations asked for in a unit and the units below it; `breach=true` for those of tasks owed in person."""
    return DelegationList.model_validate(await delegations.list_delegations(session, unit, page, breach=breach))
