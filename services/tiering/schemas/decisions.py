"""What callers receive of decisions: why."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.movements import Assist, Restated
from services.tiering.schemas.names import Band, Kind, QuarterKind, State, Tier
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
    previous_quarter_fen: int | None = Field(None, description="Freight of the quarter before, decided on at a quarter's end.")
    non_insured: bool | None = Field(None, description="Whether the account lay in a non-insured area.")


class Thresholds(AnswerModel):
    """The numbers of the policy that was in force."""

    vip_top_n: int
    key_top_n: int
    diamond_from_fen: int
    gold_from_fen: int
    a_percent: int | None = None
    b_percent: int | None = None
    focus_from_fen: int | None = None
    claims_from_fen: int | None = None


class Neighbour(AnswerModel):
    """The account one rank above or below in the same close."""

    account_no: str
    rank: int
    amount_fen: int
    service_tier: Tier
    between_fen: int = Field(description="The freight between the two, in fen.")


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
    priority: bool = False
    responsible_role: str | None = None
    responsible_unit: str | None = None
    in_person: bool = False
    assist: list[Assist] = []


class QuarterMovementReason(AnswerModel):
    """What a quarterly movement was decided on and by which numbers, and what today's totals would make of it."""

    movement_id: Id
    kind: QuarterKind
    place: int | None
    previous_fen: int
    current_fen: int
    state: Literal["open"]
    priority: bool
    responsible_role: str
    responsible_unit: str
    in_person: bool
    assist: list[Assist]
    riser_n: int
    decliner_n: int
    rise_percent: int
    fall_percent: int
    restated: Restated | None


class BandReason(AnswerModel):
    """The band, and the place in the district that gave it."""

    band: Band
    place: int | None
    of: int | None


class EntitlementsReason(AnswerModel):
    """What the close entitled the account to."""

    focus_general: bool
    green_channel: bool
    special_claims: bool
    points_plan: str | None


class LateCharge(AnswerModel):
    """A charge that changed one of the decision's months after it was taken."""

    charge_no: str
    version: int
    month: MonthText
    change_fen: int
    at: Instant


class DecisionCharge(AnswerModel):
    """A version of a charge as it was known when the decision was taken, whatever has replaced it since."""

    charge_no: str
    version: int
    waybill_no: str
    charged_at: Instant
    month: MonthText
    amount_fen: int
    event_id: Id = Field(description="Id of the event that said it, as the contract makes it of charge, version and content.")


class DecisionChargeList(AnswerModel):
    """One page of the charges behind a decision, by month and number."""

    decision_id: Id
    account_no: str
    input_fen: int = Field(
        description="The freight that was decided on: of a close's three months, a movement's two, a quarterly one's six."
    )
    sum_fen: int = Field(description="Sum of all charges of the list, this page's or not: the same.")
    charges: int = Field(description="How many they are.")
    items: list[DecisionCharge]
    next_cursor: str | None


class DecisionRead(AnswerModel):
    """Why: a decision of a close (kind `tiers`), on a movement or a quarterly one; what another kind has is null."""

    decision_id: Id
    kind: Literal["tiers", "movement", "quarter_movement"]
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
    band: BandReason | None
    entitlements: EntitlementsReason | None
    movement: MovementReason | None
    quarter_movement: QuarterMovementReason | None
    late_charges: list[LateCharge] = Field(description="Charges that came after the decision: up to 50, by arrival.")
    digest: str | None = Field(description="SHA-256 of everything that the decision says, in hex.")
    explanation: list[str] = Field(description="The same in plain English.")
    explanation_zh: list[str] = Field(description="The same in plain Chinese.")


class Why(AnswerModel):
    """Everything that stands for an account now, with its reasons."""

    account_no: str
    decisions: list[DecisionRead] = Field(description="The quarter's and the month's, one where they are the same close.")
    movements: list[DecisionRead] = Field(description="Open monthly movements, the newest first.")
    quarter_movements: list[DecisionRead] = Field(description="The newest quarterly movement.")
    text: str = Field(description="All sentences in English, one per line.")
    text_zh: str = Field(description="All sentences in Chinese, one per line.")
