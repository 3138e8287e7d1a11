"""Sections on maintenance (维护实施): what was done for whom, how well it was recorded, which problems were solved, who leads.

Source: T-45 (count, ratio, quality, problems, overall), T-46 (grades and overrides), T-47 (league of branches), T-49 (rankings).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from services.tiering.rendering.document import Chart, Section, Table
from services.tiering.reports.figures import Cell, branch, responsible
from services.tiering.reports.material import (
    TIERS,
    Material,
    column,
    grade_name,
    per_account,
    role_name,
    tier_name,
    who,
)
from services.tiering.reports.quality import graded, mean, ratio

Measure = Callable[[Cell], float | None]


def execution(material: Material) -> Section:
    """Show count and ratio of maintenance per responsible (T-45); the ratio has no value where nobody is assigned."""
    rows: list[list[Any]] = [
        [role_name(role), unit, *_execution(cell)] for (role, unit), cell in material.figures.by(responsible).items()
    ]
    rows.append(["合计 total", material.unit_code, *_execution(material.figures.total())])
    tiers = material.figures.by(lambda row: row["tier"] if row["role"] else None)
    return Section(
        "维护次数与维护比例 Maintenance count and ratio",
        ["维护比例 = 有维护记录的客户数 ÷ 应维护客户数 (ratio = customers touched ÷ customers assigned)。"],
        [
            Table(
                "按责任人 by responsible",
                [
                    *who(),
                    column("assigned", "应维护客户 assigned", "count"),
                    column("touched", "已维护客户 touched", "count"),
                    column("contacts", "维护次数 contacts", "count"),
                    column("ratio", "维护比例 ratio", "percent"),
                    column("tasks", "任务 tasks", "count"),
                    column("tasks_done", "已完成 done", "count"),
                    column("tasks_overdue", "逾期 overdue", "count"),
                ],
                rows,
            )
        ],
        [
            Chart(
                "bar",
                "各层级维护比例 ratio by tier",
                [tier_name(tier) for tier in TIERS],
                {"%": [ratio(tiers.get(t, Cell()).touched, tiers.get(t, Cell()).assigned) for t in TIERS]},
                "percent",
            )
        ],
    )


def _execution(cell: Cell) -> list[Any]:
    return [
        *(cell.assigned, cell.touched, cell.contacts, ratio(cell.touched, cell.assigned)),
        *(cell.tasks, cell.tasks_done, cell.tasks_overdue),
    ]


def quality(material: Material) -> Section:
    """Show the grades of information quality, computed and given by a person (T-46)."""
    cuts = material.policy.quality
    return Section(
        "信息完成质量 Information quality",
        [
            f"得分 = {cuts.on_time_weight} % × 及时率 + {100 - cuts.on_time_weight} % × 完整率 "
            "(score = weight × on time + rest × complete)。"
            f"优秀 ≥ {cuts.excellent_from}, 良好 ≥ {cuts.good_from}, 一般 ≥ {cuts.fair_from}, 较差 ≥ {cuts.poor_from}, "
            "以下为非常差 (very poor below)。没有记录的不评级 (without a record there is no grade)。",
            "及时: 三个工作日内录入; 完整: 五项信息齐全 "
            "(on time: entered within three working days; complete: all five blocks)。",
        ],
        [
            Table(
                "按责任人 by responsible",
                [
                    *who(),
                    column("contacts", "记录 contacts", "count"),
                    column("on_time", "及时率 on time", "percent"),
                    column("complete", "完整率 complete", "percent"),
                    column("score", "得分 score", "percent"),
                    column("computed", "计算等级 computed grade"),
                    column("grade", "等级 grade"),
                    column("reason", "调整原因 reason of another grade"),
                ],
                list(_grades(material)),
            )
        ],
    )


def _grades(material: Material) -> Iterator[list[Any]]:
    """Yield a row per responsible: what was computed, and the grade that counts."""
    for (role, unit), cell in material.figures.by(responsible).items():
        computed = material.grade(cell)
        other = material.overrides.get((role, unit))
        yield [
            *(role_name(role), unit, cell.contacts, ratio(cell.on_time, cell.contacts), ratio(cell.complete, cell.talks)),
            *(material.score(cell), grade_name(computed), grade_name(other.grade if other else computed)),
            f"{other.reason} ({other.recorded_by})" if other else "",
        ]


def problems(material: Material) -> Section:
    """Show how customers' problems were followed up and solved (T-45, T-48)."""
    causes = material.figures.parts["causes"]
    outstanding = material.figures.parts["outstanding"]
    rows = [[name or "–", *_problems(cell)] for name, cell in material.figures.by(branch).items()]
    rows.append([f"{material.unit_code} 合计 total", *_problems(material.figures.total())])
    columns = [
        column("branch_code", "分部 branch"),
        column("tickets", "问题 opened", "count"),
        column("resolved", "已解决 resolved", "count"),
        column("solved", "解决率 resolved", "percent"),
        column("in_time", "按时解决率 in time", "percent"),
        column("overdue", "逾期未决 overdue", "count"),
    ]
    top = [column("cause", "原因 cause"), *(column(name, label, "count") for name, label in _CAUSE_COUNTS)]
    open_ = [column(name, label) for name, label in _OPEN_TICKETS]
    shown = [[row[name] for name, _ in _OPEN_TICKETS] for row in outstanding]
    return Section(
        "客户问题跟进与解决 Problems followed up and solved",
        [f"建议 Advice: {note['text']} ({note['recorded_by']})" for note in material.advice],
        [
            Table("按分部 by branch", columns, rows),
            Table("突出问题 top causes", top, [[row["cause"], *(row[n] for n, _ in _CAUSE_COUNTS)] for row in causes]),
            Table("逾期未决问题 (前 50) outstanding problems (first 50)", open_, shown),
        ],
        [Chart("bar", "突出问题 top causes", [row["cause"] for row in causes], {"n": [row["tickets"] for row in causes]})]
        if causes
        else [],
    )


_CAUSE_COUNTS = (("tickets", "问题 opened"), ("resolved", "已解决 resolved"), ("overdue", "逾期未决 overdue"))
_OPEN_TICKETS = (
    ("ticket_id", "工单 ticket"),
    ("account_no", "月结账户 account"),
    ("branch_code", "分部 branch"),
    ("ticket_class", "类别 class"),
    ("priority", "等级 priority"),
    ("due_at", "时限 due"),
)


def _problems(cell: Cell) -> list[Any]:
    resolved, in_time = ratio(cell.tickets_resolved, cell.tickets), ratio(cell.tickets_in_time, cell.tickets)
    return [cell.tickets, cell.tickets_resolved, resolved, in_time, cell.tickets_overdue]


MEASURES: Mapping[str, tuple[str, Measure]] = {
    "ratio": ("维护比例 ratio", lambda cell: ratio(cell.touched, cell.assigned)),
    "frequency": ("户均维护次数 contacts per account", lambda cell: per_account(cell.contacts, cell.assigned)),
    "on_time": ("及时率 on time", lambda cell: ratio(cell.on_time, cell.contacts)),
    "complete": ("完整率 complete", lambda cell: ratio(cell.complete, cell.talks)),
    "solved": ("问题解决率 problems solved", lambda cell: ratio(cell.tickets_resolved, cell.tickets)),
    "amount": ("户均金额 (元) yuan per account", lambda cell: per_account(cell.amount_fen, cell.active * 100)),
}


def league(material: Material) -> Section:
    """Compare the branches with each other, one table per measure (T-47)."""
    branches = material.figures.by(branch)
    kinds = {"frequency": "count", "amount": "count"}
    tables = [
        Table(
            label,
            [column("place", "名次 place", "count"), column("branch_code", "分部 branch"), column(name, label, kind)],  # type: ignore[arg-type]
            ranked(branches, measure),
        )
        for name, (label, measure) in MEASURES.items()
        for kind in (kinds.get(name, "percent"),)
    ]
    return Section("分部比较 Branches compared", ["没有数据的分部排在最后, 不计名次 (no data: no place, at the end)。"], tables)


def ranked(cells: Mapping[Any, Cell], measure: Measure) -> list[list[Any]]:
    """Return [place, name, value], the best first; equal values share a place, and what has no value has none."""
    values = sorted(((measure(cell), str(name)) for name, cell in cells.items()), key=lambda one: (-(one[0] or 0), one[1]))
    known = [one for one in values if one[0] is not None]
    places = [[1 + sum(other > value for other, _ in known if other is not None), name, value] for value, name in known]  # type: ignore[operator]
    return [*places, *([None, name, None] for value, name in values if value is None)]


def rankings(material: Material) -> Section:
    """Rank the branches by frequency, timeliness and completeness of each tier (T-49)."""
    tables = []
    for tier in TIERS:
        cells = material.figures.by(lambda row, tier=tier: row["branch_code"] if row["tier"] == tier and row["role"] else None)  # type: ignore[misc]
        for name in ("frequency", "on_time", "complete"):
            label, measure = MEASURES[name]
            kind = "count" if name == "frequency" else "percent"
            columns = [column("place", "名次 place", "count"), column("branch_code", "分部 branch"), column(name, label, kind)]  # type: ignore[arg-type]
            tables.append(Table(f"{tier_name(tier)}: {label}", columns, ranked(cells, measure)))
    return Section("各层级维护排名 Rankings per tier", [], tables)


def overall(material: Material) -> Section:
    """Judge each branch on the whole: the mean of ratio, quality and problems solved, on the same cut-offs (T-45)."""
    rows = []
    for name, cell in material.figures.by(branch).items():
        parts = [ratio(cell.touched, cell.assigned), material.score(cell), ratio(cell.tickets_resolved, cell.tickets)]
        value = mean(parts)
        grade = None if value is None else graded(round(value * 10), 10, material.policy.quality)
        rows.append([name, *parts, value, grade_name(grade)])
    return Section(
        "综合评价 Overall",
        ["综合得分 = 维护比例、信息质量得分、问题解决率中有数据者的平均 (mean of what has data; our rule)。"],
        [Table("按分部 by branch", _OVERALL, _best_first(rows))],
    )


_OVERALL = [
    column("branch_code", "分部 branch"),
    column("ratio", "维护比例 ratio", "percent"),
    column("score", "信息质量 quality", "percent"),
    column("solved", "问题解决率 solved", "percent"),
    column("overall", "综合得分 overall", "percent"),
    column("grade", "等级 grade"),
]


def _best_first(rows: Sequence[list[Any]]) -> list[list[Any]]:
    return sorted(rows, key=lambda row: (row[4] is None, -(row[4] or 0), row[0]))
