"""Why (为什么): a decision with its policy, inputs, thresholds, rank and neighbours, and the same in plain words."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import Decision, MovementRow
from services.tiering.movements import find_by_decision, open_movements
from services.tiering.tiers import grade_of, read_tiers, service_tier_of
from shared.clock import shanghai
from shared.money import yuan_text
from shared.months import add_months, month_text, quarter_text
from shared.problems import NotFound


async def read_decision(session: AsyncSession, decision_id: UUID) -> dict[str, Any]:
    """Return a decision of a close, or the one a movement was taken on. Raises NotFound.

    Neighbours are the accounts one rank above and below in the same close; one that the caller may not see is null.
    """
    found = await session.execute(select(Decision).where(Decision.decision_id == decision_id))
    row = found.scalar_one_or_none()
    if row is not None:
        return await _tiers_decision(session, row)
    movement = await find_by_decision(session, decision_id)
    if movement is None:
        raise NotFound("decision", decision_id)
    return _movement_decision(movement)


async def explain(session: AsyncSession, account_no: str) -> dict[str, Any]:
    """Say why an account has its tier and grade, and which movements are open: for `crm tier why`.

    Returns `{account_no, decisions, movements, text}`: up to two decisions as `read_decision` gives them (the quarter's and the
    month's), the open movements' decisions, and the sentences of all. Raises NotFound where nothing was decided on the account.
    """
    held = await read_tiers(session, account_no)
    ids = {held[name]["decision_id"]: None for name in ("service_tier", "contribution_grade") if held[name]}
    open_now = [_movement_decision(row) for row in await open_movements(session, account_no)]
    if not ids and not open_now:
        raise NotFound("decision on account", account_no)
    decisions = [await read_decision(session, decision_id) for decision_id in ids]
    sentences = [sentence for decision in decisions + open_now for sentence in decision["explanation"]]
    return {"account_no": account_no, "decisions": decisions, "movements": open_now, "text": "\n".join(sentences)}


async def _tiers_decision(session: AsyncSession, row: Decision) -> dict[str, Any]:
    above, below = await _neighbours(session, row)
    quarter = row.quarter_fen is not None
    return {
        "decision_id": row.decision_id,
        "kind": "tiers",
        "account_no": row.account_no,
        "month": month_text(row.month),
        "quarter": quarter_text(row.month) if quarter else None,
        "decided_at": row.decided_at,
        "policy_version": row.policy_version,
        "branch_code": row.branch_code,
        "district_code": row.district_code,
        "inputs": {
            "opened_on": row.opened_on,
            "months": [
                {"month": month_text(add_months(row.month, -n)), "amount_fen": amount}
                for n, amount in ((2, row.before_previous_fen), (1, row.previous_fen), (0, row.amount_fen))
            ],
            "sum_fen": row.sum_fen,
            "zero_months": row.zero_months,
        },
        "thresholds": {
            "vip_top_n": row.vip_top_n,
            "key_top_n": row.key_top_n,
            "diamond_from_fen": row.diamond_from_fen,
            "gold_from_fen": row.gold_from_fen,
        },
        "contribution_grade": grade_of(row),
        "service_tier": service_tier_of(row) if row.service_tier is not None else None,
        "neighbours": {"above": above and _neighbour(above), "below": below and _neighbour(below)} if row.rank else None,
        "movement": None,
        "explanation": [_grade_sentence(row), *(_tier_sentences(row, above, below) if quarter else ())],
    }


def _movement_decision(row: MovementRow) -> dict[str, Any]:
    return {
        "decision_id": row.decision_id,
        "kind": "movement",
        "account_no": row.account_no,
        "month": month_text(row.month),
        "quarter": None,
        "decided_at": row.detected_at,
        "policy_version": row.policy_version,
        "branch_code": row.branch_code,
        "district_code": row.district_code,
        "inputs": None,
        "thresholds": None,
        "contribution_grade": None,
        "service_tier": None,
        "neighbours": None,
        "movement": {
            "movement_id": row.movement_id,
            "kind": row.kind,
            "zero_months": row.zero_months,
            "decided_previous_fen": row.decided_previous_fen,
            "decided_current_fen": row.decided_current_fen,
            "previous_fen": row.previous_fen,
            "current_fen": row.current_fen,
            "state": row.state,
            "withdrawn_reason": row.withdrawn_reason,
        },
        "explanation": _movement_sentences(row),
    }


async def _neighbours(session: AsyncSession, row: Decision) -> tuple[Decision | None, Decision | None]:
    """Return the decisions one rank above and below, of the same close, in the district for a VIP, else in the branch."""
    if row.rank is None:
        return None, None
    among: Sequence[ColumnElement[bool]] = (
        (Decision.district_code == row.district_code, Decision.service_tier == "vip")
        if row.service_tier == "vip"
        else (Decision.branch_code == row.branch_code, Decision.service_tier != "vip")
    )
    query = select(Decision).where(Decision.month == row.month, Decision.rank.in_([row.rank - 1, row.rank + 1]), *among)
    found = {other.rank: other for other in (await session.execute(query)).scalars()}
    return found.get(row.rank - 1), found.get(row.rank + 1)


def _neighbour(row: Decision) -> dict[str, Any]:
    return {"account_no": row.account_no, "rank": row.rank, "amount_fen": row.quarter_fen, "service_tier": row.service_tier}


def _grade_sentence(row: Decision) -> str:
    thresholds = f"diamond from {yuan_text(row.diamond_from_fen)}, gold from {yuan_text(row.gold_from_fen)} yuan a month"
    first = month_text(add_months(row.month, -2))
    return (
        f"Account {row.account_no} is {row.grade} since {_day(row.grade_since)}: {yuan_text(row.sum_fen)} yuan in {first} to "
        f"{month_text(row.month)}, a third of it compared with {thresholds} (policy {row.policy_version})."
    )


def _tier_sentences(row: Decision, above: Decision | None, below: Decision | None) -> list[str]:
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
    for word, other in (("above", above), ("below", below)):
        if other is not None:
            sentences.append(
                f"Next {word}: account {other.account_no}, rank {other.rank}, {yuan_text(other.quarter_fen or 0)} yuan, "
                f"{other.service_tier}."
            )
    return sentences


def _movement_sentences(row: MovementRow) -> list[str]:
    month, before = month_text(row.month), month_text(add_months(row.month, -1))
    decided = f"{yuan_text(row.decided_previous_fen)} yuan in {before}, {yuan_text(row.decided_current_fen)} in {month}"
    if row.kind == "zero_month":
        said = f"month {row.zero_months} in a row without freight ({decided})"
    else:
        said = f"freight fell by more than half ({decided})"
    sentences = [f"Account {row.account_no}, {month}: {said}, found on {_day(row.detected_at)} (policy {row.policy_version})."]
    today = (row.previous_fen, row.current_fen)
    if today != (row.decided_previous_fen, row.decided_current_fen):
        sentences.append(f"Restated since: {yuan_text(today[0])} yuan in {before}, {yuan_text(today[1])} in {month}.")
    if row.state == "withdrawn":
        because = "another movement took its place" if row.withdrawn_reason == "restated" else "it is no longer true"
        sentences.append(f"Withdrawn on {_day(row.judged_at)}: {because}.")
    return sentences


def _day(instant: Any) -> str:
    return shanghai(instant).date().isoformat()
