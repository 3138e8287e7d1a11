"""What callers receive of decisions: why."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import Kind, State, Tier
from services.tiering.schemas.tiers import ContributionGrade, ServiceTier
from shared.schemas import AnswerModel, Day, Id, Instant, MonthText, QuarterText


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
