"""What callers receive of key figures, service levels and average amounts."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.documents import DocumentRead
from services.tiering.schemas.names import Tier
from shared.schemas import AnswerModel, MonthText, QuarterText


class Aim(AnswerModel):
    """An aim of the KPI tree, and the figures beneath it."""

    aim: str
    label: str
    says: str
    kpis: list[str]


class TrendPoint(AnswerModel):
    """A figure of a month; null is no data. The trend of an early month begins before 2000."""

    month: str
    value: float | int | None


class KpiRead(AnswerModel):
    """A key figure with its definition."""

    code: str
    label: str
    aim: str
    formula: str
    owner: str = Field(description="The role that answers for it.")
    measured: Literal["percent", "points", "fen", "hours"]
    better: Literal["higher", "lower"]
    target: int = Field(description="From the policy in force.")
    value: float | int | None = Field(description="Null is no data, never 0.")
    status: Literal["met", "missed", "no_data"]
    reason: str | None = Field(description="Why there is no data.")
    trend: list[TrendPoint]


class KpiTree(AnswerModel):
    """The key figures of a unit and month under their aims."""

    unit_code: str
    month: MonthText
    policy_version: str
    aims: list[Aim]
    kpis: list[KpiRead]
    document: DocumentRead


class TierCost(AnswerModel):
    """What keeping a tier's accounts cost in a quarter, and what they shipped."""

    service_tier: Tier
    accounts: int
    contacts: int | None
    tickets: int | None
    cost_fen: int | None = Field(description="Counted effort × unit costs of the policy; null while nobody tells of contacts.")
    freight_fen: int
    cost_per_account_fen: int | None
    freight_per_account_fen: int | None
    cost_percent: float | None


class EffortLevel(AnswerModel):
    """Accounts of a tier by how often they were contacted, against those contacted less."""

    service_tier: Tier
    level: str
    accounts: int
    cost_per_account_fen: int
    change_per_account_fen: int = Field(description="Freight of the quarter less that of the quarter before.")
    marginal_cost_fen: int | None
    marginal_margin_fen: int | None
    net_fen: int
    best: bool


class ServiceLevels(AnswerModel):
    """Service cost and level of a quarter."""

    unit_code: str
    quarter: QuarterText
    policy_version: str
    assumptions: dict[str, int] = Field(description="Unit costs in fen and the margin in percent: configuration, not accounts.")
    tiers: list[TierCost]
    levels: list[EffortLevel]
    document: DocumentRead


class AverageAmount(AnswerModel):
    """A unit's average amount per account in a year."""

    unit_code: str
    year: str
    months: int = Field(description="Closed months of the year that had freight.")
    accounts: int
    freight_fen: int
    average_fen: int
    monthly_average_fen: int
    change_percent: float | None = Field(description="Of the monthly average against the year before.")


class AverageAmounts(AnswerModel):
    """Average amounts of a unit and those directly below it."""

    unit_code: str
    through: MonthText
    formula: str
    items: list[AverageAmount]
    document: DocumentRead
