"""Door: somebody asks. Tickets, what is done about them, and the timelines of parcels."""

from typing import Annotated

from fastapi import Path, Query

from services.tickets import tickets, tracking
from services.tickets.schemas import (
    Assignment,
    ParcelRead,
    Resolution,
    State,
    TicketClass,
    TicketCreate,
    TicketList,
    TicketRead,
)
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Id

router = Router()
ClassFilter = Annotated[TicketClass | None, Query(alias="class", description="Only tickets of this class.")]
Waybill = Annotated[str, Path(pattern=r"^[ -~]{1,40}$", description="Number of the parcel.")]


@router.get("/v1/tickets", name="tickets.list_tickets", summary="List tickets, the earliest deadline first", responses=PROBLEMS)
async def list_tickets(
    *,
    session: Session,
    caller: Caller,
    unit: UnitFilter,
    page: Page,
    state: State | None = None,
    ticket_class: ClassFilter = None,
) -> TicketList:
    """List the tickets of a unit and the units below it; for a shipper those of its account."""
    found = await tickets.list_tickets(session, caller.scope, unit, page, state=state, ticket_class=ticket_class)
    return TicketList.model_validate(found)


@router.post("/v1/tickets", name="tickets.open_ticket", summary="Open a ticket", status_code=201, responses=PROBLEMS)
async def open_ticket(session: Session, caller: Caller, _once: Idempotent, ticket: TicketCreate) -> TicketRead:
    """Open a ticket about a parcel, an account, both or neither."""
    return TicketRead.model_validate(
        await tickets.open_ticket(session, caller.scope, caller.actor, tickets.Case(**ticket.model_dump()))
    )


@router.get("/v1/tickets/{ticket_id}", name="tickets.read_ticket", summary="Read a ticket", responses=PROBLEMS)
async def read_ticket(session: Session, caller: Caller, ticket_id: Id) -> TicketRead:
    """Read a ticket with what is known and was done about it."""
    return TicketRead.model_validate(await tickets.read_ticket(session, caller.scope, ticket_id))


@router.post(
    "/v1/tickets/{ticket_id}/assignment", name="tickets.assign_ticket", summary="Give a ticket to somebody", responses=PROBLEMS
)
async def assign_ticket(session: Session, caller: Caller, _once: Idempotent, ticket_id: Id, assignment: Assignment) -> TicketRead:
    """Give an open ticket to somebody, or an assigned one to somebody else; a settled one is refused with 409."""
    return TicketRead.model_validate(await tickets.assign(session, caller.scope, caller.actor, ticket_id, assignment.assignee))


@router.post("/v1/tickets/{ticket_id}/resolution", name="tickets.resolve_ticket", summary="Resolve a ticket", responses=PROBLEMS)
async def resolve_ticket(session: Session, caller: Caller, _once: Idempotent, ticket_id: Id, how: Resolution) -> TicketRead:
    """Settle a ticket and code its cause; one that is settled already is refused with 409."""
    return TicketRead.model_validate(
        await tickets.resolve(session, caller.scope, caller.actor, ticket_id, cause_code=how.cause_code, note=how.note)
    )


@router.get("/v1/parcels/{waybill_no}", name="tickets.read_parcel", summary="Read the timeline of a parcel", responses=PROBLEMS)
async def read_parcel(session: Session, caller: Caller, waybill_no: Waybill) -> ParcelRead:
    """Read where a parcel stands and every scan of it, in order."""
    return ParcelRead.model_validate(await tracking.read_parcel(session, caller.scope, waybill_no))
