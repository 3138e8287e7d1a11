"""The tables of retention: maintenance tasks and the contacts made for them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING
from shared.months import month_text

CODE = Text(collation="C")


class Base(DeclarativeBase):
    """The declarative base of retention's own tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        UUID: Uuid,
    }


class Task(Base):
    """A maintenance task (维系任务): one talk that one role of one unit owes a shipper until an instant.

    `version` counts the published states. `movement_sequence` is the place of the last movement event in its account's
    order. `overdue_run` is the scheduled instant that found the task overdue; null where a person's entry or the
    withdrawal of the movement found it first.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("kind = 'movement'", name="kind_check"),
        CheckConstraint("role IN ('district_head', 'branch_manager', 'outlet_staff')", name="role_check"),
        CheckConstraint("state IN ('open', 'claimed', 'done', 'overdue', 'cancelled')", name="state_check"),
        UniqueConstraint("movement_id"),
        Index("tasks_by_due", "due_at", "task_id"),
        Index("tasks_of_unit", "unit_code", "due_at", "task_id"),
    )

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    account_no: Mapped[str] = mapped_column(CODE)
    role: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    state: Mapped[str]
    due_at: Mapped[datetime]
    movement_id: Mapped[UUID]
    month: Mapped[date]
    movement_kind: Mapped[str]
    opened_at: Mapped[datetime]
    overdue_at: Mapped[datetime | None]
    overdue_run: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    done_by: Mapped[str | None]
    done_at: Mapped[datetime | None]
    cancelled_reason: Mapped[str | None]
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer)
    movement_sequence: Mapped[int] = mapped_column(BigInteger)

    @property
    def reason(self) -> dict[str, object]:
        """Return what the task is for, as callers see it."""
        return {"movement_id": self.movement_id, "month": month_text(self.month), "kind": self.movement_kind}


Index("tasks_falling_due", Task.due_at, postgresql_where=Task.state.in_(("open", "claimed")))
Index("tasks_found_overdue", Task.overdue_run, postgresql_where=Task.overdue_run.is_not(None))


class Contact(Base):
    """A contact (维系记录) made for a task, with the blocks of the movement talk it answered.

    The five blocks are free text about people and rivals: they stay in this table, never on the bus and never in a log.
    `unit_code` repeats the task's, for row-level security.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        CheckConstraint("channel IN ('visit', 'phone', 'sms', 'email', 'im')", name="channel_check"),
        UniqueConstraint("task_id", "number"),
    )

    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.task_id"))
    number: Mapped[int] = mapped_column(SmallInteger)
    unit_code: Mapped[str] = mapped_column(CODE)
    channel: Mapped[str]
    contacted_at: Mapped[datetime]
    entered_at: Mapped[datetime]
    late: Mapped[bool]
    actor: Mapped[str]
    cause: Mapped[str | None]
    satisfaction: Mapped[str | None]
    other_needs: Mapped[str | None]
    competitor: Mapped[str | None]
    news_passed_on: Mapped[str | None]
