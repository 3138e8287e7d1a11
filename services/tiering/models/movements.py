"""Movements: monthly ones, quarterly ones, and the milestone that an account reached."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base


class MovementRow(Base):
    """A movement (异动): a month that fell by more than half, or had no freight, against the months before it.

    `previous_fen` and `current_fen` follow restated totals, `decided_*` stay. Tier and place are those of `detected_at`, charges
    were known up to the ledger point `known_seq`.
    """

    __tablename__ = "movements"
    __table_args__ = (
        CheckConstraint("kind IN ('fall_over_half', 'zero_month')", name="kind_check"),
        CheckConstraint("state IN ('open', 'withdrawn')", name="state_check"),
        CheckConstraint("withdrawn_reason IN ('restated', 'no_longer_true')", name="withdrawn_reason_check"),
        Unique("account_no", "month", "revision"),
        Unique("decision_id"),
        Index("movements_open", "account_no", "month", unique=True, postgresql_where="state = 'open'"),
        Index("movements_of_unit", "unit_code", "month"),
    )

    movement_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    revision: Mapped[int]
    kind: Mapped[str]
    zero_months: Mapped[int | None]
    previous_fen: Mapped[int] = mapped_column(FEN)
    current_fen: Mapped[int] = mapped_column(FEN)
    decided_previous_fen: Mapped[int] = mapped_column(FEN)
    decided_current_fen: Mapped[int] = mapped_column(FEN)
    state: Mapped[str]
    withdrawn_reason: Mapped[str | None]
    detected_at: Mapped[datetime]
    judged_at: Mapped[datetime]
    decision_id: Mapped[UUID]
    policy_version: Mapped[str]
    service_tier: Mapped[str]
    branch_code: Mapped[str | None] = mapped_column(CODE)
    district_code: Mapped[str | None] = mapped_column(CODE)
    outlet_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    version: Mapped[int]
    priority: Mapped[bool] = mapped_column(server_default=text("false"))
    responsible_role: Mapped[str | None]
    responsible_unit: Mapped[str | None] = mapped_column(CODE)
    in_person: Mapped[bool] = mapped_column(server_default=text("false"))
    assist: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    digest: Mapped[bytes | None]
    known_seq: Mapped[int | None] = mapped_column(BigInteger)


class QuarterMovementRow(Base):
    """A quarterly movement (季度异动): two quarters' sums of an account compared at the close; never changed afterwards.

    `place` is 1 for the largest riser of the branch and 1-4 for its largest decliners, null for the others. Tier, branch and the
    responsible role and unit are those of the quarter's last day.
    """

    __tablename__ = "quarter_movements"
    __table_args__ = (
        CheckConstraint("kind IN ('riser', 'decliner', 'rise', 'fall', 'resumed')", name="kind_check"),
        CheckConstraint("state = 'open'", name="state_check"),
        Unique("account_no", "quarter"),
        Unique("decision_id"),
        Index("quarter_movements_of_unit", "unit_code", "quarter", "account_no"),
        Index("quarter_movements_of_branch", "branch_code", "quarter"),
    )

    movement_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    quarter: Mapped[date]
    kind: Mapped[str]
    place: Mapped[int | None]
    previous_fen: Mapped[int] = mapped_column(FEN)
    current_fen: Mapped[int] = mapped_column(FEN)
    priority: Mapped[bool]
    state: Mapped[str]
    detected_at: Mapped[datetime]
    decision_id: Mapped[UUID]
    policy_version: Mapped[str]
    service_tier: Mapped[str]
    branch_code: Mapped[str] = mapped_column(CODE)
    district_code: Mapped[str | None] = mapped_column(CODE)
    outlet_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    responsible_role: Mapped[str]
    responsible_unit: Mapped[str] = mapped_column(CODE)
    in_person: Mapped[bool]
    assist: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    riser_n: Mapped[int]
    decliner_n: Mapped[int]
    rise_percent: Mapped[int]
    fall_percent: Mapped[int]
    digest: Mapped[bytes]


class Milestone(Base):
    """The first closed month in which an account's freight reached the milestone (里程碑); once per account."""

    __tablename__ = "milestones"
    __table_args__ = (Index("milestones_of_run", "reached_at"),)

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date]
    amount_fen: Mapped[int] = mapped_column(FEN)
    milestone_from_fen: Mapped[int] = mapped_column(FEN)
    reached_at: Mapped[datetime]
    policy_version: Mapped[str]
    branch_code: Mapped[str | None] = mapped_column(CODE)
    district_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
