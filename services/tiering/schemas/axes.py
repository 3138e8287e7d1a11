"""What callers receive of bands, entitlements, milestones and prospects."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import Band, Tier
from shared.schemas import AnswerModel, Id, Instant, MonthText, QuarterText


class BandItem(AnswerModel):
    """The band of an account in a quarter, as decided at its close."""

    account_no: str
    band: Band
    place: int | None = Field(description="Place in the district among accounts with freight; null without freight or district.")
    of: int | None = Field(description="How many accounts of the district had freight.")
    amount_fen: int = Field(description="The quarter's freight at the close, in fen.")
    decision_id: Id
    restated: Band | None = Field(description="The band by today's totals where late charges changed it, else null.")


class BandList(AnswerModel):
    """One page of bands, by account."""

    items: list[BandItem]
    next_cursor: str | None


class EntitlementItem(AnswerModel):
    """What an account is entitled to since a quarter's close."""

    account_no: str
    green_channel: bool
    special_claims: bool
    points_plan: str | None
    service_tier: Tier | None
    decision_id: Id


class EntitlementList(AnswerModel):
    """One page of entitlements, by account."""

    quarter: QuarterText | None = Field(description="Quarter that was decided on, null before the first quarter's close.")
    items: list[EntitlementItem]
    next_cursor: str | None


class MilestoneItem(AnswerModel):
    """An account that reached the milestone."""

    account_no: str
    month: MonthText = Field(description="First month in which it did.")
    amount_fen: int
    milestone_from_fen: int
    reached_at: Instant
    branch_code: str | None = Field(description="Branch that raised it.")


class MilestoneList(AnswerModel):
    """One page of milestones, by account."""

    items: list[MilestoneItem]
    next_cursor: str | None


class ProspectThresholds(AnswerModel):
    """The cut points of a month's expected freight, those of the contribution grades."""

    moon_from_fen: int
    sun_from_fen: int


class ProspectGrade(AnswerModel):
    """What a prospect would be."""

    grade: Literal["star", "moon", "sun"]
    expected_fen: int
    policy_version: str
    thresholds: ProspectThresholds
    explanation: list[str] = Field(description="Why, in plain English.")
    explanation_zh: list[str] = Field(description="Why, in plain Chinese.")
