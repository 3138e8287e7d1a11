"""Events of the tickets service: what went wrong for a customer (工单, 问题件), and until when it is mended.

Topic `ticket.events`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Instant, Number, PublicId, UnitCode, Version

TicketClass = Literal["complaint", "suggestion", "enquiry", "problem_parcel", "claim", "quote"]
CauseHint = Literal["late", "damaged", "lost", "refused", "delayed"]


class TicketState(Event):
    """The whole state of a ticket after a change. The field `class` on the wire is `ticket_class` in code."""

    TOPIC: ClassVar[str] = "ticket.events"
    KEY: ClassVar[str] = "ticket_id"

    ticket_id: PublicId = Field(description='For a problem parcel made from ("ticket", waybill_no, cause_hint).')
    ticket_class: TicketClass = Field(
        validation_alias="class", serialization_alias="class", description="What the ticket is about."
    )
    cause_hint: CauseHint | None = Field(description="What the scans say went wrong, null for a ticket by hand.")
    waybill_no: Number | None = Field(description="Parcel it is about, null where it is about none.")
    account_no: AccountNo | None = Field(description="Settlement account it is about, null where it is about none.")
    branch_code: UnitCode | None = Field(description="Branch it belongs to where no account says so.")
    priority: Literal["P1", "P2", "P3", "P4"] = Field(description="P1 is the most urgent.")
    opened_at: Instant = Field(description="When it went wrong: for a late parcel the instant promised.")
    due_at: Instant = Field(description="Must be resolved until this instant.")
    state: Literal["open", "assigned", "resolved", "closed", "refuted"] = Field(description="How far it is.")
    changed_at: Instant = Field(description="Business instant of this change.")
    version: Version = Field(description="Rises with every event of this ticket, from 1.")
    cause_code: Number | None = Field(default=None, description="Why it went wrong, coded when it was resolved; null before.")

    def identity(self) -> tuple[str | int, ...]:
        """A state is the same one when ticket and version are."""
        return str(self.ticket_id), self.version


class TicketOpened(TicketState):
    """Something went wrong, by the scans of a parcel or by what somebody told us."""

    TYPE: ClassVar[str] = "ticket.opened.v1"


class TicketChanged(TicketState):
    """A ticket was assigned, closed, or learnt something new."""

    TYPE: ClassVar[str] = "ticket.changed.v1"


class TicketResolved(TicketState):
    """A ticket was resolved and its cause coded."""

    TYPE: ClassVar[str] = "ticket.resolved.v1"


class TicketRefuted(TicketState):
    """A scan that came later proved that nothing had gone wrong."""

    TYPE: ClassVar[str] = "ticket.refuted.v1"
