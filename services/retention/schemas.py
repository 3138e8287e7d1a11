"""What HTTP callers of retention send and receive."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.events.contacts import CauseCode
from shared.schemas import AccountNo, AnswerModel, Id, Instant, MonthText, QuarterText, StrictModel, free_text

Role = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$"), Field(examples=["branch_manager"])]
State = Literal["open", "claimed", "done", "overdue", "cancelled"]
Kind = Literal["movement", "quarter_movement"]
Channel = Literal["visit", "phone", "sms", "email", "im"]
BlockName = Literal["cause", "satisfaction", "other_needs", "competitor", "news_passed_on"]
Block = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Reason(AnswerModel):
    """The movement that a task is for."""

    movement_id: Id
    month: MonthText = Field(description="Month of the movement; of a quarterly one the last month of its quarter.")
    quarter: QuarterText | None = Field(None, description="Quarter of a quarterly movement, else null.")
    kind: Literal["fall_over_half", "zero_month", "riser", "decliner", "rise", "fall", "resumed"]


class Assist(AnswerModel):
    """Who helps the one who owes the talk."""

    role: str
    unit_code: str


class TaskItem(AnswerModel):
    """A task as it stands in a list."""

    task_id: Id
    kind: Kind
    account_no: AccountNo
    role: Role = Field(description="The role that owes the talk; only it can claim the task.")
    unit_code: str
    state: State
    due_at: Instant = Field(description="The first instant at which the task is overdue.")
    reason: Reason
    in_person: bool = Field(False, description="Whether that role must do it in person: it cannot be passed on.")
    priority: bool = Field(False, description="Whether it goes first: the account brings enough freight.")
    assist: list[Assist] = Field([], description="Who helps; the task stays one.")
    delegated_to: str | None = Field(None, description="Who was arranged to do it.")


class TaskRead(TaskItem):
    """A task with what happened to it."""

    opened_at: Instant = Field(description="When the movement was detected.")
    overdue_at: Instant | None
    claimed_by: str | None
    claimed_at: Instant | None
    done_by: str | None
    done_at: Instant | None
    cancelled_reason: Literal["restated", "no_longer_true"] | None


class TaskList(AnswerModel):
    """One page of tasks, the earliest due first."""

    items: list[TaskItem]
    next_cursor: str | None


class ContactCreate(StrictModel):
    """A contact that took place; at least one of the five blocks is filled."""

    channel: Channel
    at: Instant = Field(description="When the contact took place: not in the future, not before the movement was detected.")
    cause: Block | None = Field(None, description="Why the shipper's freight moved.")
    satisfaction: Block | None = Field(None, description="How content the shipper is with our service.")
    other_needs: Block | None = Field(None, description="What else the shipper needs.")
    competitor: Block | None = Field(None, description="Which competitor the shipper uses, and for what.")
    news_passed_on: Block | None = Field(None, description="Which news or offers of ours were passed on.")
    cause_code: CauseCode | None = Field(None, description="Why freight moved, as a code from the list; told to tiering.")


class ContactRead(AnswerModel):
    """A recorded contact."""

    contact_id: Id
    channel: Channel
    at: Instant = Field(validation_alias="contacted_at", description="When the contact took place.")
    entered_at: Instant
    late: bool = Field(description="Entered more than three working days after the contact.")
    actor: str
    cause: str | None
    satisfaction: str | None
    other_needs: str | None
    competitor: str | None
    news_passed_on: str | None
    cause_code: CauseCode | None


class ContactRecorded(AnswerModel):
    """The receipt of a contact. It repeats none of the text: answers are kept with their Idempotency-Key."""

    contact_id: Id
    entered_at: Instant
    late: bool = Field(description="Entered more than three working days after the contact.")
    missing_blocks: list[BlockName] = Field(description="Blocks without which the task cannot be completed.")


class TaskDetail(AnswerModel):
    """A task, the contacts made for it, and what the talk still has to bring."""

    task: TaskRead
    contacts: list[ContactRead]
    missing_blocks: list[BlockName] = Field(description="Blocks without which the task cannot be completed.")


class DelegationCreate(StrictModel):
    """Who is to do a task instead."""

    delegate_to: Annotated[str, free_text(120)] = Field(description="The person, as tokens name them.")


class DelegationRead(AnswerModel):
    """A delegation that was asked for: of a task owed in person it is refused and kept as a breach."""

    delegation_id: Id
    task_id: Id
    account_no: AccountNo
    unit_code: str
    asked_by: str
    delegate_to: str
    breach: bool = Field(description="True: the task must be done in person, so nothing was passed on and the attempt is kept.")
    asked_at: Instant


class DelegationList(AnswerModel):
    """One page of delegations, in the order they were asked for."""

    items: list[DelegationRead]
    next_cursor: str | None
