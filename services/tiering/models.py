"""The tables of tiering: ledger, totals, policies, closes, decisions, movements."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, ForeignKey, Identity, Index, Integer, MetaData, Text, Uuid
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING

CODE = Text(collation="C")
FEN = BigInteger


class Base(DeclarativeBase):
    """The declarative base of tiering's own tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {str: Text, int: Integer, datetime: DateTime(timezone=True), date: Date, UUID: Uuid}


class PolicyVersion(Base):
    """A version of the policy, in force from a day on (`policy.Policy`)."""

    __tablename__ = "policies"
    __table_args__ = (
        CheckConstraint("vip_top_n >= 0", name="vip_top_n_check"),
        CheckConstraint("key_top_n >= 0", name="key_top_n_check"),
        CheckConstraint("gold_from_fen >= 0", name="gold_from_fen_check"),
        CheckConstraint("fall_over_percent BETWEEN 0 AND 100", name="fall_over_percent_check"),
        CheckConstraint("zero_months_raised >= 0", name="zero_months_raised_check"),
        CheckConstraint("diamond_from_fen >= gold_from_fen", name="grades_ascend"),
        Unique("effective_from"),
    )

    policy_version: Mapped[str] = mapped_column(primary_key=True)
    effective_from: Mapped[date]
    vip_top_n: Mapped[int]
    key_top_n: Mapped[int]
    diamond_from_fen: Mapped[int] = mapped_column(FEN)
    gold_from_fen: Mapped[int] = mapped_column(FEN)
    fall_over_percent: Mapped[int]
    zero_months_raised: Mapped[int]


class Charge(Base):
    """The standing version of a charge: the highest that was ever said, whichever came first."""

    __tablename__ = "charges"

    charge_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    version: Mapped[int]
    waybill_no: Mapped[str] = mapped_column(CODE)
    account_no: Mapped[str] = mapped_column(CODE)
    amount_fen: Mapped[int] = mapped_column(FEN)
    charged_at: Mapped[datetime]
    month: Mapped[date]
    product: Mapped[str | None] = mapped_column(CODE)
    weight_grams: Mapped[int | None] = mapped_column(BigInteger)


class ReplacedCharge(Base):
    """A version of a charge that a higher one replaced, or that came after it; rows are only ever added."""

    __tablename__ = "replaced_charges"

    charge_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    waybill_no: Mapped[str] = mapped_column(CODE)
    account_no: Mapped[str] = mapped_column(CODE)
    amount_fen: Mapped[int] = mapped_column(FEN)
    charged_at: Mapped[datetime]
    month: Mapped[date]
    product: Mapped[str | None] = mapped_column(CODE)
    weight_grams: Mapped[int | None] = mapped_column(BigInteger)


class MonthTotal(Base):
    """The freight of an account in a business month (月运费), exact at all times; `charges` counts cancelled ones too."""

    __tablename__ = "month_totals"

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    amount_fen: Mapped[int] = mapped_column(FEN)
    charges: Mapped[int] = mapped_column(BigInteger)


class DirtyMark(Base):
    """A closed month of an account that a charge has touched since the last judging.

    Rows are only added and taken away, never merged: a mark that meets an older one which a judging is just taking away would
    be lost with it.
    """

    __tablename__ = "dirty_marks"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]


class MonthClose(Base):
    """A month that is being closed or was closed (月结)."""

    __tablename__ = "month_closes"
    __table_args__ = (CheckConstraint("state IN ('closing', 'closed')", name="state_check"),)

    month: Mapped[date] = mapped_column(primary_key=True)
    state: Mapped[str]
    closed_at: Mapped[datetime | None]
    policy_version: Mapped[str | None] = mapped_column(ForeignKey("policies.policy_version"))
    accounts: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Decision(Base):
    """What a close decided for an account, with everything it was decided on; never changed afterwards.

    The sum is that of the three months ending with `month`. Rank, tier and the quarter's freight are null within a quarter.
    `zero_months` is the length of the run of months without freight, null where there is none.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Unique("decision_id"),
        Index("decisions_of_unit", "unit_code", "month", "account_no"),
        Index("decisions_ranked", "month", "rank", "branch_code", postgresql_where="rank IS NOT NULL"),
    )

    decision_id: Mapped[UUID]
    month: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    policy_version: Mapped[str]
    decided_at: Mapped[datetime]
    branch_code: Mapped[str | None] = mapped_column(CODE)
    district_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    opened_on: Mapped[date]
    amount_fen: Mapped[int] = mapped_column(FEN)
    previous_fen: Mapped[int] = mapped_column(FEN)
    before_previous_fen: Mapped[int] = mapped_column(FEN)
    sum_fen: Mapped[int] = mapped_column(FEN)
    zero_months: Mapped[int | None]
    grade: Mapped[str]
    grade_since: Mapped[datetime]
    quarter_fen: Mapped[int | None] = mapped_column(FEN)
    service_tier: Mapped[str | None]
    rank: Mapped[int | None]
    tier_since: Mapped[datetime | None]
    vip_top_n: Mapped[int]
    key_top_n: Mapped[int]
    diamond_from_fen: Mapped[int] = mapped_column(FEN)
    gold_from_fen: Mapped[int] = mapped_column(FEN)


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


Index("month_totals_of_months", MonthTotal.month, postgresql_using="brin")
