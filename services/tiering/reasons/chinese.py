"""Decisions in plain Chinese (中文说明): the sentences of `english`, one for one. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.tiering.axes import fall_text, share_of
from services.tiering.models import Decision, MovementRow, QuarterMovementRow
from shared.clock import shanghai
from shared.money import yuan_text
from shared.months import add_months, month_text, quarter_text

TIERS = {"vip": "VIP客户", "key": "重点客户", "general": "一般客户"}
GRADES = {"diamond": "钻石级", "gold": "金级", "silver": "银级"}
ROLES = {
    "district_head": "区总",
    "branch_manager": "分部经理",
    "outlet_staff": "点部",
    "care_rep": "客户关怀组",
    "planning": "规划部",
    "ops_hq": "总部运营",
    "cust_mgmt_office": "客户管理办公室",
    "analyst": "分析员",
}
KINDS = {"riser": "上升最大", "decliner": "下滑最大", "rise": "上升", "fall": "下滑", "resumed": "恢复发件"}


def of_close(row: Decision, above: Decision | None, below: Decision | None) -> list[str]:
    """Say why a close decided grade, tier, band and entitlements as it did."""
    if row.quarter_fen is None:
        return [_grade(row)]
    return [_grade(row), *_tier(row, above, below), *([_band(row), _entitled(row)] if row.band else [])]


def _grade(row: Decision) -> str:
    first = month_text(add_months(row.month, -2))
    return (
        f"账户{row.account_no}自{_day(row.grade_since)}起为{GRADES[row.grade]}:{first}至{month_text(row.month)}运费共"
        f"{yuan_text(row.sum_fen)}元,以其三分之一与标准比较(月均{yuan_text(row.diamond_from_fen)}元起为钻石级,"
        f"{yuan_text(row.gold_from_fen)}元起为金级;规则版本{row.policy_version})。"
    )


def _tier(row: Decision, above: Decision | None, below: Decision | None) -> list[str]:
    quarter = quarter_text(row.month)
    if row.service_tier is None:
        return [f"账户{row.account_no}没有服务层级:{quarter}没有运费,规则版本{row.policy_version}不对此类账户分层。"]
    held = f"账户{row.account_no}自{row.tier_since and _day(row.tier_since)}起为{TIERS[row.service_tier]}"
    if row.branch_code is None:
        return [f"{held}:{quarter}最后一天不属于任何分部,未参加排名。"]
    if row.rank is None:
        return [f"{held}:{quarter}没有运费,未参加排名。"]
    is_vip = row.service_tier == "vip"
    among = f"{row.district_code}区" if is_vip else f"{row.branch_code}分部(除VIP外)"
    sentences = [
        f"{held}:{quarter}运费{yuan_text(row.quarter_fen or 0)}元,在{among}排名第{row.rank}"
        f"(VIP为每区前{row.vip_top_n}名,重点为每分部其余客户的前{row.key_top_n}名)。"
    ]
    for word, more, other in (("前", "多", above), ("后", "少", below)):
        if other is not None:
            between = abs((other.quarter_fen or 0) - (row.quarter_fen or 0))
            tier = TIERS[other.service_tier or "general"]
            sentences.append(
                f"{word}一名:账户{other.account_no},第{other.rank}名,{yuan_text(other.quarter_fen or 0)}元,{tier},"
                f"{more}{yuan_text(between)}元。"
            )
    return sentences


def _band(row: Decision) -> str:
    if row.band_place is None or row.band_of is None:
        return f"{row.band}类:{quarter_text(row.month)}没有运费,或不属于任何区,没有名次。"
    a, b = share_of(row.band_of, row.a_percent or 0), share_of(row.band_of, row.b_percent or 0)
    return (
        f"{row.band}类:在{row.district_code}区有运费的{row.band_of}个账户中排第{row.band_place}"
        f"(前{row.a_percent}%即前{a}名为A类,累计前{row.b_percent}%即前{b}名为B类,其余为C类)。"
    )


def _entitled(row: Decision) -> str:
    has = [
        *(["客服热线绿色通道"] if row.green_channel else []),
        *(["特制理赔"] if row.special_claims else []),
        *([f"积分方案{row.points_plan}"] if row.points_plan else []),
    ]
    area = "属于" if row.non_insured else "不属于"
    focus = "月均运费达到重点维护标准,由分部经理指定维护负责人。" if row.focus_general else ""
    return (
        f"享受待遇:{'、'.join(has) or '无'}。非保价地区月均运费{yuan_text(row.claims_from_fen or 0)}元起可享特制理赔,"
        f"该账户{area}非保价地区。{focus}"
    )


def of_movement(row: MovementRow) -> list[str]:
    """Say why a month shows a movement, and what became of it."""
    month, before = month_text(row.month), month_text(add_months(row.month, -1))
    decided = f"{before}为{yuan_text(row.decided_previous_fen)}元,{month}为{yuan_text(row.decided_current_fen)}元"
    if row.kind == "zero_month":
        said = f"连续第{row.zero_months}个月没有运费"
    else:
        said = f"运费下滑{fall_text(row.decided_previous_fen, row.decided_current_fen)}%"
    sentences = [f"账户{row.account_no},{month}:{said}({decided}),{_day(row.detected_at)}发现(规则版本{row.policy_version})。"]
    today = (row.previous_fen, row.current_fen)
    if today != (row.decided_previous_fen, row.decided_current_fen):
        sentences.append(f"之后补计:{before}为{yuan_text(today[0])}元,{month}为{yuan_text(today[1])}元。")
    if row.state == "withdrawn":
        because = "已由另一异动代替" if row.withdrawn_reason == "restated" else "已不成立"
        sentences.append(f"{_day(row.judged_at)}撤销:{because}。")
    return sentences


def of_quarter_movement(
    row: QuarterMovementRow,
    above: QuarterMovementRow | None,
    below: QuarterMovementRow | None,
    now: Mapping[str, Any] | None,
) -> list[str]:
    """Say why a quarter shows a movement, who answers for it, and what late charges would have made of it."""
    quarter, before = quarter_text(row.quarter), quarter_text(add_months(row.quarter, -3))
    amounts = f"{before}为{yuan_text(row.previous_fen)}元,{quarter}为{yuan_text(row.current_fen)}元"
    because = {
        "riser": f"{row.branch_code}分部运费上升最大的客户,第{row.place}名(取前{row.riser_n}名)",
        "decliner": f"{row.branch_code}分部运费下滑金额最大的客户,第{row.place}名(取前{row.decliner_n}名)",
        "rise": f"环比上升不低于{row.rise_percent}%",
        "fall": f"环比下滑不低于{row.fall_percent}%",
        "resumed": f"{before}没有运费后恢复发件",
    }[row.kind]
    sentences = [f"账户{row.account_no},{quarter}:{because}({amounts};规则版本{row.policy_version})。"]
    for word, other in (("前", above), ("后", below)):
        if other is not None:
            change, own = (abs(one.current_fen - one.previous_fen) for one in (other, row))
            sentences.append(
                f"{word}一名:账户{other.account_no},变动{yuan_text(change)}元,相差{yuan_text(abs(change - own))}元。"
            )
    helpers = "、".join(f"{one['unit_code']}{ROLES.get(one['role'], one['role'])}" for one in row.assist)
    answers = f"{row.responsible_unit}{ROLES.get(row.responsible_role, row.responsible_role)}"
    sentences.append(f"由{answers}负责维护{f',{helpers}协助' if helpers else ''}。")
    if now is not None:
        kind = KINDS[now["kind"]] if now["kind"] else "没有异动"
        sentences.append(
            f"按今日数据应为{kind}:{before}为{yuan_text(now['previous_fen'])}元,{quarter}为{yuan_text(now['current_fen'])}元。"
        )
    return sentences


def _day(instant: datetime) -> str:
    return shanghai(instant).date().isoformat()
