"""What callers receive of tiers and grades."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import Band, GradeName, Tier
from shared.schemas import AnswerModel, Id, Instant, MonthText, QuarterText


class TierItem(AnswerModel):
    """The service tier of an account in a quarter, as decided at its close."""

    account_no: str
    branch_code: str | None = Field(description="Branch on the quarter's last day.")
    district_code: str | None
    service_tier: Tier
    rank: int | None = Field(description="In the district for VIP, else in the branch among those who are not VIP.")
    amount_fen: int = Field(description="The quarter's freight at the close, in fen.")
    decision_id: Id


class TierList(AnswerModel):
    """One page of tiers, by account."""

    items: list[TierItem]
    next_cursor: str | None


class GradeItem(AnswerModel):
    """The contribution grade of an account for a month, as decided at its close."""

    account_no: str
    grade: GradeName
    average_fen: int = Field(description="A third of the last three months' freight in fen, rounded down; shown only.")
    decision_id: Id


class GradeList(AnswerModel):
    """One page of grades, by account."""

    items: list[GradeItem]
    next_cursor: str | None


class ServiceTier(AnswerModel):
    """A service tier that an account holds or held."""

    service_tier: Tier
    rank: int | None
    amount_fen: int
    quarter: QuarterText
    since: Instant = Field(description="Close since which the tier has been held without a break.")
    decision_id: Id
    band: Band | None = Field(None, description="Band by percentile in the district, decided with the tier.")
    focus_general: bool | None = Field(None, description="A general account with enough freight for a named maintainer.")
    green_channel: bool | None = None
    special_claims: bool | None = None
    points_plan: str | None = None


class ContributionGrade(AnswerModel):
    """A contribution grade that an account holds or held."""

    grade: GradeName
    month: MonthText
    average_fen: int
    since: Instant = Field(description="Close since which the grade has been held without a break.")
    decision_id: Id
    end: Literal["high", "low"] | None = Field(None, description="High end: diamond or gold.")


class HistoryItem(AnswerModel):
    """What one close decided."""

    month: MonthText
    decided_at: Instant
    contribution_grade: ContributionGrade
    service_tier: ServiceTier | None = Field(description="Decided at a quarter's end only.")


class AccountTiers(AnswerModel):
    """What an account holds, and the decisions before, newest first."""

    service_tier: ServiceTier | None
    contribution_grade: ContributionGrade | None
    history: list[HistoryItem]
