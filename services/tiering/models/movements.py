"""Movements."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base


class MovementRow(Base):
    """A movement (异动): a month that fell by more than half, or had no freight, against the months before it.

    `previous_fen` and `current_fen` follow restated totals, `decided_*` stay. Tier and place are those of `detected_at`.
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
