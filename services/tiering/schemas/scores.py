"""What callers receive of scores. Null is no data, never 0."""

from typing import Any, Literal

from pydantic import Field

from shared.schemas import AnswerModel, Id, Instant, MonthText, QuarterText

PurchaseModel = Literal["average", "bg_nbd", "pareto_nbd", "mbg_nbd", "mbg_cnbd_k"]
ForecastMethod = Literal["seasonal_naive", "level"]


class Rfm(AnswerModel):
    """Recency, frequency, money: the fifth of the whole organisation, 5 the best, with the values behind it."""

    recency_score: int = Field(ge=1, le=5)
    frequency_score: int = Field(ge=1, le=5)
    money_score: int = Field(ge=1, le=5)
    months_without_freight: int
    charges_12: int = Field(description="Charges of the last twelve months.")
    amount_12_fen: int = Field(description="Freight of the last twelve months in fen.")


class ValueParts(AnswerModel):
    """The parts that an account's value is made of."""

    frequency: int = Field(description="Charges of the last twelve months.")
    amount_fen: int = Field(description="Freight of the last twelve months in fen.")
    margin_fen: None = Field(description="No data: nobody publishes costs.")


class Clv(AnswerModel):
    """Freight expected of the next twelve months, discounted."""

    clv_fen: int
    horizon_months: int
    expected_months: float = Field(description="Months with freight expected among them.")
    model: PurchaseModel = Field(description="`average`: no model could be fitted, see `fallback_reason`.")
    fallback_reason: str | None
    months_with_freight: int
    first_month: MonthText
    mean_month_fen: int = Field(description="Mean freight of the account's months with freight, in fen.")


class RiskReason(AnswerModel):
    """What the rule sees: a number, and the points it gives."""

    code: Literal["months_without_freight", "fall_percent", "months_with_freight_of_12"]
    number: int
    points: int


class RiskEvent(AnswerModel):
    """An event that raised the risk, and what is left of it: half after each of the policy's periods, nothing after three."""

    event_id: Id = Field(description="Id of the event on the bus that opened the ticket.")
    ticket_id: Id
    kind: Literal["damaged", "lost", "late", "overdue"]
    happened_at: Instant
    points: int
    left_points: int


class Churn(AnswerModel):
    """The risk to be lost: no freight in three months in a row."""

    risk: int = Field(ge=0, le=100, description="`base_risk` and the points of the events.")
    base_risk: int
    method: Literal["rule", "model"] = Field(description="The model only while it beats the rule on the hold-out month.")
    rule_risk: int
    chance_of_silence_percent: int = Field(description="The counting model's chance of no freight in the next three months.")
    at_risk_fen: int = Field(description="CLV times risk.")
    reasons: list[RiskReason]
    events: list[RiskEvent]


class Forecast(AnswerModel):
    """Freight expected of the next month, and the interval that holds four of five outcomes."""

    forecast_fen: int
    low_fen: int
    high_fen: int
    method: ForecastMethod = Field(description="The level only where it beat the naive forecast on the account's branch.")
    seasonal_naive_fen: int
    level_fen: int
    months_judged: int = Field(description="Forecasts that the width of the interval stands on.")


class Behaviour(AnswerModel):
    """How the account shipped in the last closed quarter."""

    quarter: QuarterText
    charges: int
    product: str | None = Field(description="Preferred product; null where charges name none.")
    product_percent: int | None
    hour_from: int = Field(description="Four hours of the day from this one on hold the most charges.")
    hour_percent: int
    weekday: int = Field(ge=1, le=7, description="1 is Monday.")
    weekday_percent: int
    addresses: None = Field(description="No data: no addresses on the bus.")


class Needs(AnswerModel):
    """What the account needs, as far as its parcels show it."""

    timeliness_percent: int | None = Field(description="Share of its problem tickets that are about time; null without tickets.")
    special_service_percent: int | None = Field(description="Share of charges of another product than the organisation's usual.")
    price_sensitivity: None = Field(description="No data until coupons exist.")


class EvaluationParts(AnswerModel):
    """The parts of an evaluation, 0 to 100 each; null has no data and does not count."""

    money: int
    service: int | None
    satisfaction: int | None


class Evaluation(AnswerModel):
    """The evaluation of the relationship in a quarter."""

    account_no: str
    branch_code: str | None = Field(description="Branch on the quarter's last day.")
    quarter: QuarterText
    score: int = Field(ge=0, le=100)
    parts: EvaluationParts
    quarter_fen: int
    previous_fen: int = Field(description="Freight of the quarter before, in fen.")
    late: int = Field(description="Late parcels with a ticket.")
    damaged: int = Field(description="Damaged or lost parcels.")
    overdue: int = Field(description="Tickets that were not resolved in time.")
    evaluated_at: Instant


class EvaluationList(AnswerModel):
    """One page of evaluations, by account."""

    items: list[Evaluation]
    next_cursor: str | None


class AccountScores(AnswerModel):
    """Everything an account is scored, and what each score stands on; null before its first close with freight."""

    account_no: str
    month: MonthText | None
    scored_at: Instant | None
    policy_version: str | None
    digest: str | None = Field(description="SHA-256 of inputs, models and results in hex, of everything but events.")
    rfm: Rfm | None
    parts: ValueParts | None
    clv: Clv | None
    churn: Churn | None
    forecast: Forecast | None
    evaluation: Evaluation | None
    behaviour: Behaviour | None
    needs: Needs | None


class EarlyWarning(AnswerModel):
    """An account by the CLV at risk."""

    account_no: str
    branch_code: str | None
    at_risk_fen: int = Field(description="CLV times risk, in fen: what the list is sorted by.")
    clv_fen: int
    churn_risk: int = Field(ge=0, le=100)
    jump: int = Field(description="Points of it that events gave.")
    forecast_fen: int


class EarlyWarningList(AnswerModel):
    """One page of early warnings, the most at risk first."""

    items: list[EarlyWarning]
    next_cursor: str | None


class ForecastErrorItem(AnswerModel):
    """How far a month's forecasts of a branch lay from what came; percent of what came, null where nothing did."""

    month: MonthText
    unit_code: str
    accounts: int
    actual_fen: int
    error_fen: int = Field(description="Sum of the absolute errors of the forecasts that were shown.")
    error_percent: float | None
    seasonal_naive_error_percent: float | None
    level_error_percent: float | None
    within_interval_percent: float = Field(description="Accounts whose freight lay in the interval; 80 are meant to.")
    next_method: ForecastMethod = Field(description="What the branch is shown from this close on.")


class ForecastErrorList(AnswerModel):
    """One page of forecast errors, the newest month first."""

    items: list[ForecastErrorItem]
    next_cursor: str | None


class ScoreModelItem(AnswerModel):
    """What a month was scored with: candidates with parameters and likelihoods, the churn model's table, the cuts of RFM."""

    month: MonthText
    scored_at: Instant
    policy_version: str
    accounts: int
    digest: str | None = Field(description="SHA-256 of policy version, parameters in use and cuts, in hex.")
    fitted_on: MonthText | None = Field(description="Close at which the models of purchases and value were fitted.")
    purchase_model: PurchaseModel
    fallback_reason: str | None
    purchases: list[dict[str, Any]]
    value: dict[str, Any]
    churn: dict[str, Any] = Field(description="Method, reason, and the table of the hold-out month.")
    cuts: dict[str, Any]


class ScoreModelList(AnswerModel):
    """One page of models, the newest month first."""

    items: list[ScoreModelItem]
    next_cursor: str | None
