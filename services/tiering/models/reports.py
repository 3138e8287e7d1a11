"""Reports on a clock: what is due, its snapshots, what people added, rectifications, extracts."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, Base


class ReportRow(Base):
    """A report (报告) of a unit for a period: open until its snapshot is taken, then frozen, then signed.

    `late` says that nobody had signed it by `due_at`, and stays. `visible_to` is `addressees` or, once signed, `all`.
    """

    __tablename__ = "reports"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'frozen', 'signed')", name="state_check"),
        CheckConstraint("period_kind IN ('month', 'quarter')", name="period_kind_check"),
        CheckConstraint("visible_to IN ('addressees', 'all')", name="visible_to_check"),
        Unique("report_type", "unit_code", "period_kind", "period"),
        Index("reports_of_unit", "unit_code", "due_on", "report_id"),
        Index("reports_waiting", "due_on", postgresql_where="state = 'open' OR NOT late"),
    )

    report_id: Mapped[UUID] = mapped_column(primary_key=True)
    report_type: Mapped[str]
    title: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    level: Mapped[str]
    period_kind: Mapped[str]
    period: Mapped[date]
    period_text: Mapped[str]
    due_on: Mapped[date]
    due_at: Mapped[datetime]
    rest_day: Mapped[bool]
    policy_version: Mapped[str]
    visible_to: Mapped[str]
    recipients: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str]
    late: Mapped[bool]
    created_at: Mapped[datetime]
    snapshot_no: Mapped[int]
    frozen_at: Mapped[datetime | None]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None]
    signed_role: Mapped[str | None]


class ReportSnapshot(Base):
    """What a report said at an instant (快照): never changed; a re-issue is a further one."""

    __tablename__ = "report_snapshots"
    __table_args__ = (Unique("report_id", "number"),)

    snapshot_id: Mapped[UUID] = mapped_column(primary_key=True)
    report_id: Mapped[UUID] = mapped_column(ForeignKey("reports.report_id"))
    number: Mapped[int]
    unit_code: Mapped[str] = mapped_column(CODE)
    published: Mapped[bool]
    reason: Mapped[str]
    frozen_at: Mapped[datetime]
    frozen_by: Mapped[str | None]
    restated_through: Mapped[int] = mapped_column(BigInteger, server_default="0")
    digest: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ReportNote(Base):
    """What a person added to a report: advice (建议), or another grade of quality with its reason."""

    __tablename__ = "report_notes"
    __table_args__ = (CheckConstraint("kind IN ('advice', 'quality')", name="kind_check"),)

    report_id: Mapped[UUID] = mapped_column(ForeignKey("reports.report_id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE)
    kind: Mapped[str]
    role: Mapped[str | None]
    of_unit: Mapped[str | None] = mapped_column(CODE)
    grade: Mapped[str | None]
    text: Mapped[str]
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class Rectification(Base):
    """A weakness that somebody has to mend by a day (整改): open, fixed, then verified by the analyst, or open again."""

    __tablename__ = "rectifications"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'fixed', 'verified')", name="state_check"),
        Index("rectifications_of_unit", "unit_code", "due_on", "rectification_id"),
    )

    rectification_id: Mapped[UUID] = mapped_column(primary_key=True)
    report_id: Mapped[UUID] = mapped_column(ForeignKey("reports.report_id"))
    unit_code: Mapped[str] = mapped_column(CODE)
    role: Mapped[str]
    weakness: Mapped[str]
    measure: Mapped[str]
    due_on: Mapped[date]
    state: Mapped[str]
    rounds: Mapped[int]
    opened_by: Mapped[str]
    opened_at: Mapped[datetime]
    fixed_by: Mapped[str | None]
    fixed_at: Mapped[datetime | None]
    fixed_note: Mapped[str | None]
    verified_by: Mapped[str | None]
    verified_at: Mapped[datetime | None]
    verified_note: Mapped[str | None]


class Extract(Base):
    """What a branch is sent of a closed month (分层与异动信息): tiers, grades and movements as they stood at the close."""

    __tablename__ = "extracts"
    __table_args__ = (Unique("unit_code", "month"),)

    extract_id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    extracted_at: Mapped[datetime]
    recipients: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    digest: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)


class DistributionList(Base):
    """Which roles a branch's extract goes to (分发名单), where it is not the default."""

    __tablename__ = "distribution_lists"

    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    recipients: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]
