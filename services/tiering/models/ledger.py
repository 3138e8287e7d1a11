"""The ledger: charges, totals of months, marks of what changed in closed months."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Computed, Identity, Index, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base, View

_MAGNITUDE = "(CASE WHEN fen_1 + fen_2 + fen_3 > 0 THEN length((fen_1 + fen_2 + fen_3)::text) ELSE -1 END)::smallint"


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
    """A version of a charge that a higher one replaced, or that came after it; rows are only ever added.

    `replaced_seq` is the ledger point at which it was replaced, null where it never stood.
    """

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
    replaced_seq: Mapped[int | None] = mapped_column(BigInteger)


class MonthCharges(Base):
    """Which charges a closed month of an account consisted of when it was listed; what came or went since is restated."""

    __tablename__ = "month_charges"

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    charge_nos: Mapped[list[str]] = mapped_column(ARRAY(CODE))


class QuarterSum(Base):
    """The freight of an account in a quarter, its three months and their sum, exact at all times; and where it is ranked."""

    __tablename__ = "quarter_sums"
    __table_args__ = (
        Index("quarter_sums_ranked", "branch_code", "quarter", "magnitude"),
        Index("quarter_sums_of_quarters", "quarter", postgresql_using="brin"),
    )

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    quarter: Mapped[date] = mapped_column(primary_key=True)
    fen_1: Mapped[int] = mapped_column(FEN)
    fen_2: Mapped[int] = mapped_column(FEN)
    fen_3: Mapped[int] = mapped_column(FEN)
    charges_1: Mapped[int] = mapped_column(BigInteger)
    charges_2: Mapped[int] = mapped_column(BigInteger)
    charges_3: Mapped[int] = mapped_column(BigInteger)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    opened_on: Mapped[date | None]
    sum_fen: Mapped[int] = mapped_column(FEN, Computed("fen_1 + fen_2 + fen_3", persisted=True))
    magnitude: Mapped[int] = mapped_column(SmallInteger, Computed(_MAGNITUDE, persisted=True))


class MonthTotal(View):
    """The freight of an account in a business month (月运费), exact at all times; `charges` counts cancelled ones too.

    A view of QuarterSum. A month in which no charge stands has no row.
    """

    __tablename__ = "month_totals"

    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    amount_fen: Mapped[int] = mapped_column(FEN)
    charges: Mapped[int] = mapped_column(BigInteger)
    quarter: Mapped[date]


class DirtyMark(Base):
    """A closed month of an account that a charge has touched since the last judging.

    Rows are only added and taken away, never merged: a mark that meets an older one which a judging is just taking away would
    be lost with it.
    """

    __tablename__ = "dirty_marks"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]


class Restatement(Base):
    """What a late or corrected charge changed in a closed month (补计), and when; rows are only added.

    The source of "changed since": a report or a decision on the month was taken before `at`. A charge that came or went without
    changing the amount has a row with change 0.
    """

    __tablename__ = "restatements"
    __table_args__ = (
        Index("restatements_of_account", "account_no", "month"),
        Index("restatements_by_time", "at"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    charge_no: Mapped[str] = mapped_column(CODE)
    version: Mapped[int]
    change_fen: Mapped[int] = mapped_column(FEN)
    at: Mapped[datetime]
