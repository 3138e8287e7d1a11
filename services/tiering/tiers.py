"""Tiers held (客户等级): the lists of a quarter's service tiers and a month's grades, and what one account holds since when."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import Select

from services.tiering.axes import end_for
from services.tiering.models import Decision, MonthClose
from services.tiering.policy import average_fen
from shared.directory import in_subtree
from shared.months import add_months, month_text, parse_month, parse_quarter, quarter_text
from shared.paging import PageRequest, paged

HISTORY_MONTHS = 120


async def list_tiers(
    session: AsyncSession, unit: str, page: PageRequest, *, quarter: str | None = None, tier: str | None = None
) -> dict[str, Any]:
    """List the service tiers of a quarter, as decided at its close, by account; without `quarter` the last closed one.

    The unit is the one that the account belonged to on the quarter's last day. An account that the policy left untiered is not
    listed.
    """
    month = add_months(parse_quarter(quarter), 2) if quarter else await last_month(session, quarter_ends=True)
    query = _page_of(month, unit, page).where(Decision.service_tier.is_not(None))
    if tier is not None:
        query = query.where(Decision.service_tier == tier)
    answer = await _paged(session, query, page)
    names = ("account_no", "branch_code", "district_code", "service_tier", "rank", "decision_id")
    items = [{**{name: getattr(row, name) for name in names}, "amount_fen": row.quarter_fen} for row in answer["items"]]
    return {**answer, "items": items}


async def list_grades(session: AsyncSession, unit: str, page: PageRequest, *, month: str | None = None) -> dict[str, Any]:
    """List the contribution grades of a month, as decided at its close, by account; without `month` the last closed one."""
    wanted = parse_month(month) if month else await last_month(session, quarter_ends=False)
    answer = await _paged(session, _page_of(wanted, unit, page), page)
    items = [
        {
            "account_no": row.account_no,
            "grade": row.grade,
            "average_fen": average_fen(row.sum_fen),
            "decision_id": row.decision_id,
        }
        for row in answer["items"]
    ]
    return {**answer, "items": items}


async def read_tiers(session: AsyncSession, account_no: str) -> dict[str, Any]:
    """Return the service tier and the grade of an account, since when without a break, and the decisions before, newest first.

    Both are null before the first close that decided on the account; the tier also where the policy leaves it untiered (T-05).
    """
    rows = await _history(session, account_no)
    ranked = next((row for row in rows if row.quarter_fen is not None), None)
    return {
        "service_tier": service_tier_of(ranked) if ranked and ranked.service_tier else None,
        "contribution_grade": grade_of(rows[0]) if rows else None,
        "history": [
            {
                "month": month_text(row.month),
                "decided_at": row.decided_at,
                "contribution_grade": grade_of(row),
                "service_tier": service_tier_of(row) if row.service_tier is not None else None,
            }
            for row in rows
        ],
    }


def service_tier_of(row: Decision) -> dict[str, Any]:
    """Return the service tier of a quarter's decision as callers see it."""
    return {
        "service_tier": row.service_tier,
        "rank": row.rank,
        "amount_fen": row.quarter_fen,
        "quarter": quarter_text(row.month),
        "since": row.tier_since,
        "decision_id": row.decision_id,
        "band": row.band,
        "focus_general": row.focus_general,
        "green_channel": row.green_channel,
        "special_claims": row.special_claims,
        "points_plan": row.points_plan,
    }


def grade_of(row: Decision) -> dict[str, Any]:
    """Return the contribution grade of a month's decision as callers see it."""
    return {
        "grade": row.grade,
        "month": month_text(row.month),
        "average_fen": average_fen(row.sum_fen),
        "since": row.grade_since,
        "decision_id": row.decision_id,
        "end": end_for(row.grade),
    }


async def _history(session: AsyncSession, account_no: str) -> Sequence[Decision]:
    """Return an account's decisions of the last ten years, newest first.

    The closed months are named one by one, since the decisions are kept by month and then by account.
    """
    newest = (await session.execute(select(func.max(MonthClose.month)))).scalar()
    if newest is None:
        return []
    months = [add_months(newest, -n) for n in range(HISTORY_MONTHS)]
    query = select(Decision).where(Decision.month.in_(months), Decision.account_no == account_no)
    return (await session.execute(query.order_by(Decision.month.desc()))).scalars().all()


async def last_month(session: AsyncSession, *, quarter_ends: bool) -> date | None:
    """Return the last month that is closed, or the last one that ended a quarter; None before the first."""
    query = select(func.max(MonthClose.month)).where(MonthClose.state == "closed")
    if quarter_ends:
        query = query.where(func.extract("month", MonthClose.month) % 3 == 0)
    found: date | None = (await session.execute(query)).scalar()
    return found


async def _paged(session: AsyncSession, query: Select[Decision], page: PageRequest) -> dict[str, Any]:
    rows: Sequence[Decision] = (await session.execute(query)).scalars().all()
    return paged(rows, page, lambda row: (row.account_no,))


def _page_of(month: date | None, unit: str, page: PageRequest) -> Select[Decision]:
    query = select(Decision).where(Decision.month == month, in_subtree(Decision.unit_code, unit))
    if page.after is not None:
        query = query.where(Decision.account_no > page.after[0])
    return query.order_by(Decision.account_no).limit(page.limit + 1)
