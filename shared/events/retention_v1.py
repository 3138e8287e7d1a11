"""Events of the retention service as they were until tasks were opened for quarterly movements, too: read, no longer published.

Topic `retention.events`; `shared.events.retention` has their successors.
"""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Instant, Month, PublicId, UnitCode, Version
from shared.events.tiering import MovementKind

TaskRole = Literal["district_head", "branch_manager", "outlet_staff"]


class TaskStateV1(Event):
    """The whole state of a maintenance task after a change."""

    TOPIC: ClassVar[str] = "retention.events"
    KEY: ClassVar[str] = "account_no"

    task_id: PublicId = Field(description='Made from ("task", movement_id).')
    kind: Literal["movement"] = Field(description="What the task is for.")
    account_no: AccountNo = Field(description="Account to be talked to.")
    role: TaskRole = Field(description="Who has to do it: 区总 for VIP, 分部经理 for key, 点部 for general customers.")
    unit_code: UnitCode = Field(description="Unit whose member of that role has to do it.")
    state: Literal["open", "claimed", "done", "overdue", "cancelled"] = Field(description="How far it is.")
    due_at: Instant = Field(description="Must be done before this instant.")
    movement_id: PublicId = Field(description="Movement that opened it.")
    month: Month = Field(description="Month of the movement.")
    movement_kind: MovementKind = Field(description="Kind of the movement.")
    changed_at: Instant = Field(description="Business instant of this change.")
    version: Version = Field(description="Rises with every event of this task, from 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A state is the same one when task and version are."""
        return str(self.task_id), self.version


class TaskOpenedV1(TaskStateV1):
    """A movement asks for a talk with the account."""

    TYPE: ClassVar[str] = "retention.task-opened.v1"


class TaskClaimedV1(TaskStateV1):
    """Somebody took the task on."""

    TYPE: ClassVar[str] = "retention.task-claimed.v1"


class TaskDoneV1(TaskStateV1):
    """The talk took place and its record is complete."""

    TYPE: ClassVar[str] = "retention.task-done.v1"


class TaskOverdueV1(TaskStateV1):
    """The task was not done when its quarter ended."""

    TYPE: ClassVar[str] = "retention.task-overdue.v1"


class TaskCancelledV1(TaskStateV1):
    """The movement behind the task was withdrawn."""

    TYPE: ClassVar[str] = "retention.task-cancelled.v1"
