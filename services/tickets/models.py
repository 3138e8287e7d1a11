"""The tables of the tickets service: scans, parcels, tickets."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Index, MetaData, SmallInteger, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING

CODE = Text(collation="C")
INSTANT = DateTime(timezone=True)


class Base(DeclarativeBase):
    """The service's own tables; the kernel's are in `shared.kernel.metadata`."""

    metadata = MetaData(naming_convention=NAMING)


class Scan(Base):
    """What a publisher said about a waybill at an instant.

    `step` is the status's place in the lifecycle, null for an unknown status. Callers never read scans: a scan may say no
    account, or an old one, so what they may see is decided by the parcel, which carries its timeline.
    """

    __tablename__ = "scans"
    __table_args__ = (Index("scans_by_time", "occurred_at", postgresql_using="brin"),)
    waybill_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    status: Mapped[str] = mapped_column(CODE, primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(INSTANT, primary_key=True)
    step: Mapped[int | None] = mapped_column(SmallInteger)
    promised_at: Mapped[datetime | None] = mapped_column(INSTANT)
    exception_code: Mapped[str | None] = mapped_column(CODE)
    account_no: Mapped[str | None] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    origin_region: Mapped[str | None] = mapped_column(CODE)
    destination_region: Mapped[str | None] = mapped_column(CODE)


class RouteMonth(Base):
    """A month whose routes were counted and published."""

    __tablename__ = "route_months"
    month: Mapped[date] = mapped_column(primary_key=True)
    counted_at: Mapped[datetime] = mapped_column(INSTANT)


class Parcel(Base):
    """Where a parcel stands: a pure function of its scans, rendered anew whenever one arrives.

    `statuses` and `instants` are its timeline, in order. `status` is the last known one.
    `promised_at` is the promise last said, `late_at` the earliest promise that was in force when it fell due and not kept;
    `next_due_at` is `late_at` while the schedule has still to judge it.
    """

    __tablename__ = "parcels"
    __table_args__ = (Index("parcels_next_due", "next_due_at", postgresql_where=text("next_due_at IS NOT NULL")),)
    waybill_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    account_no: Mapped[str | None] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    status: Mapped[str | None] = mapped_column(CODE)
    status_at: Mapped[datetime | None] = mapped_column(INSTANT)
    promised_at: Mapped[datetime | None] = mapped_column(INSTANT)
    delivered_at: Mapped[datetime | None] = mapped_column(INSTANT)
    late_at: Mapped[datetime | None] = mapped_column(INSTANT)
    next_due_at: Mapped[datetime | None] = mapped_column(INSTANT)
    statuses: Mapped[list[str]] = mapped_column(ARRAY(CODE))
    instants: Mapped[list[datetime]] = mapped_column(ARRAY(INSTANT))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The timeline, entry by entry."""
        return [{"status": said, "occurred_at": at} for said, at in zip(self.statuses, self.instants, strict=True)]


class Ticket(Base):
    """One case with a deadline. `text` and `note` are free text and never leave this table by the bus."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("class IN ('complaint', 'suggestion', 'enquiry', 'problem_parcel', 'claim', 'quote')", name="class"),
        CheckConstraint("cause_hint IN ('late', 'damaged', 'lost', 'refused', 'delayed')", name="cause_hint"),
        CheckConstraint("priority IN ('P1', 'P2', 'P3', 'P4')", name="priority"),
        CheckConstraint("state IN ('open', 'assigned', 'resolved', 'closed', 'refuted')", name="state"),
        Index(
            "tickets_of_parcel",
            "waybill_no",
            "cause_hint",
            unique=True,
            postgresql_where=text("cause_hint IS NOT NULL"),
        ),
        Index("tickets_by_due", "due_at", "ticket_id"),
        Index("tickets_of_account", "account_no", "due_at", "ticket_id"),
    )
    ticket_id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_class: Mapped[str] = mapped_column("class", Text)
    cause_hint: Mapped[str | None] = mapped_column(Text)
    waybill_no: Mapped[str | None] = mapped_column(CODE)
    account_no: Mapped[str | None] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    priority: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(INSTANT)
    due_at: Mapped[datetime] = mapped_column(INSTANT)
    state: Mapped[str] = mapped_column(Text)
    assignee: Mapped[str | None] = mapped_column(Text)
    cause_code: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[datetime | None] = mapped_column(INSTANT)
    text: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    opened_by: Mapped[str | None] = mapped_column(Text)
    changed_by: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(INSTANT)
    version: Mapped[int]
