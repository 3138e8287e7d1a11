"""Seasons and paces, the radar, seasons and causes of movements, concentration."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base
from services.tiering.models.ledger import Charge


class BranchPace(Base):
    """What a branch's accounts had been charged from the month's first day to this one, as it was known the next morning."""

    __tablename__ = "branch_paces"

    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    to_date_fen: Mapped[int] = mapped_column(FEN)


class BranchSeason(Base):
    """The season that a branch's paces show (`season.Season`), as it is used for a month: relative weights, no amounts."""

    __tablename__ = "branch_seasons"

    month: Mapped[date] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    season: Mapped[dict[str, Any]] = mapped_column(JSONB)


class MonthPace(Base):
    """Where an account's freight stood after 7, 14 and 21 days of a month, as it was known then."""

    __tablename__ = "month_paces"

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    day_7_fen: Mapped[int | None] = mapped_column(FEN)
    day_14_fen: Mapped[int | None] = mapped_column(FEN)
    day_21_fen: Mapped[int | None] = mapped_column(FEN)


class MonthBaseline(Base):
    """What the season lets expect of an account in a month, made once before it; `leads`: by how much it runs ahead."""

    __tablename__ = "month_baselines"
    __table_args__ = (CheckConstraint("basis IN ('own', 'branch', 'calendar')", name="basis_check"),)

    month: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    expected_fen: Mapped[int] = mapped_column(FEN)
    expected_charges: Mapped[int]
    previous_fen: Mapped[int] = mapped_column(FEN)
    leads: Mapped[list[float]] = mapped_column(ARRAY(Double))
    basis: Mapped[str]


class RadarAlert(Base):
    """An account on course for a fall or a month without freight, days before the month ends, with what it was judged on."""

    __tablename__ = "radar_alerts"
    __table_args__ = (
        CheckConstraint("rule IN ('season', 'flat')", name="rule_check"),
        CheckConstraint("kind IN ('fall_over_half', 'zero_month')", name="kind_check"),
        CheckConstraint("state IN ('open', 'cleared')", name="state_check"),
        Unique("month", "account_no", "rule"),
        Index("radar_alerts_of_unit", "unit_code", "month", "account_no"),
    )

    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule: Mapped[str]
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    kind: Mapped[str]
    state: Mapped[str]
    raised_on: Mapped[date]
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    judged_at: Mapped[datetime]
    previous_fen: Mapped[int] = mapped_column(FEN)
    to_date_fen: Mapped[int] = mapped_column(FEN)
    expected_fen: Mapped[int] = mapped_column(FEN)
    expected_to_date_fen: Mapped[int] = mapped_column(FEN)
    projected_fen: Mapped[int] = mapped_column(FEN)
    clear_from_fen: Mapped[int] = mapped_column(FEN)
    season_explained: Mapped[bool]
    basis: Mapped[str]
    policy_version: Mapped[str]
    branch_code: Mapped[str | None] = mapped_column(CODE)
    district_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    version: Mapped[int]


class RadarMonth(Base):
    """How many accounts of a unit were held against their pace in a month."""

    __tablename__ = "radar_months"

    month: Mapped[date] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    judged: Mapped[int] = mapped_column(FEN)


class MovementReading(Base):
    """What the season let expect of a movement's month, and whether it explains the movement; read once, after detection."""

    __tablename__ = "movement_readings"

    movement_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    expected_fen: Mapped[int] = mapped_column(FEN)
    season_explained: Mapped[bool]
    basis: Mapped[str]
    read_at: Mapped[datetime]


class MovementCause(Base):
    """Why freight moved: asked from the shipper, or inferred with the ids that say so and judged by people."""

    __tablename__ = "movement_causes"
    __table_args__ = (
        CheckConstraint("origin IN ('asked', 'inferred')", name="origin_check"),
        CheckConstraint("state IN ('proposed', 'confirmed', 'refuted')", name="state_check"),
        Unique("movement_id", "origin", "cause"),
        Index("movement_causes_found", "month", "cause"),
    )

    cause_id: Mapped[UUID] = mapped_column(primary_key=True)
    movement_id: Mapped[UUID]
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    cause: Mapped[str]
    origin: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str]
    found_at: Mapped[datetime]
    judged_at: Mapped[datetime | None]
    judged_by: Mapped[str | None]


class Concentration(Base):
    """On how few accounts a unit's freight of a month hung, as it was at the close."""

    __tablename__ = "concentrations"
    __table_args__ = (CheckConstraint("kind IN ('branch', 'district', 'hq')", name="kind_check"),)

    month: Mapped[date] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    kind: Mapped[str]
    accounts: Mapped[int] = mapped_column(FEN)
    freight_fen: Mapped[int] = mapped_column(FEN)
    top_1_fen: Mapped[int] = mapped_column(FEN)
    top_3_fen: Mapped[int] = mapped_column(FEN)
    top_10_fen: Mapped[int] = mapped_column(FEN)
    core_accounts: Mapped[int] = mapped_column(FEN)


Index("charges_of_months", Charge.month, postgresql_using="brin")
