"""The types of report (报告类型): title, sections, and who signs. Days, recipients and visibility are the policy's.

Source: T-38 to T-40 (old), T-41 to T-44 (new), T-48. A type that only a policy knows has the sections of the movement report.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.tiering.rendering.document import Section
from services.tiering.reports import amounts, followup, maintenance
from services.tiering.reports.material import Material

Builder = Callable[[Material], Section]


@dataclass(frozen=True, slots=True)
class ReportKind:
    """What a type of report is called and made of."""

    title: str
    sections: tuple[str, ...]


SECTIONS: Mapping[str, tuple[Builder, tuple[str, ...]]] = MappingProxyType(
    {
        "execution": (maintenance.execution, ()),
        "quality": (maintenance.quality, ()),
        "problems": (maintenance.problems, ("causes", "outstanding")),
        "league": (maintenance.league, ()),
        "rankings": (maintenance.rankings, ()),
        "overall": (maintenance.overall, ()),
        "amounts": (amounts.amounts, ()),
        "trend": (amounts.trend, ("trend",)),
        "movements": (followup.found, ("found", "kinds")),
        "effect": (followup.effect, ("effect",)),
        "rectifications": (followup.rectifications, ()),
    }
)
"""Every section by name, with the parts of the figures that it needs."""

_WHOLE = ("execution", "quality", "problems", "overall", "league", "rankings", "amounts", "trend", "movements", "effect")
KINDS: Mapping[str, ReportKind] = MappingProxyType(
    {
        "movement_monthly": ReportKind("异动客户分析报告", ("movements", "effect", "problems")),
        "quarterly_analysis": ReportKind(
            "月结客户季度分析报告", ("amounts", "trend", "execution", "rankings", "movements", "effect", "problems")
        ),
        "maintenance_monthly": ReportKind(
            "月结客户分层管理维护实施总结(月度)", ("execution", "quality", "problems", "overall", "league")
        ),
        "monthly_analysis": ReportKind(
            "月结客户月度分析报告", ("movements", "effect", "execution", "problems", "amounts", "trend")
        ),
        "quarterly_district": ReportKind("月结分层管理实施总结", (*_WHOLE, "rectifications")),
        "quarterly_network": ReportKind("全网月结分层管理实施总结", (*_WHOLE, "rectifications")),
    }
)

SIGNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "branch": ("analyst", "branch_manager"),
        "district": ("analyst", "district_head"),
        "hq": ("analyst", "cust_mgmt_office"),
    }
)
"""Who signs where the policy does not say: the analyst who submits it (T-43), or who answers for the unit (T-44 at HQ)."""


def kind_of(report_type: str) -> ReportKind:
    """Return what is known of a type; one that only a policy knows is called by its name."""
    return KINDS.get(report_type) or ReportKind(report_type, KINDS["movement_monthly"].sections)
