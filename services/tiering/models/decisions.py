"""Closes and what they decided."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base


class MonthClose(Base):
    """A month that is being closed or was closed (月结), and the ledger point up to which its charges were known then.

    `listed`: the charges of all months up to this one stand in `month_charges`.
    """

    __tablename__ = "month_closes"
    __table_args__ = (CheckConstraint("state IN ('closing', 'closed')", name="state_check"),)

    month: Mapped[date] = mapped_column(primary_key=True)
    state: Mapped[str]
    closed_at: Mapped[datetime | None]
    policy_version: Mapped[str | None]
    accounts: Mapped[int] = mapped_column(BigInteger, server_default="0")
    known_seq: Mapped[int | None] = mapped_column(BigInteger)
    listed: Mapped[bool] = mapped_column(server_default=text("false"))


class Decision(Base):
    """What a close decided for an account, with everything it was decided on; never changed afterwards.

    The sum is that of the three months ending with `month`. Rank, tier, the quarters' freight, band, focus and entitlements are
    null within a quarter; a policy may leave an account without tier at a quarter's end, too. `zero_months` is the length of the
    run of months without freight, null where there is none. `digest` is the SHA-256 of everything that was decided; `changed`
    says whether any of it is otherwise than in the closes before, and so was published.
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
    previous_quarter_fen: Mapped[int | None] = mapped_column(FEN)
    band: Mapped[str | None]
    band_place: Mapped[int | None]
    band_of: Mapped[int | None]
    focus_general: Mapped[bool | None]
    non_insured: Mapped[bool | None]
    green_channel: Mapped[bool | None]
    special_claims: Mapped[bool | None]
    points_plan: Mapped[str | None]
    a_percent: Mapped[int | None]
    b_percent: Mapped[int | None]
    focus_from_fen: Mapped[int | None] = mapped_column(FEN)
    claims_from_fen: Mapped[int | None] = mapped_column(FEN)
    digest: Mapped[bytes | None]
    changed: Mapped[bool] = mapped_column(server_default=text("false"))
