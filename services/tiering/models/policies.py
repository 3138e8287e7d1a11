"""The versions of the policy."""

from datetime import date

from sqlalchemy import CheckConstraint
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import FEN, Base


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
