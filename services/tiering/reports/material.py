"""What the sections of a report are made of, and small builders of their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.tiering.policies import PolicyDocument
from services.tiering.rendering.document import Column, Kind
from services.tiering.reports.calendar import Period
from services.tiering.reports.figures import Cell, Figures
from services.tiering.reports.quality import GRADE_NAMES, Grade, grade_of, ratio, score

TIERS = ("vip", "key", "general")
TIER_NAMES = {"vip": "VIP", "key": "重点 key", "general": "一般 general", "untiered": "未分层 untiered"}
ROLE_NAMES = {
    "district_head": "区总 district head",
    "branch_manager": "分部经理 branch manager",
    "outlet_staff": "点部 outlet",
    "care_rep": "客户关怀组 care group",
    "planning": "规划部 planning",
    "analyst": "客户分析专员 analyst",
    "ops_hq": "经营本部 operations HQ",
    "cust_mgmt_office": "客户管理处 customer management office",
    "cs_senior_manager": "客服高级经理 senior manager",
}


@dataclass(frozen=True, slots=True)
class Override:
    """Another grade of information quality that a person gave, with the reason."""

    grade: Grade
    reason: str
    recorded_by: str


@dataclass(frozen=True, slots=True)
class Material:
    """A report's figures with everything that people added to it."""

    unit_code: str
    report_type: str
    level: str
    period: Period
    policy: PolicyDocument
    figures: Figures
    instant: datetime
    advice: Sequence[Mapping[str, Any]] = ()
    overrides: Mapping[tuple[str, str], Override] = field(default_factory=dict)
    rectifications: Sequence[Mapping[str, Any]] = ()

    def score(self, cell: Cell) -> float | None:
        """Return the score of information quality, for showing."""
        return score(cell.records, self.policy.quality.on_time_weight)

    def grade(self, cell: Cell) -> Grade | None:
        """Return the grade of information quality as computed."""
        return grade_of(cell.records, self.policy.quality)


def column(name: str, label: str, kind: Kind = "text") -> Column:
    """Return a column of a table."""
    return Column(name, label, kind)


def who() -> list[Column]:
    """Return the columns that name a responsible role and unit."""
    return [column("role", "职责 role"), column("unit_code", "单位 unit")]


def role_name(role: str | None) -> str:
    """Return a role as people read it."""
    return ROLE_NAMES.get(role or "", role or "–")


def tier_name(tier: str) -> str:
    """Return a tier as people read it."""
    return TIER_NAMES.get(tier, tier)


def grade_name(grade: Grade | None) -> str | None:
    """Return a grade as people read it; None is "no data"."""
    return None if grade is None else GRADE_NAMES[grade]


def per_account(part: int, accounts: int) -> float | None:
    """Return how many there are per account, with two decimals; None without accounts."""
    return round(part * 100 / accounts) / 100 if accounts else None


def change_percent(now: int, before: int) -> float | None:
    """Return by how many percent an amount changed; None where there was nothing before."""
    return ratio(now - before, before)


def month_of(period: Period) -> str:
    """Return how a period is called in headings."""
    return f"{period.text} 月度" if period.kind == "month" else f"{period.text} 季度"
