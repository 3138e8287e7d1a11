"""What HTTP callers of tickets send and receive."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, StringConstraints

from shared.schemas import AccountNo, AnswerModel, Id, Instant, StrictModel, WaybillNo

TicketClass = Literal["complaint", "suggestion", "enquiry", "problem_parcel", "claim", "quote"]
CauseHint = Literal["late", "damaged", "lost", "refused", "delayed"]
Priority = Literal["P1", "P2", "P3", "P4"]
State = Literal["open", "assigned", "resolved", "closed", "refuted"]
CauseCode = Literal[
    "sorting",
    "transport",
    "delivery",
    "pickup",
    "packaging",
    "address",
    "consignee_absent",
    "consignee_refused",
    "prohibited_goods",
    "customs",
    "weather",
    "billing",
    "service_attitude",
    "system",
    "information_given",
    "no_fault",
    "other",
]
FreeText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class TicketItem(AnswerModel):
    """A ticket as it stands in a list."""

    ticket_id: Id
    ticket_class: TicketClass = Field(
        validation_alias=AliasChoices("ticket_class", "class"), serialization_alias="class", description="What it is about."
    )
    cause_hint: CauseHint | None = Field(description="What the scans say went wrong; null for a ticket by hand.")
    waybill_no: str | None
    account_no: str | None
    priority: Priority = Field(description="P1-P4: due in 2, 8, 24, 72 working hours.")
    opened_at: Instant = Field(description="For a late parcel the instant promised.")
    due_at: Instant
    state: State


class TicketRead(TicketItem):
    """A ticket with what is known and was done about it."""

    branch_code: str | None = Field(description="The branch it belongs to where no account says so.")
    delivered_at: Instant | None = Field(description="When a late parcel was delivered after all.")
    assignee: str | None
    cause_code: str | None = Field(description="Why it went wrong, coded when it was resolved.")
    text: str | None
    note: str | None
    opened_by: str | None = Field(description="Who opened it; null where scans did.")
    changed_at: Instant


class TicketList(AnswerModel):
    """One page of tickets, the earliest deadline first."""

    items: list[TicketItem]
    next_cursor: str | None


class TicketCreate(StrictModel):
    """A ticket that somebody opens by hand."""

    ticket_class: TicketClass = Field(alias="class", description="What it is about.")
    waybill_no: WaybillNo | None = Field(default=None, description="The parcel it is about.")
    account_no: AccountNo | None = Field(default=None, description="The account it is about; default that of the parcel.")
    priority: Priority = Field(default="P3", description="P1-P4: due in 2, 8, 24, 72 working hours.")
    text: FreeText = Field(description="What was said. Never leaves this service by the bus.")


class Assignment(StrictModel):
    """Who takes a ticket."""

    assignee: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")] = Field(
        description="The staff member's id, as in the tokens."
    )


class Resolution(StrictModel):
    """How a ticket was settled."""

    cause_code: CauseCode = Field(description="Why it went wrong.")
    note: FreeText | None = Field(default=None, description="What was done. Never leaves this service by the bus.")


class TimelineEntry(AnswerModel):
    """One scan."""

    status: str
    occurred_at: Instant


class ParcelRead(AnswerModel):
    """Where a parcel stands, and its timeline in order."""

    waybill_no: str
    account_no: str | None
    status: str | None = Field(description="The last known status; null while only unknown ones were scanned.")
    events: list[TimelineEntry]
