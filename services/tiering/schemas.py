"""What HTTP callers of tiering receive."""

from typing import Literal

from pydantic import Field

from shared.schemas import AnswerModel, Day, Id, Instant, MonthText, QuarterText

Tier = Literal["vip", "key", "general"]
GradeName = Literal["diamond", "gold", "silver"]
Kind = Literal["fall_over_half", "zero_month"]
State = Literal["open", "withdrawn"]


class FreightMonth(AnswerModel):
    """The freight of an account in a business month."""

    month: MonthText
    amount_fen: int = Field(description="Sum of the standing charges in fen; a closed month changes with late charges, too.")
    charges: int = Field(description="Number of standing charges, cancelled ones included.")
    closed: bool = Field(description="Whether the month was closed, so that a later charge restates it.")


class Freight(AnswerModel):
    """The freight of an account, month by month."""

    months: list[FreightMonth]


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


class ContributionGrade(AnswerModel):
    """A contribution grade that an account holds or held."""

    grade: GradeName
    month: MonthText
    average_fen: int
    since: Instant = Field(description="Close since which the grade has been held without a break.")
    decision_id: Id


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


class InputMonth(AnswerModel):
    """A month as it was when it was decided on."""

    month: MonthText
    amount_fen: int


class Inputs(AnswerModel):
    """What was decided on."""

    opened_on: Day
    months: list[InputMonth]
    sum_fen: int
    zero_months: int | None = Field(
        description="How many months in a row were without freight, null where the last one had some."
    )


class Thresholds(AnswerModel):
    """The numbers of the policy that was in force."""

    vip_top_n: int
    key_top_n: int
    diamond_from_fen: int
    gold_from_fen: int


class Neighbour(AnswerModel):
    """The account one rank above or below in the same close."""

    account_no: str
    rank: int
    amount_fen: int
    service_tier: Tier


class Neighbours(AnswerModel):
    """Who stands next; null where nobody does, or outside the caller's unit."""

    above: Neighbour | None
    below: Neighbour | None


class MovementReason(AnswerModel):
    """What a movement was decided on, and what restated totals say today."""

    movement_id: Id
    kind: Kind
    zero_months: int | None
    decided_previous_fen: int
    decided_current_fen: int
    previous_fen: int
    current_fen: int
    state: State
    withdrawn_reason: Literal["restated", "no_longer_true"] | None


class DecisionRead(AnswerModel):
    """Why: a decision on tiers (kind `tiers`) or on a movement (kind `movement`); what the other kind has is null."""

    decision_id: Id
    kind: Literal["tiers", "movement"]
    account_no: str
    month: MonthText
    quarter: QuarterText | None
    decided_at: Instant
    policy_version: str
    branch_code: str | None
    district_code: str | None
    inputs: Inputs | None
    thresholds: Thresholds | None
    contribution_grade: ContributionGrade | None
    service_tier: ServiceTier | None
    neighbours: Neighbours | None = Field(description="Null where the account was not ranked.")
    movement: MovementReason | None
    explanation: list[str] = Field(description="The same in plain words.")


class MovementItem(AnswerModel):
    """A movement of an account."""

    movement_id: Id
    account_no: str
    branch_code: str | None = Field(description="Branch of the account when it was detected.")
    month: MonthText
    kind: Kind
    zero_months: int | None
    previous_fen: int = Field(description="Freight of the month before in fen, today's total while it is open.")
    current_fen: int = Field(description="Freight of the month in fen, today's total while it is open.")
    state: State
    detected_at: Instant
    decision_id: Id


class MovementList(AnswerModel):
    """One page of movements, by account and month."""

    items: list[MovementItem]
    next_cursor: str | None
