"""What HTTP callers of customer send and receive."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.schemas import AccountNo, AnswerModel, Day, Id, Instant, MonthText, QuarterText, StrictModel, UnitCode

Kind = Literal["hq", "district", "branch", "outlet"]
Status = Literal["open", "closed"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$")]
CreditLimit = Annotated[int, Field(ge=0, le=10**15)]
MOST = 1000
"""Most rows of one PUT."""


class UnitPut(StrictModel):
    """A unit as it shall be."""

    unit_code: UnitCode
    kind: Kind
    parent_code: UnitCode | None = Field(None, description="The unit above it, null for headquarters alone.")
    name: Name | None = Field(None, description="What it is called; left out or null, the name recorded stays.")


class UnitsPut(StrictModel):
    """Units to open, move or rename, in any order."""

    items: list[UnitPut] = Field(min_length=1, max_length=MOST)


class UnitsChanged(AnswerModel):
    """What a PUT of units changed."""

    changed: list[str] = Field(description="Codes of the units that are new or changed their kind or parent.")


class UnitRead(AnswerModel):
    """A unit."""

    unit_code: str
    kind: Kind
    parent_code: str | None
    name: str | None
    version: int = Field(description="Rises with every change of kind or parent.")


class UnitList(AnswerModel):
    """One page of units, by code."""

    items: list[UnitRead]
    next_cursor: str | None


class AccountPut(StrictModel):
    """A settlement account as it shall be. Members left out that are not required stay as they are recorded."""

    account_no: AccountNo
    opened_on: Day = Field(description="Business day of the opening.")
    branch_code: UnitCode | None = Field(None, description="Its branch; null: none, it belongs to headquarters.")
    outlet_code: UnitCode | None = Field(None, description="Its outlet in that branch; null: the branch serves it.")
    from_on: Day | None = Field(
        None,
        description="First day in that unit, where the account moves; default: today. A new account is there from its opening.",
    )
    name: Name | None = Field(None, description="Name of the shipper: stored encrypted, masked in answers. Null removes it.")
    status: Status = "open"
    billing_cycle: Code | None = Field(None, description="When it is billed, in the words of billing.")
    card_no: Code | None = Field(None, description="Number of its settlement card.")
    credit_limit_fen: CreditLimit | None = Field(None, description="Credit limit in fen.")


class AccountsPut(StrictModel):
    """Accounts to open, move or change."""

    items: list[AccountPut] = Field(min_length=1, max_length=MOST)


class AccountsChanged(AnswerModel):
    """What a PUT of accounts changed."""

    changed: list[str] = Field(description="Numbers of the accounts whose opening, unit or status changed.")


class AccountRead(AnswerModel):
    """A settlement account."""

    account_no: str
    name: str | None = Field(description="Masked: its first character.")
    branch_code: str | None
    district_code: str | None
    outlet_code: str | None
    opened_on: Day
    status: Status
    provisional: bool = Field(description="Known from parcels or charges alone, until it is really opened.")
    billing_cycle: str | None
    card_no: str | None
    credit_limit_fen: int | None
    version: int = Field(description="Rises with every published change.")


class AccountList(AnswerModel):
    """One page of accounts, by number."""

    items: list[AccountRead]
    next_cursor: str | None


class MembershipRead(AnswerModel):
    """To which unit an account belonged, from a day to a day, both included."""

    unit_code: str | None = Field(description="The outlet, else the branch; null for headquarters.")
    branch_code: str | None
    outlet_code: str | None
    from_on: Day
    to_on: Day | None = Field(description="Null: until now.")


class AccountDetail(AccountRead):
    """A settlement account with its memberships, the earliest first."""

    memberships: list[MembershipRead]


class ServiceTier(AnswerModel):
    """The service tier in force."""

    service_tier: Literal["vip", "key", "general"]
    rank: int | None = Field(description="In the district for VIP, in the branch among all others; null where unranked.")
    amount_fen: int = Field(description="Sum of the quarter's three months as it was at the close.")
    quarter: QuarterText
    since: Instant
    decision_id: Id = Field(description="Why: GET /tiering/v1/decisions/{id}.")
    band: Literal["A", "B", "C"] | None = Field(None, description="Band by percentile in the district.")
    focus_general: bool | None = Field(None, description="A general account with a named maintainer.")
    green_channel: bool | None = Field(None, description="Entitled to the green channel of the hotline.")
    special_claims: bool | None = Field(None, description="Entitled to special claims.")
    points_plan: str | None = Field(None, description="Plan by which points are given.")


class ContributionGrade(AnswerModel):
    """The contribution grade in force."""

    grade: Literal["diamond", "gold", "silver"]
    month: MonthText
    average_fen: int = Field(description="A third of three months' sum, rounded down.")
    since: Instant
    decision_id: Id = Field(description="Why: GET /tiering/v1/decisions/{id}.")
    end: Literal["high", "low"] | None = Field(None, description="High end: diamond or gold.")


class PageAccount(AnswerModel):
    """The account of a page."""

    account_no: str
    branch_code: str | None
    district_code: str | None
    outlet_code: str | None
    opened_on: Day
    status: Status


class PageSection(AnswerModel):
    """A section of the page."""

    as_of: Instant = Field(description="Publication of the newest fact in it; where there is none, the day of the opening.")


class PageTiers(PageSection):
    """The tier axes, null before the first close."""

    service_tier: ServiceTier | None
    contribution_grade: ContributionGrade | None


class PageMonth(AnswerModel):
    """The freight of a business month."""

    month: MonthText
    amount_fen: int


class PageFreight(PageSection):
    """The running business month and the 13 before it, the earliest first."""

    months: list[PageMonth] = Field(min_length=14, max_length=14)


class PageMovement(AnswerModel):
    """An open movement."""

    movement_id: Id
    account_no: str
    branch_code: str | None
    month: MonthText
    kind: Literal["fall_over_half", "zero_month"]
    zero_months: int | None
    previous_fen: int
    current_fen: int
    state: Literal["open"]
    detected_at: Instant
    decision_id: Id


class PageReason(AnswerModel):
    """The movement that a task is for."""

    movement_id: Id
    month: MonthText = Field(description="Month of the movement; of a quarterly one the last month of its quarter.")
    quarter: QuarterText | None = Field(None, description="Quarter of a quarterly movement, else null.")
    kind: Literal["fall_over_half", "zero_month", "riser", "decliner", "rise", "fall", "resumed"]


class PageAssist(AnswerModel):
    """Who helps the one who owes a talk."""

    role: str
    unit_code: str


class PageTask(AnswerModel):
    """A maintenance task that is not done."""

    task_id: Id
    kind: Literal["movement", "quarter_movement"]
    account_no: str
    role: str
    unit_code: str
    state: Literal["open", "claimed", "overdue"]
    due_at: Instant
    reason: PageReason
    in_person: bool = False
    priority: bool = False
    assist: list[PageAssist] = Field([], description="Who helps; the task stays one.")


class PageTicket(AnswerModel):
    """A ticket that is not settled."""

    ticket_id: Id
    ticket_class: str = Field(alias="class")
    cause_hint: Literal["late", "damaged", "lost", "refused", "delayed"] | None
    waybill_no: str | None
    account_no: str
    priority: Literal["P1", "P2", "P3", "P4"]
    opened_at: Instant
    due_at: Instant
    state: Literal["open", "assigned"]


class PageParcel(AnswerModel):
    """A parcel and its last scan."""

    waybill_no: str
    account_no: str
    status: str
    occurred_at: Instant


class PageMovements(PageSection):
    """Open movements, the earliest month first."""

    items: list[PageMovement]


class PageTasks(PageSection):
    """Tasks that are not done, the earliest due first."""

    items: list[PageTask]


class PageTickets(PageSection):
    """Tickets that are not settled, the earliest due first."""

    items: list[PageTicket]


class PageParcels(PageSection):
    """The last 20 parcels, the latest scan first."""

    items: list[PageParcel] = Field(max_length=20)


class PageRfm(AnswerModel):
    """Recency, frequency and money: the fifth of the whole organisation, 5 the best."""

    recency_score: int = Field(ge=1, le=5)
    frequency_score: int = Field(ge=1, le=5)
    money_score: int = Field(ge=1, le=5)


class PageForecast(AnswerModel):
    """Freight expected of the month after, in fen, and the interval that holds four of five outcomes."""

    forecast_fen: int
    low_fen: int
    high_fen: int


class PageScores(PageSection):
    """What tiering thinks the account is worth; all null before its first close with freight, and to a shipper."""

    month: MonthText | None = Field(description="Closed month that the scores stand on.")
    rfm: PageRfm | None
    clv_fen: int | None = Field(description="Freight expected of the next twelve months, discounted.")
    churn_risk: int | None = Field(ge=0, le=100)
    forecast: PageForecast | None


class Account360(AnswerModel):
    """Everything about one account on one page."""

    account: PageAccount
    unit_path: list[str] = Field(description="From headquarters down to the account's unit.")
    tiers: PageTiers
    freight: PageFreight
    scores: PageScores
    movements: PageMovements
    tasks: PageTasks
    tickets: PageTickets
    parcels: PageParcels
