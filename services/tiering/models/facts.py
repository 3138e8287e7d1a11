"""What other services told of an account: its maintenance tasks, the contacts made for them, its tickets, its routes."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, Base


class TaskFact(Base):
    """A maintenance task as retention last told it.

    Tier, branch and outlet are those of the movement behind it and never change. `overdue_at` is its due instant where it fell
    overdue, also when it was done afterwards.
    """

    __tablename__ = "task_facts"
    __table_args__ = (
        Index("task_facts_of_account", "account_no", "opened_at"),
        Index("task_facts_of_branch", "branch_code", "opened_at"),
    )

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    role: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    outlet_code: Mapped[str | None] = mapped_column(CODE)
    kind: Mapped[str]
    state: Mapped[str]
    movement_id: Mapped[UUID | None]
    service_tier: Mapped[str]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    overdue_at: Mapped[datetime | None]
    sequence: Mapped[int] = mapped_column(BigInteger)


class ContactFact(Base):
    """A contact that was recorded for a task: names of blocks, never what was said."""

    __tablename__ = "contact_facts"
    __table_args__ = (
        Index("contact_facts_of_account", "account_no", "contacted_at"),
        Index("contact_facts_of_task", "task_id"),
    )

    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID]
    account_no: Mapped[str] = mapped_column(CODE)
    channel: Mapped[str]
    contacted_at: Mapped[datetime]
    entered_at: Mapped[datetime]
    late: Mapped[bool]
    blocks_filled: Mapped[int]
    blocks: Mapped[list[str]] = mapped_column(ARRAY(CODE))
    actor_role: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    staff_id: Mapped[UUID | None]
    sequence: Mapped[int] = mapped_column(BigInteger)


class TicketFact(Base):
    """A ticket as the tickets service last told it; `resolved_at` is the instant of its first resolution that stands."""

    __tablename__ = "ticket_facts"
    __table_args__ = (
        Index("ticket_facts_of_account", "account_no", "opened_at"),
        Index("ticket_facts_opened", "opened_at", postgresql_using="brin"),
    )

    ticket_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_no: Mapped[str | None] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    ticket_class: Mapped[str]
    cause_hint: Mapped[str | None]
    cause_code: Mapped[str | None]
    priority: Mapped[str]
    state: Mapped[str]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    sequence: Mapped[int] = mapped_column(BigInteger)


class RouteFact(Base):
    """Where the parcels of an account went that were picked up in a month, as the tickets service counted them.

    `routes` is that event's list. `considered`: a search for causes has seen the row.
    """

    __tablename__ = "route_facts"
    __table_args__ = (Index("route_facts_new", "month", postgresql_where=text("NOT considered")),)

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    parcels: Mapped[int]
    routes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    considered: Mapped[bool] = mapped_column(server_default=text("false"))
