"""Decisions in plain English: one sentence per thing that was decided. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.tiering.axes import fall_text, share_of
from services.tiering.models import Decision, MovementRow, QuarterMovementRow
from shared.clock import shanghai
from shared.money import yuan_text
from shared.months import add_months, month_text, quarter_text


def of_close(row: Decision, above: Decision | None, below: Decision | None) -> list[str]:
    """Say why a close decided grade, tier, band and entitlements as it did."""
    if row.quarter_fen is None:
        return [_grade(row)]
    return [_grade(row), *_tier(row, above, below), *([_band(row), _entitled(row)] if row.band else [])]


def _grade(row: Decision) -> str:
    thresholds = f"diamond from {yuan_text(row.diamond_from_fen)}, gold from {yuan_text(row.gold_from_fen)} yuan a month"
    first = month_text(add_months(row.month, -2))
    return (
        f"Account {row.account_no} is {row.grade} since {_day(row.grade_since)}: {yuan_text(row.sum_fen)} yuan in {first} to "
        f"{month_text(row.month)}, a third of it compared with {thresholds} (policy {row.policy_version})."
    )


def _tier(row: Decision, above: Decision | None, below: Decision | None) -> list[str]:
    quarter = quarter_text(row.month)
    if row.service_tier is None:
        return [
            f"Account {row.account_no} has no service tier: it had no freight in {quarter}, and policy {row.policy_version} "
            "leaves such accounts untiered."
        ]
    held = f"Account {row.account_no} is {row.service_tier} since {row.tier_since and _day(row.tier_since)}"
    if row.branch_code is None:
        return [f"{held}: it belonged to no branch on the last day of {quarter}, so it was not ranked."]
    if row.rank is None:
        return [f"{held}: it had no freight in {quarter}, so it was not ranked."]
    is_vip = row.service_tier == "vip"
    among = f"in district {row.district_code}" if is_vip else f"in branch {row.branch_code} among those who are not VIP"
    limits = f"VIP are the first {row.vip_top_n} of a district, key the first {row.key_top_n} of a branch among the rest"
    sentences = [f"{held}: rank {row.rank} {among} in {quarter} with {yuan_text(row.quarter_fen or 0)} yuan ({limits})."]
    for word, more, other in (("above", "more", above), ("below", "less", below)):
        if other is not None:
            between = abs((other.quarter_fen or 0) - (row.quarter_fen or 0))
            sentences.append(
                f"Next {word}: account {other.account_no}, rank {other.rank}, {yuan_text(other.quarter_fen or 0)} yuan, "
                f"{other.service_tier}; {yuan_text(between)} yuan {more}."
            )
    return sentences


def _band(row: Decision) -> str:
    if row.band_place is None or row.band_of is None:
        return f"Band {row.band}: without freight in {quarter_text(row.month)}, or outside every district, it has no place."
    a, b = share_of(row.band_of, row.a_percent or 0), share_of(row.band_of, row.b_percent or 0)
    return (
        f"Band {row.band}: place {row.band_place} of {row.band_of} accounts with freight in district {row.district_code} "
        f"(A up to place {a}, the first {row.a_percent} %; B up to place {b}, {row.b_percent} % together)."
    )


def _entitled(row: Decision) -> str:
    has = [
        *(["the green channel"] if row.green_channel else []),
        *(["special claims"] if row.special_claims else []),
        *([f"the points plan {row.points_plan}"] if row.points_plan else []),
    ]
    area = "lies" if row.non_insured else "does not lie"
    focus = " It is a focus account and gets a named maintainer." if row.focus_general else ""
    return (
        f"Entitled to {', '.join(has) or 'nothing'}: a quarter's monthly average of {yuan_text(row.claims_from_fen or 0)} yuan "
        f"in a non-insured area gives special claims, and the account {area} in one.{focus}"
    )


def of_movement(row: MovementRow) -> list[str]:
    """Say why a month shows a movement, and what became of it."""
    month, before = month_text(row.month), month_text(add_months(row.month, -1))
    decided = f"{yuan_text(row.decided_previous_fen)} yuan in {before}, {yuan_text(row.decided_current_fen)} in {month}"
    if row.kind == "zero_month":
        said = f"month {row.zero_months} in a row without freight ({decided})"
    else:
        said = f"freight fell by {fall_text(row.decided_previous_fen, row.decided_current_fen)} % ({decided})"
    sentences = [f"Account {row.account_no}, {month}: {said}, found on {_day(row.detected_at)} (policy {row.policy_version})."]
    today = (row.previous_fen, row.current_fen)
    if today != (row.decided_previous_fen, row.decided_current_fen):
        sentences.append(f"Restated since: {yuan_text(today[0])} yuan in {before}, {yuan_text(today[1])} in {month}.")
    if row.state == "withdrawn":
        because = "another movement took its place" if row.withdrawn_reason == "restated" else "it is no longer true"
        sentences.append(f"Withdrawn on {_day(row.judged_at)}: {because}.")
    return sentences


def of_quarter_movement(
    row: QuarterMovementRow,
    above: QuarterMovementRow | None,
    below: QuarterMovementRow | None,
    now: Mapping[str, Any] | None,
) -> list[str]:
    """Say why a quarter shows a movement, who answers for it, and what late charges would have made of it."""
    quarter, before = quarter_text(row.quarter), quarter_text(add_months(row.quarter, -3))
    amounts = f"{yuan_text(row.previous_fen)} yuan in {before}, {yuan_text(row.current_fen)} in {quarter}"
    because = {
        "riser": f"the largest rise of branch {row.branch_code}, place {row.place} of {row.riser_n}",
        "decliner": f"one of the largest falls of branch {row.branch_code}, place {row.place} of {row.decliner_n}",
        "rise": f"a rise of at least {row.rise_percent} %",
        "fall": f"a fall of at least {row.fall_percent} %",
        "resumed": f"freight again after a quarter without, {before}",
    }[row.kind]
    sentences = [f"Account {row.account_no}, {quarter}: {because} ({amounts}; policy {row.policy_version})."]
    for word, other in (("above", above), ("below", below)):
        if other is not None:
            change, own = (abs(one.current_fen - one.previous_fen) for one in (other, row))
            sentences.append(
                f"Next {word}: account {other.account_no} moved by {yuan_text(change)} yuan, "
                f"{yuan_text(abs(change - own))} yuan apart."
            )
    helpers = ", ".join(f"{one['role']} of {one['unit_code']}" for one in row.assist)
    sentences.append(
        f"The {row.responsible_role} of {row.responsible_unit} answers for it{f', with {helpers}' if helpers else ''}."
    )
    if now is not None:
        sentences.append(
            f"By today's totals it would be {now['kind'] or 'no movement'}: {yuan_text(now['previous_fen'])} yuan in {before}, "
            f"{yuan_text(now['current_fen'])} in {quarter}."
        )
    return sentences


def _day(instant: datetime) -> str:
    return shanghai(instant).date().isoformat()
