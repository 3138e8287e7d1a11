"""Events of the retention service: what somebody has to do for an account (维系任务), and until when.

Topic `retention.events`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Instant, Month, PublicId, Quarter, UnitCode, Version
from shared.events.tiering import Assist, MovementKind, QuarterMovementKind, RoleName

TaskKind = Literal["movement", "quarter_movement"]


class TaskState(Event):
    """The whole state of a maintenance task after a change."""

    TOPIC: ClassVar[str] = "retention.events"
    KEY: ClassVar[str] = "account_no"

    task_id: PublicId = Field(description='Made from ("task", movement_id).')
    kind: TaskKind = Field(description="What the task is for: a monthly or a quarterly movement.")
    account_no: AccountNo = Field(description="Account to be talked to.")
    role: RoleName = Field(description="Who has to do it, by the policy's matrix: 区总, 分部经理, 点部.")
    unit_code: UnitCode = Field(description="Unit whose member of that role has to do it.")
    state: Literal["open", "claimed", "done", "overdue", "cancelled"] = Field(description="How far it is.")
    due_at: Instant = Field(description="Must be done before this instant.")
    movement_id: PublicId = Field(description="Movement that opened it.")
    month: Month = Field(description="Month of the movement; of a quarterly one the last month of its quarter.")
    quarter: Quarter | None = Field(default=None, description="Quarter of a quarterly movement, else null.")
    movement_kind: MovementKind | QuarterMovementKind = Field(description="Kind of the movement.")
    in_person: bool = Field(default=False, description="Whether that role must do it in person: it cannot be passed on.")
    priority: bool = Field(default=False, description="Whether it goes first: the account brings enough freight.")
    assist: tuple[Assist, ...] = Field(default=(), description="Who helps; the task stays one.")
    changed_at: Instant = Field(description="Business instant of this change.")
    version: Version = Field(description="Rises with every event of this task, from 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A state is the same one when task and version are."""
        return str(self.task_id), self.version


class TaskOpened(TaskState):
    """A movement asks for a talk with the account."""

    TYPE: ClassVar[str] = "retention.task-opened.v2"


class TaskClaimed(TaskState):
    """Somebody took the task on."""

    TYPE: ClassVar[str] = "retention.task-claimed.v2"


class TaskDone(TaskState):
    """The talk took place and its record is complete."""

    TYPE: ClassVar[str] = "retention.task-done.v2"


class TaskOverdue(TaskState):
    """The task was not done when its quarter ended."""

    TYPE: ClassVar[str] = "retention.task-overdue.v2"


class TaskCancelled(TaskState):
    """The movement behind the task was withdrawn."""

    TYPE: ClassVar[str] = "retention.task-cancelled.v2"
