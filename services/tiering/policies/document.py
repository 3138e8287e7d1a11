"""What a policy says (分层规则): every number and table that the rules use, with the defaults of `2008-new`.

A document is frozen, strict and closed: an unknown key or a value of another type is refused. The words for one contradiction
each stand in `contradictions`, with the keys that they are about.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from shared.schemas import UnitCode

Tier = Literal["vip", "key", "general"]
Level = Literal["hq", "district", "branch", "outlet"]
RoleName = Literal[
    "ops_hq", "cust_mgmt_office", "planning", "analyst", "district_head", "branch_manager", "outlet_staff", "care_rep"
]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Fen = Annotated[int, Field(ge=0, le=10**15)]
Percent = Annotated[int, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    """Base of a document's parts."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Tiers(Section):
    """Service tiers (T-02, T-03, T-04, T-05, T-06)."""

    vip_top_n: Count = 10
    key_top_n: Count = 12
    zero_freight_is_general: bool = True


class Grades(Section):
    """Contribution grades of accounts, and the cut points star / moon / sun of prospects (T-07, C-03)."""

    diamond_from_fen: Fen = 1_000_000
    gold_from_fen: Fen = 200_000


class Bands(Section):
    """Bands A, B, C by percentile, cumulative: B ends where `b_percent` does (T-11)."""

    a_percent: Percent = 5
    b_percent: Percent = 20


class Movements(Section):
    """The monthly rules (T-22, T-23): the rule set of the old version."""

    judged: bool = True
    fall_over_percent: Percent = 50
    zero_months_raised: Annotated[int, Field(ge=0, le=3)] = 3


class Quarter(Section):
    """The quarterly rules (T-24, T-25, T-26): the rule set of the new version."""

    judged: bool = True
    riser_n: Count = 1
    decliner_n: Count = 4
    rise_percent: Annotated[int, Field(ge=0, le=10_000)] = 20
    fall_percent: Percent = 20


class Focus(Section):
    """Who gets a named maintainer (T-14, T-15), and the milestone of a month's freight (T-13)."""

    focus_from_fen: Fen = 300_000
    milestone_from_fen: Fen = 1_000_000


class Entitlements(Section):
    """What a tier brings: green channel, special claims (T-16), plan of points."""

    green_channel: tuple[Tier, ...] = ("vip",)
    claims_without_amount: tuple[Tier, ...] = ("vip",)
    claims_from_fen: Fen = 500_000
    non_insured_units: tuple[UnitCode, ...] = ()
    points_plan: dict[Tier, Name] = {"vip": "vip", "key": "key", "general": "general"}


class Assist(Section):
    """Who helps the one who is responsible."""

    role: RoleName
    level: Level


class Responsibility(Section):
    """One row of who answers for what (T-31 to T-35): for a tier's accounts, or for a kind of quarterly movement."""

    scope: Literal["tier", "quarter"]
    tier: Tier | None = None
    kind: Literal["riser", "decliner", "rise", "fall", "resumed"] | None = None
    role: RoleName
    level: Level
    in_person: bool = False
    assist: tuple[Assist, ...] = ()


class Radar(Section):
    """When an account is on course for a movement before its month has ended (T-29)."""

    fall_percent: Percent = 50
    days_before_end: Annotated[int, Field(ge=0, le=31)] = 3
    from_share_percent: Percent = 30
    """So much of the month's freight must have been due before anything is said."""
    from_probability_percent: Annotated[int, Field(ge=50, le=99)] = 75
    """So likely the month must end as a movement, by the scatter of the charges still to come (50: more likely than not).

    More warns later and misses some: on simulated histories 60 gave precision 0.6 and recall 0.96, 75 gave 0.7 and 0.89, 90 gave
    0.8 and 0.71. The same value did so on histories that it was not chosen on.
    """
    least_charges: Annotated[int, Field(ge=0, le=1_000)] = 0
    """So many charges must have been due, too. Three left out every account with few charges, half of all movements."""


class Scores(Section):
    """Numbers of the scores (C-63, T-60, T-61): the CLV's interest, accounts that a fit needs, jumps of risk."""

    discount_percent: Percent = 10
    least_accounts: Annotated[int, Field(ge=50, le=1_000_000)] = 200
    damaged_points: Percent = 25
    lost_points: Percent = 30
    late_points: Percent = 10
    overdue_points: Percent = 10
    halved_after_days: Annotated[int, Field(ge=1, le=365)] = 30


class Report(Section):
    """A report on a clock (T-38 to T-44): due on a day of the first month after its period."""

    type: Name
    due_day: Annotated[int, Field(ge=1, le=31)]
    period: Literal["month", "quarter"]
    level: Literal["branch", "district", "hq"]
    to: tuple[RoleName, ...] = ()
    cc: tuple[RoleName, ...] = ()
    sign: tuple[RoleName, ...] = ()
    visible_to: Literal["addressees", "all"] = "addressees"
    title: Annotated[str, Field(max_length=80)] = ""


class Quality(Section):
    """The five grades of information quality (T-46)."""

    excellent_from: Percent = 90
    good_from: Percent = 75
    fair_from: Percent = 60
    poor_from: Percent = 40
    on_time_weight: Percent = 50


class Service(Section):
    """What service is reckoned to cost and freight to leave (T-58): ours, until controlling gives figures."""

    visit_fen: Fen = 8_000
    phone_fen: Fen = 800
    sms_fen: Fen = 10
    email_fen: Fen = 10
    im_fen: Fen = 200
    ticket_fen: Fen = 2_000
    margin_percent: Percent = 15


class Kpis(Section):
    """Targets of the key figures (T-57): ours."""

    csat_percent: Percent = 90
    nps_points: Annotated[int, Field(ge=-100, le=100)] = 50
    cac_fen: Fen = 50_000
    clv_fen: Fen = 1_000_000
    complaint_resolution_percent: Percent = 95
    complaint_hours: Count = 48


def _care(kind: str) -> Responsibility:
    care = (Assist(role="care_rep", level="branch"),)
    return Responsibility(scope="quarter", kind=kind, role="outlet_staff", level="outlet", assist=care)  # type: ignore[arg-type]


RESPONSIBILITY = (
    Responsibility(scope="tier", tier="vip", role="district_head", level="district"),
    Responsibility(scope="tier", tier="key", role="branch_manager", level="branch", in_person=True),
    Responsibility(
        scope="tier",
        tier="general",
        role="outlet_staff",
        level="outlet",
        assist=(Assist(role="care_rep", level="branch"),),
    ),
    Responsibility(scope="quarter", kind="riser", role="branch_manager", level="branch"),
    Responsibility(scope="quarter", kind="decliner", role="branch_manager", level="branch"),
    *(_care(kind) for kind in ("rise", "fall", "resumed")),
)
_TO: tuple[RoleName, ...] = ("district_head", "ops_hq")
REPORTS = (
    Report(type="maintenance_monthly", due_day=4, period="month", level="district", to=_TO, cc=("cust_mgmt_office",)),
    Report(type="monthly_analysis", due_day=12, period="month", level="district", to=_TO),
    Report(type="quarterly_district", due_day=15, period="quarter", level="district", to=_TO),
    Report(type="quarterly_network", due_day=20, period="quarter", level="hq", to=("ops_hq",), visible_to="all"),
)


class PolicyDocument(Section):
    """Everything that a policy says, resolved: nothing is left to inherit."""

    policy_version: Annotated[str, Field(min_length=1, max_length=200)]
    effective_from: date
    tiers: Tiers = Tiers()
    grades: Grades = Grades()
    bands: Bands = Bands()
    movements: Movements = Movements()
    quarter: Quarter = Quarter()
    focus: Focus = Focus()
    entitlements: Entitlements = Entitlements()
    responsibility: tuple[Responsibility, ...] = RESPONSIBILITY
    radar: Radar = Radar()
    scores: Scores = Scores()
    reports: tuple[Report, ...] = REPORTS
    quality: Quality = Quality()
    service: Service = Service()
    kpis: Kpis = Kpis()

    @model_validator(mode="after")
    def _agree(self, info: ValidationInfo) -> Self:
        found = contradictions(self)
        if isinstance(info.context, list):  # the reader wants to know them all, and the document
            info.context.extend(found)
        elif found:
            raise ValueError("; ".join(reason for _, reason in found))
        return self


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in PolicyDocument.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
"""The parts with a value per key; `responsibility` and `reports` are one value each: a table that is replaced as a whole."""
TABLES = ("responsibility", "reports")
BEGINNING = date(2000, 1, 1)
"""The beginning of time: no charge lies before it."""
DEEPEST: dict[str, Level] = {
    "tiers.vip_top_n": "district",
    "bands": "district",
    "radar": "hq",
    "scores": "hq",
    "reports": "hq",
    "quality": "hq",
    "service": "hq",
    "kpis": "hq",
}
"""The lowest level of the organisation that may have a value of its own; for all others it is the branch."""


def keys() -> list[str]:
    """Return every key that a document may set, such as `tiers.key_top_n`."""
    return [*(f"{name}.{key}" for name, part in SECTIONS.items() for key in part.model_fields), *TABLES]


def value_of(document: PolicyDocument, key: str) -> Any:
    """Return what a document says under a key."""
    section, _, name = key.partition(".")
    part = getattr(document, section)
    return getattr(part, name) if name else part


def plain(document: PolicyDocument) -> dict[str, Any]:
    """Return a document as it stands in JSON."""
    content: dict[str, Any] = json.loads(document.model_dump_json())
    return content


def read_document(content: Mapping[str, Any], found: list[tuple[tuple[str, ...], str]] | None = None) -> PolicyDocument:
    """Return the document of a mapping as TOML or JSON gives it. Raises pydantic's ValidationError.

    Where `found` is given, contradictions are added to it instead of raised.
    """
    return PolicyDocument.model_validate_json(json.dumps(content, default=_written), context=found)


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@cache
def shipped(policy_version: str) -> PolicyDocument:
    """Return a document that comes with the software: `2008-new` or `2007-old`."""
    return read_document({"effective_from": BEGINNING} | tomllib.loads(shipped_text(policy_version)))


def shipped_text(policy_version: str) -> str:
    """Return the TOML of a shipped document."""
    return files("services.tiering.policies").joinpath("shipped", f"{policy_version}.toml").read_text(encoding="utf-8")


def contradictions(document: PolicyDocument) -> list[tuple[tuple[str, ...], str]]:
    """Return what in a document contradicts itself: the keys that do not agree, and the reason."""
    found = [
        (keys, reason)
        for keys, holds, reason in (
            *_ascending(document, "grades", ("gold_from_fen", "diamond_from_fen")),
            *_ascending(document, "quality", ("poor_from", "fair_from", "good_from", "excellent_from")),
            (
                ("bands.a_percent", "bands.b_percent"),
                document.bands.a_percent <= document.bands.b_percent,
                f"the bands overlap: A ends at {document.bands.a_percent} % and B, cumulative, "
                f"already at {document.bands.b_percent} %",
            ),
        )
        if not holds
    ]
    return [*found, *_tables(document)]


def _ascending(document: PolicyDocument, section: str, names: Sequence[str]) -> list[tuple[tuple[str, ...], bool, str]]:
    part = getattr(document, section)
    steps: list[tuple[tuple[str, ...], bool, str]] = []
    for lower, upper in pairwise(names):
        low, high = getattr(part, lower), getattr(part, upper)
        reason = f"{lower} ({low}) lies above its neighbour {upper} ({high})"
        steps.append(((f"{section}.{lower}", f"{section}.{upper}"), low <= high, reason))
    return steps


def _tables(document: PolicyDocument) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    seen: set[str] = set()
    for place, row in enumerate(document.responsibility):
        what = row.tier if row.scope == "tier" else row.kind
        if what is None or (row.tier is not None and row.kind is not None):
            found.append(((f"responsibility.{place}",), "a row of scope tier names a tier, one of scope quarter a kind"))
        elif what in seen:
            found.append(((f"responsibility.{place}",), f"{what} has two responsible roles: the second is an assist"))
        seen.add(what or "")
    missing = {"vip", "key", "general"} - seen
    if missing:
        found.append((("responsibility",), f"nobody is responsible for tier {', '.join(sorted(missing))}"))
    types = [report.type for report in document.reports]
    found += [
        ((f"reports.{place}.type",), f"report {name} is listed twice")
        for place, name in enumerate(types)
        if name in types[:place]
    ]
    return found
