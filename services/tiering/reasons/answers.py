"""Decisions as callers see them: of a close, of a monthly movement, of a quarterly one.

Everything is read from what the close wrote; only what late charges have changed since comes from later.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import quarter_movements, restatements
from services.tiering.models import Decision, MovementRow, QuarterMovementRow
from services.tiering.movements import find_by_decision, open_movements
from services.tiering.reasons import chinese, english
from services.tiering.tiers import grade_of, read_tiers, service_tier_of
from shared.months import add_months, month_text, quarter_text
from shared.problems import NotFound

MOST_LATE = 50


async def read_decision(session: AsyncSession, decision_id: UUID) -> dict[str, Any]:
    """Return a decision of a close, or the one a monthly or quarterly movement was taken on. Raises NotFound.

    Neighbours are the accounts one rank above and below in the same close; one that the caller may not see is null.
    """
    found = await session.execute(select(Decision).where(Decision.decision_id == decision_id))
    row = found.scalar_one_or_none()
    if row is not None:
        return await _tiers_decision(session, row)
    movement = await find_by_decision(session, decision_id)
    if movement is not None:
        return _movement_decision(movement)
    quarterly = await quarter_movements.find_by_decision(session, decision_id)
    if quarterly is None:
        raise NotFound("decision", decision_id)
    return await _quarter_decision(session, quarterly)


async def explain(session: AsyncSession, account_no: str) -> dict[str, Any]:
    """Say why an account has its tier and grade, and which movements are open: for `crm tier why`.

    Returns `{account_no, decisions, movements, quarter_movements, text, text_zh}`: up to two decisions as `read_decision` gives
    them (the quarter's and the month's), the decisions of open movements and of the newest quarterly ones, and the sentences of
    all. Raises NotFound where nothing was decided on the account.
    """
    held = await read_tiers(session, account_no)
    ids = {held[name]["decision_id"]: None for name in ("service_tier", "contribution_grade") if held[name]}
    open_now = [_movement_decision(row) for row in await open_movements(session, account_no)]
    quarterly = [await _quarter_decision(session, row) for row in await quarter_movements.of_account(session, account_no, 1)]
    if not ids and not open_now and not quarterly:
        raise NotFound("decision on account", account_no)
    decisions = [await read_decision(session, decision_id) for decision_id in ids]
    every = decisions + open_now + quarterly
    return {
        "account_no": account_no,
        "decisions": decisions,
        "movements": open_now,
        "quarter_movements": quarterly,
        "text": "\n".join(sentence for decision in every for sentence in decision["explanation"]),
        "text_zh": "\n".join(sentence for decision in every for sentence in decision["explanation_zh"]),
    }


async def _tiers_decision(session: AsyncSession, row: Decision) -> dict[str, Any]:
    above, below = await _neighbours(session, row)
    quarter = row.quarter_fen is not None
    return _EMPTY | {
        **_head(row, "tiers", row.decided_at),
        "month": month_text(row.month),
        "quarter": quarter_text(row.month) if quarter else None,
        "inputs": _inputs(row),
        "thresholds": _thresholds(row),
        "contribution_grade": grade_of(row),
        "service_tier": service_tier_of(row) if row.service_tier is not None else None,
        "band": {"band": row.band, "place": row.band_place, "of": row.band_of} if row.band else None,
        "entitlements": _entitlements(row) if row.band else None,
        "neighbours": _pair(row, above, below) if row.rank else None,
        "late_charges": await _late(session, row),
        "explanation": english.of_close(row, above, below),
        "explanation_zh": chinese.of_close(row, above, below),
    }


def _movement_decision(row: MovementRow) -> dict[str, Any]:
    names = (
        "movement_id kind zero_months decided_previous_fen decided_current_fen previous_fen current_fen state withdrawn_reason "
        "priority responsible_role responsible_unit in_person assist"
    )
    return _EMPTY | {
        **_head(row, "movement", row.detected_at),
        "month": month_text(row.month),
        "movement": {name: getattr(row, name) for name in names.split()},
        "explanation": english.of_movement(row),
        "explanation_zh": chinese.of_movement(row),
    }


async def _quarter_decision(session: AsyncSession, row: QuarterMovementRow) -> dict[str, Any]:
    above, below = await _places_beside(session, row)
    now = (await quarter_movements.restated(session, [row])).get((row.account_no, row.quarter))
    names = (
        "movement_id kind place previous_fen current_fen state priority responsible_role responsible_unit in_person assist "
        "riser_n decliner_n rise_percent fall_percent"
    )
    return _EMPTY | {
        **_head(row, "quarter_movement", row.detected_at),
        "month": month_text(add_months(row.quarter, 2)),
        "quarter": quarter_text(row.quarter),
        "quarter_movement": {**{name: getattr(row, name) for name in names.split()}, "restated": now},
        "explanation": english.of_quarter_movement(row, above, below, now),
        "explanation_zh": chinese.of_quarter_movement(row, above, below, now),
    }


_OPTIONAL = ("quarter", "inputs", "thresholds", "contribution_grade", "service_tier", "band", "entitlements", "neighbours")
_EMPTY: dict[str, Any] = dict.fromkeys((*_OPTIONAL, "movement", "quarter_movement")) | {"late_charges": []}


def _head(row: Decision | MovementRow | QuarterMovementRow, kind: str, decided_at: Any) -> dict[str, Any]:
    names = ("decision_id", "account_no", "policy_version", "branch_code", "district_code")
    digest = row.digest.hex() if row.digest else None
    return {**{name: getattr(row, name) for name in names}, "kind": kind, "decided_at": decided_at, "digest": digest}


def _inputs(row: Decision) -> dict[str, Any]:
    amounts = ((2, row.before_previous_fen), (1, row.previous_fen), (0, row.amount_fen))
    return {
        "opened_on": row.opened_on,
        "months": [{"month": month_text(add_months(row.month, -n)), "amount_fen": amount} for n, amount in amounts],
        "sum_fen": row.sum_fen,
        "zero_months": row.zero_months,
        "previous_quarter_fen": row.previous_quarter_fen,
        "non_insured": row.non_insured,
    }


def _thresholds(row: Decision) -> dict[str, Any]:
    names = "vip_top_n key_top_n diamond_from_fen gold_from_fen a_percent b_percent focus_from_fen claims_from_fen"
    return {name: getattr(row, name) for name in names.split()}


def _entitlements(row: Decision) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("focus_general", "green_channel", "special_claims", "points_plan")}


async def _late(session: AsyncSession, row: Decision) -> list[dict[str, Any]]:
    """Return the late charges that have changed the decision's months since, the events that a replay would name."""
    first = add_months(row.month, -5 if row.band else -2)
    found = await restatements.since(session, row.decided_at, account_nos=[row.account_no], first=first, last=row.month)
    names = ("charge_no", "version", "change_fen", "at")
    return [{**{name: getattr(one, name) for name in names}, "month": month_text(one.month)} for one in found[:MOST_LATE]]


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


async def _places_beside(
    session: AsyncSession, row: QuarterMovementRow
) -> tuple[QuarterMovementRow | None, QuarterMovementRow | None]:
    """Return the movements one place above and below among the risers or decliners of the branch."""
    if row.place is None:
        return None, None
    other = QuarterMovementRow
    query = select(other).where(
        other.branch_code == row.branch_code,
        other.quarter == row.quarter,
        other.kind == row.kind,
        other.place.in_([row.place - 1, row.place + 1]),
    )
    found = {one.place: one for one in (await session.execute(query)).scalars()}
    return found.get(row.place - 1), found.get(row.place + 1)


def _pair(row: Decision, above: Decision | None, below: Decision | None) -> dict[str, Any]:
    return {"above": above and _neighbour(row, above), "below": below and _neighbour(row, below)}


def _neighbour(row: Decision, other: Decision) -> dict[str, Any]:
    return {
        "account_no": other.account_no,
        "rank": other.rank,
        "amount_fen": other.quarter_fen,
        "service_tier": other.service_tier,
        "between_fen": abs((other.quarter_fen or 0) - (row.quarter_fen or 0)),
    }
