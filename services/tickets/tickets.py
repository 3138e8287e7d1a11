"""Tickets (工单): one case with a deadline, opened by scans or by hand, assigned to somebody, resolved with a cause code.

A ticket by hand is about a parcel, an account, both or neither. It belongs to its account; without one to the branch of its
parcel, else to the unit of whoever opened it. States: open -> assigned -> resolved; an open one may be resolved at once, when
the first talk settles it. Refuted is what later scans do to a ticket that should not have been opened.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tickets import deadlines
from services.tickets.models import Parcel, Ticket
from services.tickets.reach import in_unit, seen_by
from shared import working_days
from shared.clock import business_now
from shared.db import Scope
from shared.events.tickets import TicketChanged, TicketOpened, TicketRefuted, TicketResolved, TicketState
from shared.ids import natural_id
from shared.kernel.tables import accounts
from shared.outbox import publish
from shared.paging import PageRequest, paged
from shared.problems import Conflict, NotFound

CAUSE_CODES = MappingProxyType(
    {
        "sorting": "sorted to a wrong place or left behind (分拣)",
        "transport": "line haul late or damaged the load (运输)",
        "delivery": "the courier's own mistake (派送)",
        "pickup": "collected late or not at all (揽收)",
        "packaging": "packed too weakly for the goods (包装)",
        "address": "address or phone wrong or incomplete (地址)",
        "consignee_absent": "nobody there to take it (无人签收)",
        "consignee_refused": "the consignee did not want it (拒收)",
        "prohibited_goods": "goods that may not be carried (违禁品)",
        "customs": "held by customs (清关)",
        "weather": "weather, traffic or an authority (不可抗力)",
        "billing": "charged wrongly (计费)",
        "service_attitude": "how somebody was treated (服务态度)",
        "system": "a system said or did something wrong (系统)",
        "information_given": "a question, answered (咨询)",
        "no_fault": "looked into, nothing was wrong (无责)",
        "other": "none of these; the note says what",
    }
)
"""Why it went wrong, coded when a ticket is resolved, so that causes can be counted."""


class Changes:
    """Tickets changed by one transaction, so that each is announced once, with its last state."""

    def __init__(self) -> None:
        self._rows: dict[UUID, tuple[str | None, Mapping[str, Any]]] = {}

    def note(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add changed rows of `tickets`, with the state before as `state_before` (None: the ticket is new)."""
        for row in rows:
            before, _ = self._rows.get(row["ticket_id"], (row["state_before"], row))
            self._rows[row["ticket_id"]] = before, row

    def announce(self, session: AsyncSession) -> None:
        """Publish the state of each ticket."""
        for before, row in self._rows.values():
            publish(session, _event(before, row["state"])(**_state(row)))


def _event(before: str | None, state: str) -> type[TicketState]:
    """Return the type of event that a change of state is."""
    if before is None:
        return TicketOpened
    if before != state and state in {"resolved", "refuted"}:
        return TicketResolved if state == "resolved" else TicketRefuted
    return TicketChanged


def _state(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what others may know of a ticket: codes and instants, no free text, no person."""
    known = {name: row[name] for name in TicketState.model_fields if name != "ticket_class"}
    return {**known, "ticket_class": row["class"]}


@dataclass(frozen=True, slots=True)
class Case:
    """What somebody opens a ticket about."""

    ticket_class: str
    waybill_no: str | None
    account_no: str | None
    priority: str
    text: str


async def list_tickets(
    session: AsyncSession,
    scope: Scope,
    unit: str,
    page: PageRequest,
    *,
    state: str | None = None,
    ticket_class: str | None = None,
) -> dict[str, Any]:
    """List the tickets of a unit's subtree that the caller may see, the earliest deadline first."""
    query = select(Ticket).where(seen_by(Ticket, scope), in_unit(Ticket, unit))
    if state is not None:
        query = query.where(Ticket.state == state)
    if ticket_class is not None:
        query = query.where(Ticket.ticket_class == ticket_class)
    if page.after is not None:
        query = query.where(tuple_(Ticket.due_at, Ticket.ticket_id) > tuple_(*map(literal, page.after)))
    found = (await session.scalars(query.order_by(Ticket.due_at, Ticket.ticket_id).limit(page.limit + 1))).all()
    return paged(found, page, key=lambda ticket: (ticket.due_at, ticket.ticket_id))


async def read_ticket(session: AsyncSession, scope: Scope, ticket_id: UUID, *, lock: bool = False) -> Ticket:
    """Return a ticket, locked for a change or not. Raises NotFound where the caller sees no such ticket."""
    query = select(Ticket).where(Ticket.ticket_id == ticket_id, seen_by(Ticket, scope))
    ticket = (await session.scalars(query.with_for_update(of=Ticket) if lock else query)).one_or_none()
    if ticket is None:
        raise NotFound("ticket", ticket_id)
    return ticket


async def open_ticket(session: AsyncSession, scope: Scope, actor: str, case: Case) -> Ticket:
    """Open a ticket by hand, due after the working hours of its priority.

    Without an account it takes that of the parcel, where the caller sees the parcel; a shipper's ticket is about its own
    account. Raises NotFound for an account that the caller does not see.
    """
    seen = select(Parcel).where(Parcel.waybill_no == case.waybill_no, seen_by(Parcel, scope))
    parcel = (await session.scalars(seen)).one_or_none()
    account_no = case.account_no or scope.account_no or (parcel.account_no if parcel else None)
    if account_no != (parcel.account_no if parcel else None):
        await _check_account(session, scope, account_no)
    now = await business_now(session)
    calendar = await working_days.load(session, *deadlines.days_needed([now]))
    ticket = Ticket(
        ticket_id=natural_id("ticket-by-hand", secrets.token_hex(16)),
        ticket_class=case.ticket_class,
        waybill_no=case.waybill_no,
        account_no=account_no,
        branch_code=(parcel.branch_code if parcel else None) or (None if account_no else scope.unit_code),
        priority=case.priority,
        opened_at=now,
        due_at=deadlines.due_at(calendar, now, case.priority),
        state="open",
        text=case.text,
        opened_by=actor,
        changed_by=actor,
        changed_at=now,
        version=1,
    )
    session.add(ticket)
    await session.flush()
    _announce(session, None, ticket)
    return ticket


async def _check_account(session: AsyncSession, scope: Scope, account_no: str | None) -> None:
    """Raise NotFound for an account that the caller does not see: it is in no directory, or in another unit's."""
    if account_no == scope.account_no:
        return
    if await session.scalar(select(accounts.c.account_no).where(accounts.c.account_no == account_no)) is None:
        raise NotFound("account", account_no)


async def assign(session: AsyncSession, scope: Scope, actor: str, ticket_id: UUID, assignee: str) -> Ticket:
    """Give a ticket to somebody, or to somebody else. Raises NotFound; Conflict where it is settled."""
    ticket = await read_ticket(session, scope, ticket_id, lock=True)
    if ticket.state not in {"open", "assigned"}:
        raise Conflict("ticket-settled", f"The ticket is {ticket.state}: open a new one if there is still something to do.")
    if (ticket.state, ticket.assignee) != ("assigned", assignee):
        await _change(session, actor, ticket, state="assigned", assignee=assignee)
    return ticket


async def resolve(
    session: AsyncSession, scope: Scope, actor: str, ticket_id: UUID, *, cause_code: str, note: str | None
) -> Ticket:
    """Settle a ticket and code its cause (one of CAUSE_CODES). Raises NotFound; Conflict where it is settled already."""
    ticket = await read_ticket(session, scope, ticket_id, lock=True)
    if ticket.state == "refuted":
        raise Conflict("ticket-refuted", "Later scans proved that nothing went wrong: there is nothing to resolve.")
    if ticket.state not in {"open", "assigned"}:
        raise Conflict("ticket-settled", f"The ticket is {ticket.state} already: read it for its cause.")
    await _change(session, actor, ticket, state="resolved", cause_code=cause_code, note=note)
    return ticket


async def _change(session: AsyncSession, actor: str, ticket: Ticket, **values: str | None) -> None:
    """Write new values to a locked ticket and announce its state."""
    before = ticket.state
    for name, value in values.items():
        setattr(ticket, name, value)
    ticket.changed_by = actor
    ticket.changed_at = max(ticket.opened_at, await business_now(session))
    ticket.version += 1
    await session.flush()
    _announce(session, before, ticket)


def _announce(session: AsyncSession, before: str | None, ticket: Ticket) -> None:
    """Publish a ticket's state."""
    changes = Changes()
    columns = {column.name: getattr(ticket, key) for key, column in Ticket.__mapper__.columns.items()}
    changes.note([{**columns, "state_before": before}])
    changes.announce(session)
