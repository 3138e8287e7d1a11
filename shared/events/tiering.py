"""Events of the tiering service: closes, tiers (分层), movements (异动), restated months.

Topic `tiering.events`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.events.envelope import Event
from shared.events.fields import (
    INT4_MAX,
    AccountNo,
    ChangeFen,
    Count,
    Instant,
    Month,
    Number,
    PublicId,
    Quarter,
    TotalFen,
    UnitCode,
    Version,
)
from shared.months import month_text, quarter_text

ServiceTierName = Literal["vip", "key", "general"]
GradeName = Literal["diamond", "gold", "silver"]
MovementKind = Literal["fall_over_half", "zero_month"]
QuarterMovementKind = Literal["riser", "decliner", "rise", "fall", "resumed"]
BandName = Literal["A", "B", "C"]
PlanName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
WithdrawnReason = Literal["restated", "no_longer_true"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class ServiceTier(_Part):
    """The service tier (VIP, 重点, 一般) in force for an account, as decided at a quarter's close."""

    service_tier: ServiceTierName = Field(description="VIP, key (重点) or general (一般).")
    rank: int | None = Field(
        ge=1,
        le=INT4_MAX,
        description="Rank in the district for VIP, in the branch among all others for key and general; null unranked.",
    )
    amount_fen: TotalFen = Field(description="Sum of the quarter's three months in fen, as it was at the close.")
    quarter: Quarter = Field(description="Quarter that was decided on.")
    since: Instant = Field(description="Since when the account has had this tier without a break.")
    decision_id: PublicId = Field(description="Decision that says why.")
    band: BandName | None = Field(default=None, description="Band by percentile in the district, decided with the tier.")
    focus_general: bool | None = Field(default=None, description="A general account with enough freight for a named maintainer.")
    green_channel: bool | None = Field(default=None, description="Entitled to the green channel of the hotline.")
    special_claims: bool | None = Field(default=None, description="Entitled to special claims.")
    points_plan: PlanName | None = Field(default=None, description="Plan by which points are given, null for none.")


class ContributionGrade(_Part):
    """The contribution grade (钻石, 金, 银) of an account, as decided at a month's close."""

    grade: GradeName = Field(description="Diamond, gold or silver.")
    month: Month = Field(description="Last of the three months that were decided on.")
    average_fen: TotalFen = Field(description="A third of the three months' sum in fen, rounded down; shown only.")
    since: Instant = Field(description="Since when the account has had this grade without a break.")
    decision_id: PublicId = Field(description="Decision that says why.")
    end: Literal["high", "low"] | None = Field(default=None, description="High end (diamond, gold) or low end (silver).")


class TiersChanged(Event):
    """A close decided another tier, rank, grade or amount for an account than it had, or its first one.

    An account without such an event at a close keeps its values (see MonthClosed).
    """

    TYPE: ClassVar[str] = "tiering.tiers-changed.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Account decided on.")
    month: Month = Field(description="Month of the close.")
    decided_at: Instant = Field(description="Instant of the close.")
    service_tier: ServiceTier | None = Field(description="Service tier in force, null before the first quarter's close.")
    contribution_grade: ContributionGrade | None = Field(description="Grade in force, null before the first close.")

    def identity(self) -> tuple[str | int, ...]:
        """An account is decided on once at each month's close."""
        return self.account_no, month_text(self.month)


class MonthClosed(Event):
    """A month was closed: every decision of it has been taken.

    Accounts without a TiersChanged at this close keep tier, rank, amount and grade; only the month, the quarter and the
    decision that confirms them advance: `natural_id("decision", account_no, month)`, for the service tier with the last
    month of its quarter.
    """

    TYPE: ClassVar[str] = "tiering.month-closed.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "month"

    month: Month = Field(description="Month that was closed.")
    quarter: Quarter | None = Field(description="Quarter that was closed with it, null within a quarter.")
    closed_at: Instant = Field(description="Instant of the close.")
    accounts: Count = Field(description="Number of accounts decided on.")

    def key(self) -> str:
        """Return the month as text."""
        return month_text(self.month)

    def identity(self) -> tuple[str | int, ...]:
        """A month is closed once."""
        return (month_text(self.month),)


class Assist(_Part):
    """Who helps the one who owes a talk."""

    role: RoleName = Field(description="Role that helps.")
    unit_code: UnitCode = Field(description="Unit whose member of that role helps.")


class MovementState(Event):
    """The whole state of a movement (异动) after a change: a fall of more than half, or a month without freight."""

    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    movement_id: PublicId = Field(description='Made from ("movement", account_no, month, revision).')
    account_no: AccountNo = Field(description="Account that moved.")
    month: Month = Field(description="Month that is compared with the one before it.")
    revision: Version = Field(description="From 1; one more when restated totals make it another movement.")
    kind: MovementKind = Field(description="Fall of more than 50 %, or a month without freight (which goes first).")
    zero_months: Literal[1, 2, 3] | None = Field(description="Length of the run of zero months, null for a fall.")
    previous_fen: TotalFen = Field(description="Freight of the month before in fen, as it is today.")
    current_fen: TotalFen = Field(description="Freight of the month in fen, as it is today.")
    decided_previous_fen: TotalFen = Field(description="Freight of the month before in fen, as it was decided on.")
    decided_current_fen: TotalFen = Field(description="Freight of the month in fen, as it was decided on.")
    state: Literal["open", "withdrawn"] = Field(description="Whether the movement still holds.")
    withdrawn_reason: WithdrawnReason | None = Field(
        description="Another movement took its place (restated), or it is no longer true; null while open."
    )
    detected_at: Instant = Field(description="Instant of the run that first judged it so.")
    judged_at: Instant = Field(description="Instant of the run that this event comes from.")
    decision_id: PublicId = Field(description="Decision that says why.")
    service_tier: ServiceTierName = Field(description="Service tier in force after that run; general if never ranked.")
    branch_code: UnitCode | None = Field(description="Branch of the account at the time, null where it has none.")
    district_code: UnitCode | None = Field(description="District of that branch, null where it has none.")
    outlet_code: UnitCode | None = Field(description="Outlet of the account at the time, null where it has none.")
    version: Version = Field(description="Rises with every event of this movement, from 1.")
    priority: bool | None = Field(default=None, description="Maintained first: the last quarter's average is high enough.")
    role: RoleName | None = Field(default=None, description="Role that answers for it; null: by the tier, as retention knows.")
    unit_code: UnitCode | None = Field(default=None, description="Unit whose member of that role answers; null with the role.")
    in_person: bool | None = Field(default=None, description="Whether that role must do it in person.")
    assist: tuple[Assist, ...] | None = Field(default=None, description="Who helps; the task stays one.")

    def identity(self) -> tuple[str | int, ...]:
        """A state is the same one when movement and version are."""
        return str(self.movement_id), self.version


class MovementDetected(MovementState):
    """A close or a daily run found that an account moved."""

    TYPE: ClassVar[str] = "tiering.movement-detected.v1"


class MovementRestated(MovementState):
    """Late or corrected charges changed the amounts of a movement that still holds."""

    TYPE: ClassVar[str] = "tiering.movement-restated.v1"


class MovementWithdrawn(MovementState):
    """Late or corrected charges took a movement back, or turned it into another one."""

    TYPE: ClassVar[str] = "tiering.movement-withdrawn.v1"


class QuarterMovementDetected(Event):
    """A quarter's close found that an account moved against the quarter before (季度异动); it stays as decided."""

    TYPE: ClassVar[str] = "tiering.quarter-movement-detected.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    movement_id: PublicId = Field(description='Made from ("quarter-movement", account_no, quarter).')
    account_no: AccountNo = Field(description="Account that moved.")
    quarter: Quarter = Field(description="Quarter that is compared with the one before it.")
    kind: QuarterMovementKind = Field(
        description="Largest riser, one of the largest decliners, rise or fall by the percentage, or resumed after a pause."
    )
    place: int | None = Field(ge=1, le=INT4_MAX, description="Place among its branch's risers or decliners, else null.")
    previous_fen: TotalFen = Field(description="Freight of the quarter before in fen, as it was at the close.")
    current_fen: TotalFen = Field(description="Freight of the quarter in fen, as it was at the close.")
    priority: bool = Field(description="Maintained first: the quarter's monthly average is high enough.")
    state: Literal["open"] = Field(description="A quarterly movement stays as it was decided.")
    detected_at: Instant = Field(description="Instant of the close.")
    decision_id: PublicId = Field(description="Decision that says why.")
    service_tier: ServiceTierName = Field(description="Service tier that the same close decided; general if untiered.")
    branch_code: UnitCode = Field(description="Branch of the account on the quarter's last day.")
    district_code: UnitCode | None = Field(description="District of that branch, null where it has none.")
    outlet_code: UnitCode | None = Field(description="Outlet of the account that day, null where it has none.")
    role: RoleName = Field(description="Role that answers for it.")
    unit_code: UnitCode = Field(description="Unit whose member of that role answers for it.")
    in_person: bool = Field(description="Whether that role must do it in person.")
    assist: tuple[Assist, ...] = Field(description="Who helps; the task stays one.")
    version: Version = Field(description="Always 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A movement of a quarter is told once."""
        return str(self.movement_id), self.version


class EntitlementsChanged(Event):
    """A quarter's close entitled an account to something else than the quarter before, or decided on it for the first time."""

    TYPE: ClassVar[str] = "tiering.entitlements-changed.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Account that is entitled.")
    quarter: Quarter = Field(description="Quarter that was decided on.")
    decided_at: Instant = Field(description="Instant of the close, from which on it holds.")
    green_channel: bool = Field(description="The green channel of the hotline.")
    special_claims: bool = Field(description="Special claims.")
    points_plan: PlanName | None = Field(description="Plan by which points are given, null for none.")
    decision_id: PublicId = Field(description="Decision that says why.")

    def identity(self) -> tuple[str | int, ...]:
        """An account is decided on once at each quarter's close."""
        return self.account_no, quarter_text(self.quarter)


class MilestoneReached(Event):
    """An account's freight of a month reached the milestone (10,000 yuan) for the first time."""

    TYPE: ClassVar[str] = "tiering.account-reached-milestone.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Account that was raised over it.")
    month: Month = Field(description="Month in which it did.")
    amount_fen: TotalFen = Field(description="Freight of that month in fen.")
    milestone_from_fen: TotalFen = Field(description="The milestone in fen.")
    reached_at: Instant = Field(description="Instant of the run that found it.")
    branch_code: UnitCode | None = Field(description="Branch that raised it, null where it has none.")
    district_code: UnitCode | None = Field(description="District of that branch, null where it has none.")

    def identity(self) -> tuple[str | int, ...]:
        """An account reaches it once."""
        return (self.account_no,)


class MonthRestated(Event):
    """A late or corrected charge changed the total of a month, closed or not, of an account."""

    TYPE: ClassVar[str] = "tiering.month-restated.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Account whose total changed.")
    month: Month = Field(description="Month whose total changed.")
    charge_no: Number = Field(description="Charge that changed it.")
    version: Version = Field(description="Version of the charge.")
    change_fen: ChangeFen = Field(description="By how much the total changed, in fen; negative where it fell.")
    amount_fen: TotalFen = Field(description="The total after the change, in fen.")

    def identity(self) -> tuple[str | int, ...]:
        """A charge's version changes the total of an account and month once."""
        return self.account_no, month_text(self.month), self.charge_no, self.version
