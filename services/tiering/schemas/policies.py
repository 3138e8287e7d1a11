"""What callers send and receive of policies, and of their trials."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from services.tiering.policies.toml import LONGEST
from shared.schemas import AnswerModel, Day, Id, Instant, MonthText, StrictModel

PolicyState = Literal["draft", "tried", "approved", "published"]
PolicyName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["BR-SP.1"])
]


class PolicyFile(StrictModel):
    """A policy file."""

    document: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="TOML: policy_version, unit (absent: the whole organisation), effective_from, locks, and the keys it sets.",
        examples=['policy_version = "B1.1"\nunit = "B1"\n\n[tiers]\nkey_top_n = 8\n'],
    )


class TrialAsked(StrictModel):
    """On which closed months a policy is tried."""

    first: MonthText = Field(alias="from", description="First month.")
    last: MonthText = Field(alias="to", description="Last month, included; at most 36.")


class PublicationAsked(StrictModel):
    """From when on a policy counts."""

    effective_from: Day | None = Field(default=None, description="Without it the day that the file names.")


class PolicyChecked(AnswerModel):
    """What a good file would draft."""

    policy_version: str
    unit_code: str | None = Field(description="Null for the whole organisation.")
    effective_from: Day | None
    locks: list[str]
    sets: list[str] = Field(description="The keys that it sets.")
    digest: str


class PolicyRead(PolicyChecked):
    """A version of the policy, and the way it has gone."""

    state: PolicyState
    document: str = Field(description="The file as it was written.")
    author: str
    drafted_at: Instant
    tried_at: Instant | None
    trial_id: Id | None
    approver: str | None
    approved_at: Instant | None
    publisher: str | None
    published_at: Instant | None


class PolicyList(AnswerModel):
    """One page of versions, by name."""

    items: list[PolicyRead]
    next_cursor: str | None


class EffectiveVersion(AnswerModel):
    """A version that counts for a unit."""

    policy_version: str
    unit_code: str | None
    effective_from: Day


class EffectiveValue(AnswerModel):
    """One value, whose it is, and who may change it."""

    key: str
    value: JsonValue
    unit_code: str | None = Field(description="Unit whose version says so; null for the organisation's.")
    policy_version: str | None = Field(description="Null where nobody says so and the default counts.")
    locked: bool
    locked_by: str | None = Field(description="Unit that locked it; null for the organisation, or where it is not locked.")
    locked_in: str | None = Field(description="Version that locked it.")
    decided_per: Literal["hq", "district", "branch", "outlet"] = Field(
        description="Lowest level that may have a value of its own."
    )
    may_change: bool = Field(description="Whether the unit may set it in a version of its own.")


class EffectivePolicy(AnswerModel):
    """What counts for a unit on a day."""

    unit_code: str | None
    day: Day
    policy_version: str = Field(description="As decisions name it: the versions that count, from the top down.")
    versions: list[EffectiveVersion]
    values: list[EffectiveValue]


class ReportTouched(AnswerModel):
    """What becomes of a report."""

    type: str
    today_due_day: int | None
    tried_due_day: int | None
    becomes: Literal["same", "changed", "new", "gone"]
    issues: int = Field(description="Issues (a unit's period) whose figures would read otherwise.")


class Trial(AnswerModel):
    """A what-if with its progress."""

    trial_id: Id
    policy_version: str
    unit_code: str | None
    first: MonthText = Field(alias="from")
    last: MonthText = Field(alias="to")
    state: Literal["waiting", "running", "done", "failed"]
    done_steps: int
    steps: int
    asked_by: str
    asked_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    error: str | None
    compared_with: list[str] | None = Field(description="The organisation's version today, and under trial.")
    reports: list[ReportTouched]


class Counts(AnswerModel):
    """Numbers of accounts, movements and tasks, on both sides; nested, and absent where there is none.

    `service_tier`, `grade`, …: today, tried, changes, up, down. `movements`: rule set → kind → today, tried, gained, lost.
    `tasks`: role → today, tried.
    """

    total: dict[str, JsonValue]
    months: dict[str, JsonValue]


class TrialRead(Trial, Counts):
    """A what-if with what it has shown of the branches that the caller may see."""


class TrialUnit(Counts):
    """What a what-if has shown of a branch."""

    unit_code: str


class TrialUnitList(AnswerModel):
    """One page of branches, by code."""

    items: list[TrialUnit]
    next_cursor: str | None


class TrialAccount(AnswerModel):
    """An account that would hold something else at a close."""

    account_no: str
    month: MonthText
    axis: str
    unit_code: str
    today: str
    tried: str


class TrialAccountList(AnswerModel):
    """One page of accounts, by number, month and axis."""

    items: list[TrialAccount]
    next_cursor: str | None
