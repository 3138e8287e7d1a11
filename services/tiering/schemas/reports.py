"""What callers send and receive of reports, rectifications and extracts."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.schemas import AnswerModel, Day, Id, Instant, MonthText, StrictModel, UnitCode, free_text

State = Literal["open", "frozen", "signed"]
Grade = Literal["excellent", "good", "fair", "poor", "very_poor"]
Weakness = Literal["low_frequency", "incomplete", "late_records", "weak_fix", "overdue_tasks", "other"]
RectificationState = Literal["open", "fixed", "verified"]
StaffRole = Literal[
    "district_head", "branch_manager", "outlet_staff", "care_rep", "planning", "analyst", "ops_hq", "cust_mgmt_office"
]
Words = Annotated[str, free_text(2000)]
ReportType = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$"), Field(examples=["quarterly_district"])
]
PeriodText = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-((0[1-9]|1[0-2])|Q[1-4])$"), Field(examples=["2018-Q1"])]


class Addressee(AnswerModel):
    """Everybody who has a role in a unit."""

    role: str
    unit_code: str


class AddresseeGiven(StrictModel):
    """Everybody who has a role in a unit."""

    role: StaffRole
    unit_code: UnitCode


class Recipients(AnswerModel):
    """Whom a report goes to, who gets a copy, and which roles sign it."""

    to: list[Addressee]
    cc: list[Addressee]
    sign: list[str]


class ReportItem(AnswerModel):
    """A report as it stands in a list."""

    report_id: Id
    report_type: str
    title: str
    unit_code: str
    level: str
    period: PeriodText
    due_on: Day = Field(description="Due by the end of this day, Asia/Shanghai.")
    due_at: Instant = Field(description="The first instant at which it is late.")
    rest_day: bool = Field(description="Whether the due day is a rest day; it is not moved.")
    policy_version: str
    visible_to: Literal["addressees", "all"] = Field(description="`all`: every unit reads it once it is signed.")
    recipients: Recipients
    state: State
    late: bool = Field(description="Whether it was not signed by its day; stays.")
    created_at: Instant
    snapshot_no: int = Field(description="How many snapshots there are; 0 while it is open.")
    frozen_at: Instant | None
    signed_at: Instant | None
    signed_by: str | None
    signed_role: str | None


class ReportList(AnswerModel):
    """One page of reports, the earliest due first."""

    items: list[ReportItem]
    next_cursor: str | None


class Snapshot(AnswerModel):
    """A snapshot of a report."""

    snapshot_id: Id
    number: int
    reason: Literal["due", "early", "re-issued"]
    frozen_at: Instant
    frozen_by: str | None = Field(description="Null where the clock froze it.")
    digest: str = Field(description="SHA-256 of the content.")


class Note(AnswerModel):
    """What a person added to a report."""

    number: int
    kind: Literal["advice", "quality"]
    role: str | None
    of_unit: str | None
    grade: Grade | None
    text: str
    recorded_by: str
    recorded_at: Instant


class ReportRead(ReportItem):
    """A report with its snapshots and notes."""

    snapshots: list[Snapshot]
    notes: list[Note]


class BranchGap(AnswerModel):
    """What is missing of a branch."""

    branch_code: str
    assigned: int
    untouched: int = Field(description="Customers without a contact in the period.")
    incomplete: int = Field(description="Talks that do not have all five blocks yet.")
    overdue: int = Field(description="Tasks past their time.")


class ResponsibleGap(AnswerModel):
    """What is missing of a responsible role and unit."""

    role: str
    unit_code: str
    assigned: int
    untouched: int
    incomplete: int
    overdue: int


class Untouched(AnswerModel):
    """A customer without a contact in the period."""

    branch_code: str | None
    role: str
    unit_code: str
    tier: str
    account_no: str


class OpenTask(AnswerModel):
    """A task whose talk is unfinished or past its time."""

    branch_code: str | None
    role: str
    unit_code: str
    account_no: str
    task_id: Id
    due_at: Instant


class Gaps(AnswerModel):
    """What is still missing in a report."""

    report_id: Id
    due_on: Day
    days_left: int
    branches: list[BranchGap]
    responsibles: list[ResponsibleGap]
    untouched: list[Untouched] = Field(description="The first 200 by branch, VIP and key before general.")
    incomplete: list[OpenTask] = Field(description="The first 200 by branch and due instant.")
    overdue: list[OpenTask] = Field(description="The first 200 by branch and due instant.")


class Restated(AnswerModel):
    """What late charges changed in a month of an account."""

    month: MonthText
    account_no: str
    branch_code: str | None
    charges: int
    change_fen: int


class Changes(AnswerModel):
    """What changed in a report's months since its newest snapshot."""

    report_id: Id
    snapshot_id: Id | None
    frozen_at: Instant | None
    change_fen: int = Field(description="Sum of the items.")
    items: list[Restated] = Field(description="The greatest 200.")


class AppraisalRow(AnswerModel):
    """What a responsible role and unit achieved in the period; null is no data."""

    role: str
    unit_code: str
    assigned: int
    touched: int
    contacts: int
    ratio: float | None
    quality_score: float | None
    quality_grade: Grade | None
    tasks: int
    tasks_done: int
    tasks_overdue: int
    problems: int
    problems_solved: int
    effect_fen: int | None = Field(
        description="Freight of the months after the first contacts less that of the movements' months."
    )


class Appraisal(AnswerModel):
    """The rows that performance appraisals take, with the frozen snapshot that they are from."""

    report_id: Id
    snapshot_id: Id
    digest: str
    frozen_at: Instant
    signed_at: Instant | None
    items: list[AppraisalRow]


class AdviceCreate(StrictModel):
    """Advice on the problems that stand out."""

    text: Words


class QualityOverride(StrictModel):
    """Another grade of information quality than the computed one."""

    role: StaffRole
    unit_code: UnitCode
    grade: Grade
    reason: Words


class RectificationCreate(StrictModel):
    """Something that a unit has to mend."""

    unit_code: UnitCode
    role: StaffRole
    weakness: Weakness
    measure: Words
    due_on: Day


class Fixed(StrictModel):
    """What was done."""

    note: Words


class Verification(StrictModel):
    """Whether what was done holds."""

    accepted: bool
    note: Words
    due_on: Day | None = Field(default=None, description="Another day, where it is open again.")


class RectificationRead(AnswerModel):
    """A rectification."""

    rectification_id: Id
    report_id: Id
    unit_code: str
    role: str
    weakness: Weakness
    measure: str
    due_on: Day
    state: RectificationState
    rounds: int = Field(description="How often it was open.")
    opened_by: str
    opened_at: Instant
    fixed_by: str | None
    fixed_at: Instant | None
    fixed_note: str | None
    verified_by: str | None
    verified_at: Instant | None
    verified_note: str | None


class RectificationList(AnswerModel):
    """One page of rectifications, the earliest due first."""

    items: list[RectificationRead]
    next_cursor: str | None


class ExtractItem(AnswerModel):
    """What a branch was sent of a closed month."""

    extract_id: Id
    unit_code: str
    month: MonthText
    extracted_at: Instant
    recipients: list[Addressee]
    digest: str


class ExtractList(AnswerModel):
    """One page of extracts, by month and branch."""

    items: list[ExtractItem]
    next_cursor: str | None


class ExtractRead(ExtractItem):
    """An extract with its content."""

    content: dict[str, Any] = Field(description="`held`: tiers, grades, VIP and key accounts, who moved; `movements`.")


class DistributionPut(StrictModel):
    """To whom a branch's extract goes."""

    recipients: Annotated[list[AddresseeGiven], Field(min_length=1, max_length=50)]


class DistributionRead(AnswerModel):
    """To whom a branch's extract goes from now on."""

    unit_code: str
    recipients: list[Addressee]
