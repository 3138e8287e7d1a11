"""The tables of retention: maintenance tasks, the contacts made for them, and the delegations asked for."""

from datetime import date, datetime
from typing import Any
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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING
from shared.months import month_text, quarter_text

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
        CheckConstraint("kind IN ('movement', 'quarter_movement')", name="kind_check"),
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
    quarter: Mapped[date | None]
    in_person: Mapped[bool] = mapped_column(server_default=text("false"))
    priority: Mapped[bool] = mapped_column(server_default=text("false"))
    assist: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    delegated_to: Mapped[str | None]

    @property
    def reason(self) -> dict[str, object]:
        """Return what the task is for, as callers see it."""
        quarter = quarter_text(self.quarter) if self.quarter else None
        return {
            "movement_id": self.movement_id,
            "month": month_text(self.month),
            "quarter": quarter,
            "kind": self.movement_kind,
        }


Index("tasks_falling_due", Task.due_at, postgresql_where=Task.state.in_(("open", "claimed")))
Index("tasks_found_overdue", Task.overdue_run, postgresql_where=Task.overdue_run.is_not(None))


class Delegation(Base):
    """Somebody wanted a task to be done by another person (转派); of a task that is owed in person it is a breach (违规)."""

    __tablename__ = "delegations"
    __table_args__ = (
        UniqueConstraint("task_id", "number"),
        Index("delegations_of_unit", "unit_code", "asked_at", "delegation_id"),
    )

    delegation_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.task_id"))
    number: Mapped[int] = mapped_column(SmallInteger)
    account_no: Mapped[str] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    asked_by: Mapped[str]
    delegate_to: Mapped[str]
    breach: Mapped[bool]
    asked_at: Mapped[datetime]


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
    cause_code: Mapped[str | None]
