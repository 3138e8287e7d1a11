"""Scores, what they were made from, and how good they were."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, SmallInteger, desc
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, FEN, Base


class ScoreInput(Base):
    """What an account was scored on (评分依据): its months with freight up to a closed month, as its totals were then.

    `recency` is how many months ago the last freight was, `age` the first; `judged` forecasts were held against what came, with
    the mean squares of their errors.
    """

    __tablename__ = "score_inputs"

    month: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    unit_code: Mapped[str] = mapped_column(CODE)
    first_month: Mapped[date]
    active_months: Mapped[int]
    recency: Mapped[int]
    age: Mapped[int]
    log_gaps_ppm: Mapped[int] = mapped_column(BigInteger)
    total_fen: Mapped[int] = mapped_column(FEN)
    repeat_fen: Mapped[int] = mapped_column(FEN)
    amount_fen: Mapped[int] = mapped_column(FEN)
    previous_fen: Mapped[int] = mapped_column(FEN)
    before_previous_fen: Mapped[int] = mapped_column(FEN)
    months_12: Mapped[int]
    charges_12: Mapped[int] = mapped_column(BigInteger)
    amount_12_fen: Mapped[int] = mapped_column(FEN)
    naive_fen: Mapped[int] = mapped_column(FEN)
    level_fen: Mapped[int] = mapped_column(FEN)
    judged: Mapped[int]
    naive_square: Mapped[float] = mapped_column(Double)
    level_square: Mapped[float] = mapped_column(Double)


class Score(Base):
    """The scores of an account after a close (客户评分); jumps of risk change the newest month's row and its version.

    `digest` is the SHA-256 of inputs, models and results, of everything but the jumps.
    """

    __tablename__ = "scores"
    __table_args__ = (
        CheckConstraint("recency_score BETWEEN 1 AND 5", name="recency_score_check"),
        CheckConstraint("frequency_score BETWEEN 1 AND 5", name="frequency_score_check"),
        CheckConstraint("money_score BETWEEN 1 AND 5", name="money_score_check"),
        CheckConstraint("risk BETWEEN 0 AND 100", name="risk_check"),
    )

    month: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    version: Mapped[int]
    recency_score: Mapped[int] = mapped_column(SmallInteger)
    frequency_score: Mapped[int] = mapped_column(SmallInteger)
    money_score: Mapped[int] = mapped_column(SmallInteger)
    expected_months: Mapped[float] = mapped_column(Double)
    silence: Mapped[float] = mapped_column(Double)
    clv_fen: Mapped[int] = mapped_column(FEN)
    rule_risk: Mapped[int] = mapped_column(SmallInteger)
    base_risk: Mapped[int] = mapped_column(SmallInteger)
    jump: Mapped[int] = mapped_column(SmallInteger)
    risk: Mapped[int] = mapped_column(SmallInteger)
    at_risk_fen: Mapped[int] = mapped_column(FEN)
    forecast_fen: Mapped[int] = mapped_column(FEN)
    low_fen: Mapped[int] = mapped_column(FEN)
    high_fen: Mapped[int] = mapped_column(FEN)
    by_model: Mapped[bool]
    digest: Mapped[bytes | None]


class ScoreModel(Base):
    """What a month was scored with (评分模型): parameters, likelihoods, and how each method did on the hold-out."""

    __tablename__ = "score_models"
    __table_args__ = (
        CheckConstraint(
            "purchase_model IN ('average', 'bg_nbd', 'pareto_nbd', 'mbg_nbd', 'mbg_cnbd_k')", name="purchase_model_check"
        ),
        CheckConstraint("churn_method IN ('rule', 'model')", name="churn_method_check"),
    )

    month: Mapped[date] = mapped_column(primary_key=True)
    scored_at: Mapped[datetime]
    policy_version: Mapped[str]
    accounts: Mapped[int] = mapped_column(BigInteger)
    fitted_on: Mapped[date | None]
    purchase_model: Mapped[str]
    fallback_reason: Mapped[str | None]
    purchases: Mapped[dict[str, Any]] = mapped_column(JSONB)
    value: Mapped[dict[str, Any]] = mapped_column(JSONB)
    churn_method: Mapped[str]
    churn: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cuts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[bytes | None]


class ForecastError(Base):
    """How far a month's forecasts of a branch lay from what came (预测误差), in fen over its accounts; no branch: the root."""

    __tablename__ = "forecast_errors"

    month: Mapped[date] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    accounts: Mapped[int] = mapped_column(BigInteger)
    actual_fen: Mapped[int] = mapped_column(FEN)
    shown_error_fen: Mapped[int] = mapped_column(FEN)
    naive_error_fen: Mapped[int] = mapped_column(FEN)
    level_error_fen: Mapped[int] = mapped_column(FEN)
    within: Mapped[int] = mapped_column(BigInteger)
    by_model: Mapped[bool]


class Evaluation(Base):
    """The relationship with an account in a quarter (客户评价): money, service, satisfaction; null is no data."""

    __tablename__ = "evaluations"
    __table_args__ = (
        CheckConstraint("score BETWEEN 0 AND 100", name="score_check"),
        Index("evaluations_of_unit", "unit_code", "quarter", "account_no"),
    )

    quarter: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    evaluated_at: Mapped[datetime]
    quarter_fen: Mapped[int] = mapped_column(FEN)
    previous_fen: Mapped[int] = mapped_column(FEN)
    money: Mapped[int] = mapped_column(SmallInteger)
    late: Mapped[int]
    damaged: Mapped[int]
    overdue: Mapped[int]
    service: Mapped[int | None] = mapped_column(SmallInteger)
    satisfaction: Mapped[int | None] = mapped_column(SmallInteger)
    score: Mapped[int] = mapped_column(SmallInteger)


class Behaviour(Base):
    """How an account shipped in a quarter and what it needs (行为特征、需求特征); null is no data."""

    __tablename__ = "behaviours"

    quarter: Mapped[date] = mapped_column(primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    charges: Mapped[int] = mapped_column(BigInteger)
    product: Mapped[str | None] = mapped_column(CODE)
    product_percent: Mapped[int | None] = mapped_column(SmallInteger)
    special_percent: Mapped[int | None] = mapped_column(SmallInteger)
    hour_from: Mapped[int] = mapped_column(SmallInteger)
    hour_percent: Mapped[int] = mapped_column(SmallInteger)
    weekday: Mapped[int] = mapped_column(SmallInteger)
    weekday_percent: Mapped[int] = mapped_column(SmallInteger)
    timeliness_percent: Mapped[int | None] = mapped_column(SmallInteger)


_AT_RISK: Any = desc(Score.at_risk_fen)
Index("scores_at_risk", Score.month, _AT_RISK, Score.account_no, postgresql_where=Score.at_risk_fen > 0)
Index("scores_jumped", Score.month, Score.account_no, postgresql_where=Score.jump > 0)
