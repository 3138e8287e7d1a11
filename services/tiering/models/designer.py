"""Reports that people put together, and the files made of them."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, Base


class ReportDefinition(Base):
    """A saved report (自定义报表); `content` is a `designer.definition.Definition`. Archived ones are kept and not listed."""

    __tablename__ = "report_definitions"
    __table_args__ = (
        CheckConstraint("shared IN ('private', 'unit', 'subtree')", name="shared_check"),
        CheckConstraint("schedule IN ('weekly', 'monthly', 'quarterly')", name="schedule_check"),
        CheckConstraint("format IN ('csv', 'xlsx', 'pdf', 'html', 'json')", name="format_check"),
        CheckConstraint("state IN ('active', 'archived')", name="state_check"),
        Index("report_definitions_of_unit", "unit_code", "definition_id"),
        Index("report_definitions_scheduled", "schedule", postgresql_where="schedule IS NOT NULL"),
    )

    definition_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    name: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    owner: Mapped[str]
    shared: Mapped[str]
    schedule: Mapped[str | None]
    format: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
    scheduled_through: Mapped[date | None]


class Export(Base):
    """A report as a file (导出), made in the background; its bytes are in `export_parts`.

    `unit_code` is the unit of whoever asked: the rows are those that unit may see. `about_unit` is the unit asked about.
    """

    __tablename__ = "exports"
    __table_args__ = (
        CheckConstraint("format IN ('csv', 'xlsx', 'pdf', 'html', 'json')", name="format_check"),
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'expired')", name="state_check"),
        Index("exports_of_unit", "unit_code", "requested_at", "export_id"),
        Index("exports_waiting", "requested_at", postgresql_where="state IN ('waiting', 'running')"),
        Index("exports_kept", "expires_at", postgresql_where="state = 'done'"),
    )

    export_id: Mapped[UUID] = mapped_column(primary_key=True)
    definition_id: Mapped[UUID] = mapped_column(ForeignKey("report_definitions.definition_id"))
    definition_version: Mapped[int]
    name: Mapped[str]
    unit_code: Mapped[str] = mapped_column(CODE)
    about_unit: Mapped[str] = mapped_column(CODE)
    requested_by: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    format: Mapped[str]
    state: Mapped[str]
    rows_done: Mapped[int] = mapped_column(BigInteger)
    rows_expected: Mapped[int | None] = mapped_column(BigInteger)
    requested_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int]
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    problem: Mapped[str | None]


class ExportPart(Base):
    """A piece of an export's file."""

    __tablename__ = "export_parts"

    export_id: Mapped[UUID] = mapped_column(ForeignKey("exports.export_id", ondelete="CASCADE"), primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    unit_code: Mapped[str] = mapped_column(CODE)
    content: Mapped[bytes] = mapped_column(LargeBinary)
