"""Events of the tickets service: what went wrong for a customer (工单, 问题件), and where its parcels went (流向).

Topic `ticket.events`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.events.envelope import Event
from shared.events.fields import INT4_MAX, AccountNo, Instant, Month, Number, Place, PublicId, UnitCode, Version

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


Parcels = Annotated[int, Field(ge=1, le=INT4_MAX)]


class Route(BaseModel):
    """Parcels of an account from one region to another in a month."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    origin_region: Place = Field(description="Region or province of the sender; empty where unknown.")
    destination_region: Place = Field(description="Region or province of the receiver.")
    parcels: Parcels = Field(description="Parcels picked up in the month.")
    waybill_nos: Annotated[tuple[Number, ...], Field(max_length=10)] = Field(description="The first of them by number.")


class RoutesCounted(Event):
    """Where the parcels of an account went that were picked up in a month; counted once, when the month is over."""

    TOPIC: ClassVar[str] = "ticket.events"
    KEY: ClassVar[str] = "account_no"
    TYPE: ClassVar[str] = "ticket.routes-counted.v1"

    account_no: AccountNo = Field(description="Settlement account that pays.")
    month: Month = Field(description="Month in which the parcels were picked up.")
    parcels: Parcels = Field(description="All parcels picked up whose destination is known.")
    routes: Annotated[tuple[Route, ...], Field(max_length=200)] = Field(description="The largest routes, the largest first.")

    def identity(self) -> tuple[str | int, ...]:
        """A count is made once per account and month."""
        return self.account_no, self.month.isoformat()[:7]
