"""Sections on movements (异动): which there were, what was done about them and with what effect, and what has to be mended.

Source: T-38 (movement report), T-42 (section of the monthly analysis), T-36, T-54 (effect per responsible), T-53 (rectification).
"""

from typing import Any

from services.tiering.rendering.document import Chart, Section, Table
from services.tiering.reports.material import Material, change_percent, column, role_name, tier_name, who
from services.tiering.reports.quality import ratio

KIND_NAMES = {
    "fall_over_half": "跌幅过半 fall over half",
    "zero_month": "零发件 zero month",
    "riser": "上升最大 riser",
    "decliner": "下滑最大 decliner",
    "rise": "上升 rise",
    "fall": "下滑 fall",
    "resumed": "恢复 resumed",
    "movement": "月度异动 monthly movement",
    "quarter_movement": "季度异动 quarterly movement",
}


def found(material: Material) -> Section:
    """List the movements of the period: how many per branch and kind, and the fifty greatest falls (T-38, T-42)."""
    kinds = material.figures.parts["kinds"]
    rows = [
        [row["branch_code"], KIND_NAMES.get(row["kind"], row["kind"]), row["movements"], row["standing"], row["fallen_fen"]]
        for row in kinds
    ]
    names = sorted({row["kind"] for row in kinds})
    counts = [sum(row["standing"] for row in kinds if row["kind"] == name) for name in names]
    greatest = [
        [
            *(row["account_no"], row["branch_code"], tier_name(row["tier"]), KIND_NAMES.get(row["kind"], row["kind"])),
            *(row["zero_months"], row["previous_fen"], row["current_fen"], row["state"], row["task_state"]),
        ]
        for row in material.figures.parts["found"]
    ]
    return Section(
        "异动客户 Movements",
        ["金额为今日数 (amounts as known when the report was made); 已撤销的不计金额 (withdrawn ones count without amount)。"],
        [
            Table("按分部 by branch", _KINDS, rows),
            Table("跌幅最大的 50 户 the fifty greatest falls", _FOUND, greatest),
        ],
        [Chart("pie", "异动类型 kinds", [KIND_NAMES.get(name, name) for name in names], {"n": counts})] if sum(counts) else [],
    )


_KINDS = [
    column("branch_code", "分部 branch"),
    column("kind", "类型 kind"),
    column("movements", "异动 movements", "count"),
    column("standing", "其中成立 standing", "count"),
    column("fallen_fen", "减少金额 fallen by", "fen"),
]
_FOUND = [
    column("account_no", "月结账户 account"),
    column("branch_code", "分部 branch"),
    column("tier", "层级 tier"),
    column("kind", "类型 kind"),
    column("zero_months", "连续零月 zero months", "count"),
    column("previous_fen", "上月 before", "fen"),
    column("current_fen", "本月 now", "fen"),
    column("state", "状态 state"),
    column("task_state", "任务 task"),
]


def effect(material: Material) -> Section:
    """Show what was done about movements and with what effect, per responsible role and unit (T-36, T-54)."""
    rows = [
        [
            *(row["branch_code"], role_name(row["role"]), row["unit_code"], KIND_NAMES.get(row["kind"], row["kind"])),
            *(row["tasks"], row["done"], row["overdue"], row["visited"], ratio(row["visited"], row["tasks"])),
            *_effect(row),
        ]
        for row in material.figures.parts["effect"]
    ]
    return Section(
        "异动跟进与效果 Follow-up of movements and its effect",
        [
            "效果 = 首次接触后次月运费 − 异动当期运费, 只计已关账的月份 (effect = freight of the month after the first "
            "contact less freight of the movement's month; only closed months are known)。",
            "各责任人对所负责客户的实施效果负责, 作为分部异动维护考核和下一步挽留的依据 (T-36, T-54)。",
        ],
        [Table("按责任人 by responsible", _EFFECT, rows)],
    )


def _effect(row: dict[str, Any] | Any) -> list[Any]:
    if not row["known"]:
        return [0, None, None, None, None, None]
    gained = row["after_fen"] - row["during_fen"]
    change = change_percent(row["after_fen"], row["during_fen"])
    return [row["known"], row["recovered"], row["during_fen"], row["after_fen"], gained, change]


_EFFECT = [
    column("branch_code", "分部 branch"),
    *who(),
    column("kind", "类型 kind"),
    column("tasks", "任务 tasks", "count"),
    column("done", "完成 done", "count"),
    column("overdue", "逾期 overdue", "count"),
    column("visited", "已接触 contacted", "count"),
    column("visited_ratio", "接触率 contacted", "percent"),
    column("known", "已知效果 effect known", "count"),
    column("recovered", "回升 recovered", "count"),
    column("during_fen", "异动当期 during", "fen"),
    column("after_fen", "接触后次月 after", "fen"),
    column("effect_fen", "效果 effect", "fen"),
    column("effect", "变化 change", "percent"),
]


def rectifications(material: Material) -> Section:
    """List what has to be mended, by whom and until when (T-53)."""
    rows = [[row[item.name] for item in _RECTIFICATIONS] for row in material.rectifications]
    return Section("整改 Rectification", ["整改由分析专员核验, 未达要求者重新打开 (verified by the analyst, else open again)。"],
                   [Table("整改任务 rectifications", _RECTIFICATIONS, rows)])  # fmt: skip


_RECTIFICATIONS = [
    *who(),
    column("weakness", "问题 weakness"),
    column("measure", "措施 measure"),
    column("due_on", "期限 due", "day"),
    column("state", "状态 state"),
    column("rounds", "轮次 rounds", "count"),
]
