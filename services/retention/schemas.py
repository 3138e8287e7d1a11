"""What HTTP callers of retention send and receive."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.schemas import AccountNo, AnswerModel, Id, Instant, MonthText, StrictModel

Role = Literal["district_head", "branch_manager", "outlet_staff"]
State = Literal["open", "claimed", "done", "overdue", "cancelled"]
Kind = Literal["movement"]
Channel = Literal["visit", "phone", "sms", "email", "im"]
BlockName = Literal["cause", "satisfaction", "other_needs", "competitor", "news_passed_on"]
Block = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Reason(AnswerModel):
    """The movement that a task is for."""

    movement_id: Id
    month: MonthText
    kind: Literal["fall_over_half", "zero_month"]


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
