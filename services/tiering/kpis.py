"""Key figures (KPI): satisfaction, recommendation, acquisition, lifetime value, complaints; what each aims at, who owns it.

A figure whose input nobody has published is "no data", never 0: the reason says what is missing. Source: T-57, T-59.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import MonthClose
from services.tiering.placement import IN_UNIT
from services.tiering.policies.document import Kpis
from services.tiering.rendering import json
from services.tiering.rendering.document import Chart, Column, Document, Kind, Section, Table
from shared.clock import business_now
from shared.months import add_months, business_month, last_day, month_start_instant, month_text, parse_month

TREND_MONTHS = 12
UNITS = {"percent": "%", "points": "分", "fen": "元", "hours": "小时"}
COLUMNS = (
    Column("aim", "目标"),
    Column("label", "指标"),
    Column("value", "当月", "count"),
    Column("target", "目标值", "count"),
    Column("measured", "单位"),
    Column("owner", "负责人"),
    Column("formula", "公式"),
    Column("reason", "说明"),
)
Figures = Mapping[date, Decimal | int]
Measured = Literal["percent", "points", "fen", "hours"]


@dataclass(frozen=True, slots=True)
class Kpi:
    """The definition of a key figure; `target` is the key of its target in the policy, `missing` what is not published yet."""

    code: str
    label: str
    aim: str
    formula: str
    owner: str
    measured: Measured
    better: Literal["higher", "lower"]
    target: str
    missing: str


AIMS = {
    "value": ("客户价值最大化", "Customer value maximisation: what a shipper brings over its life, and what it cost to win."),
    "satisfaction": ("客户满意", "Satisfaction: what customers say, and whether what went wrong is put right in time."),
    "loyalty": ("客户忠诚", "Loyalty: whether customers recommend us."),
}
"""The aims of the KPI tree (T-59), each with its key figures beneath; together they serve the first."""
KPIS = (
    Kpi(
        code="clv",
        label="客户生命周期价值 CLV",
        aim="value",
        formula="sum of the accounts' expected value (scores) / scored accounts",
        owner="planning",
        measured="fen",
        better="higher",
        target="clv_fen",
        missing="no scores have been made for the month",
    ),
    Kpi(
        code="cac",
        label="客户获取成本 CAC",
        aim="value",
        formula="cost of acquisition in the month / accounts opened in the month",
        owner="planning",
        measured="fen",
        better="lower",
        target="cac_fen",
        missing="nobody publishes the cost of acquisition",
    ),
    Kpi(
        code="csat",
        label="客户满意度 CSAT",
        aim="satisfaction",
        formula="answers 4 and 5 of 5 / all answers of satisfaction surveys × 100",
        owner="cust_mgmt_office",
        measured="percent",
        better="higher",
        target="csat_percent",
        missing="nobody publishes answers of surveys",
    ),
    Kpi(
        code="complaint_resolution_rate",
        label="投诉解决率",
        aim="satisfaction",
        formula="complaints opened in the month and resolved by now / complaints opened in the month × 100",
        owner="cust_mgmt_office",
        measured="percent",
        better="higher",
        target="complaint_resolution_percent",
        missing="no complaint was opened in the month",
    ),
    Kpi(
        code="complaint_resolution_duration",
        label="投诉解决时长",
        aim="satisfaction",
        formula="mean of the hours from opening to resolution of complaints resolved in the month",
        owner="cust_mgmt_office",
        measured="hours",
        better="lower",
        target="complaint_hours",
        missing="no complaint was resolved in the month",
    ),
    Kpi(
        code="nps",
        label="净推荐值 NPS",
        aim="loyalty",
        formula="(answers 9 and 10 − answers 0 to 6) / all answers × 100",
        owner="cust_mgmt_office",
        measured="points",
        better="higher",
        target="nps_points",
        missing="nobody publishes answers of surveys",
    ),
)


async def read(session: AsyncSession, unit: str, month: str | None = None) -> dict[str, Any]:
    """Return the key figures of a unit's subtree for a month, by default the last closed one, with twelve months of trend."""
    chosen = parse_month(month) if month else await last_closed_month(session)
    months = [add_months(chosen, n - TREND_MONTHS + 1) for n in range(TREND_MONTHS)]
    policy = (await policies.in_force(session, last_day(chosen))).base
    known = await _figures(session, unit, months)
    items = [_item(kpi, policy.kpis, months, known.get(kpi.code, {})) for kpi in KPIS]
    found = {
        "unit_code": unit,
        "month": month_text(chosen),
        "policy_version": policy.policy_version,
        "aims": [
            {"aim": aim, "label": label, "says": says, "kpis": [kpi.code for kpi in KPIS if kpi.aim == aim]}
            for aim, (label, says) in AIMS.items()
        ],
        "kpis": items,
    }
    return {**found, "document": json.plain(document(found))}


async def last_closed_month(session: AsyncSession) -> date:
    """Return the last closed month; before the first close the month before this one."""
    found: date | None = await session.scalar(select(func.max(MonthClose.month)).where(MonthClose.state == "closed"))
    return found or add_months(business_month(await business_now(session)), -1)


def document(found: Mapping[str, Any]) -> Document:
    """Put the key figures into a document: the tree, a table, and the trend of each figure that is known."""
    labels = {aim["aim"]: aim["label"] for aim in found["aims"]}
    beneath = {aim: ", ".join(one["label"] for one in found["kpis"] if one["aim"] == aim) for aim in labels}
    rows = [
        (
            labels[one["aim"]],
            one["label"],
            _shown(one["value"], one["measured"]),
            _shown(one["target"], one["measured"]),
            UNITS[one["measured"]],
            one["owner"],
            one["formula"],
            one["reason"] or "",
        )
        for one in found["kpis"]
    ]
    charts = [_trend(one) for one in found["kpis"] if any(point["value"] is not None for point in one["trend"])]
    return Document(
        f"关键指标 {found['unit_code']} {found['month']}",
        f"目标值取自规则版本 {found['policy_version']}",
        ["没有数据的指标写“无数据”, 不写 0。"],
        [
            Section("指标树", [f"{label}: {beneath[aim]}" for aim, label in labels.items()], [Table("关键指标", COLUMNS, rows)]),
            Section("走势", (), (), charts),
        ],
    )


def _shown(value: Any, measured: Measured) -> Any:
    return Decimal(value) / 100 if value is not None and measured == "fen" else value


def _trend(one: Mapping[str, Any]) -> Chart:
    months, values = [point["month"] for point in one["trend"]], [point["value"] for point in one["trend"]]
    kind: Kind = one["measured"] if one["measured"] in ("fen", "percent") else "count"
    return Chart("line", one["label"], months, {one["label"]: values}, kind)


def _item(kpi: Kpi, targets: Kpis, months: list[date], figures: Figures) -> dict[str, Any]:
    value, target = figures.get(months[-1]), getattr(targets, kpi.target)
    met = value is not None and (value >= target if kpi.better == "higher" else value <= target)
    names = ("code", "label", "aim", "formula", "owner", "measured", "better")
    return {
        **{name: getattr(kpi, name) for name in names},
        "target": target,
        "value": value,
        "status": "no_data" if value is None else "met" if met else "missed",
        "reason": kpi.missing if value is None else None,
        "trend": [{"month": month_text(month), "value": figures.get(month)} for month in months],
    }


async def _figures(session: AsyncSession, unit: str, months: list[date]) -> dict[str, Figures]:
    """Return what is known, by figure and month; what nobody publishes has no entry."""
    bounds = {
        "unit": unit,
        "start": month_start_instant(months[0]),
        "end": month_start_instant(add_months(months[-1], 1)),
    }
    rates = (await session.execute(_RATES, bounds)).all()
    durations = (await session.execute(_DURATIONS, bounds)).all()
    values = (await session.execute(_VALUES, {"unit": unit, "first": months[0], "last": months[-1]})).all()
    return {
        "clv": {row.month: row.clv_fen for row in values},
        "complaint_resolution_rate": {row.month: round(Decimal(100 * row.resolved) / row.opened, 2) for row in rates},
        "complaint_resolution_duration": {row.month: round(row.hours, 2) for row in durations},
    }


# A complaint lies where its account stands today; without an account in the branch that it was opened for.
_COMPLAINTS = f"""
FROM ticket_facts t LEFT JOIN accounts a ON a.account_no = t.account_no
WHERE t.ticket_class = 'complaint' AND t.state <> 'refuted' AND {IN_UNIT.format(unit="coalesce(a.unit_code, t.branch_code)")}"""
_MONTH = "CAST(date_trunc('month', t.{instant} AT TIME ZONE 'Asia/Shanghai') AS date)"
_RATES = text(f"""
SELECT {_MONTH.format(instant="opened_at")} AS month, count(*) AS opened, count(t.resolved_at) AS resolved
{_COMPLAINTS} AND t.opened_at >= :start AND t.opened_at < :end GROUP BY 1""")
_DURATIONS = text(f"""
SELECT {_MONTH.format(instant="resolved_at")} AS month,
       avg(extract(epoch FROM t.resolved_at - t.opened_at)) / 3600 AS hours
{_COMPLAINTS} AND t.resolved_at >= :start AND t.resolved_at < :end GROUP BY 1""")
_VALUES = text(f"""
SELECT s.month, CAST(avg(s.clv_fen) AS bigint) AS clv_fen FROM scores s JOIN accounts a ON a.account_no = s.account_no
WHERE s.month BETWEEN :first AND :last AND {IN_UNIT.format(unit="a.unit_code")} GROUP BY 1""")
