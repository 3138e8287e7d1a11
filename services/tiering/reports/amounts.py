"""Sections on freight (业务量): average amount per account, churn, and how they developed.

Source: T-50 (both formulas are printed), T-51 (the average should rise year on year).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.tiering.rendering.document import Chart, Section, Table
from services.tiering.reports.figures import Cell, total
from services.tiering.reports.material import TIERS, Material, change_percent, column, tier_name
from services.tiering.reports.quality import ratio
from shared.months import add_months, month_text

FORMULAS = (
    "户均金额 = 本期运费 ÷ 本期有运费的账户数 (average amount = freight of the period ÷ accounts with freight in it)。",
    "流失率 = 本期流失账户数 ÷ 期初账户数 (churn = accounts lost in the period ÷ accounts at its start): "
    "期初账户 = 期初前三个月有运费的账户 (freight in the three months before the period), "
    "流失 = 到期末连续三个月无运费 (none in the last three months)。",
)


def average_fen(cell: Cell) -> int | None:
    """Return the freight per account with freight, rounded half up to the fen; None without one (T-50)."""
    return (2 * cell.amount_fen + cell.active) // (2 * cell.active) if cell.active else None


def amounts(material: Material) -> Section:
    """Show average amount per account and churn rate by tier, with both formulas (T-50)."""
    figures = material.figures
    by_tier = figures.by(lambda row: row["tier"])
    rows = [[tier_name(tier), *_amounts(material, by_tier[tier])] for tier in (*TIERS, "untiered") if tier in by_tier]
    rows.append(["合计 total", *_amounts(material, total(by_tier.values()))])
    by_branch = figures.by(lambda row: row["branch_code"])
    return Section(
        "户均金额与流失率 Average amount and churn",
        [
            *FORMULAS,
            *([] if figures.has_before else ["本期之前没有关账, 流失率无数据 (no close before the period: no churn rate)。"]),
        ],
        [
            Table("按层级 by tier", [column("tier", "层级 tier"), *_AMOUNTS], rows),
            Table(
                "按分部 by branch",
                [column("branch_code", "分部 branch"), *_AMOUNTS],
                [[name, *_amounts(material, cell)] for name, cell in by_branch.items()],
            ),
        ],
    )


_AMOUNTS = [
    column("amount_fen", "运费 freight", "fen"),
    column("previous_fen", "上期运费 before", "fen"),
    column("change", "变化 change", "percent"),
    column("active", "有运费账户 active", "count"),
    column("average_fen", "户均金额 average", "fen"),
    column("at_start", "期初账户 at start", "count"),
    column("lost", "流失 lost", "count"),
    column("churn", "流失率 churn", "percent"),
]


def _amounts(material: Material, cell: Cell) -> list[Any]:
    known = material.figures.has_before
    start, lost, churn = (cell.active_before, cell.lost, ratio(cell.lost, cell.active_before)) if known else (None, None, None)
    change = change_percent(cell.amount_fen, cell.previous_fen)
    return [cell.amount_fen, cell.previous_fen, change, cell.active, average_fen(cell), start, lost, churn]


def trend(material: Material) -> Section:
    """Show the average amount per account month by month, of the unit and its branches, against the year before (T-51)."""
    rows = material.figures.parts["trend"]
    months = [month_text(add_months(material.period.last, n - 11)) for n in range(12)]
    whole = _averages(rows, lambda row: material.unit_code)[material.unit_code]
    branches = _averages(rows, lambda row: row["branch_code"] or "–")
    table = [[month, whole.get(month), whole.get(_year_before(month)), _against_year_before(whole, month)] for month in months]
    last = months[-1]
    by_branch = [
        [name, of.get(last), of.get(_year_before(last)), _against_year_before(of, last)] for name, of in branches.items()
    ]
    compared = [column("now", "户均金额 average", "fen"), column("before", "上年同期 year before", "fen")]
    change = column("change", "同比 year on year", "percent")
    lines: dict[str, Sequence[int | None]] = {"本年 now": [whole.get(month) for month in months]}
    lines["上年 year before"] = [whole.get(_year_before(month)) for month in months]
    return Section(
        "户均金额走势 Trend of the average amount",
        ["按各月关账时的运费 (freight as of each month's close)。"],
        [
            Table(f"{material.unit_code}", [column("month", "月份 month"), *compared, change], table),
            Table(f"分部 branches, {last}", [column("branch_code", "分部 branch"), *compared, change], by_branch),
        ],
        [Chart("line", "户均金额 average per account (元 yuan)", months, lines, "fen")],
    )


def _averages(
    rows: Sequence[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], str]
) -> Mapping[str, Mapping[str, int | None]]:
    sums: dict[str, dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for row in rows:
        cell = sums[key(row)][row["month"]]
        cell.amount_fen += row["amount_fen"]
        cell.active += row["active"]
    found = {name: {month: average_fen(cell) for month, cell in sums[name].items()} for name in sorted(sums)}
    return defaultdict(dict, found)


def _year_before(month: str) -> str:
    return f"{int(month[:4]) - 1}{month[4:]}"


def _against_year_before(averages: Mapping[str, int | None], month: str) -> float | None:
    now, before = averages.get(month), averages.get(_year_before(month))
    return None if now is None or not before else change_percent(now, before)
