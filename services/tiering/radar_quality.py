"""What the radar is worth (雷达评估): its alerts of closed months, held against the movements that the plain rules found.

What counts is a new movement: a fall, or the first month without freight. Every alert that was ever raised counts, also one that
was cleared again. Two rules stand beside it: the same radar without a season, and last month's fall as a forecast of this one's.
"""

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.tiering.models import MonthClose, MovementRow, RadarAlert, RadarMonth
from shared.directory import in_subtree
from shared.months import add_months, parse_month
from shared.problems import Invalid

MAX_MONTHS = 60


async def read_quality(session: AsyncSession, unit: str, first: str, last: str) -> dict[str, Any]:
    """Return precision, recall, lift and lead of each rule, over the closed months in which accounts were judged.

    Raises Invalid where the months are the wrong way round or more than 60.
    """
    since, until = parse_month(first), parse_month(last)
    if not since <= until < add_months(since, MAX_MONTHS):
        raise Invalid(f"`from` must not lie after `to`, nor more than {MAX_MONTHS} months before it.", "months-out-of-order")
    months = await _months(session, since, until)
    judged = select(func.coalesce(func.sum(RadarMonth.judged), 0))
    judged_count = int(
        (await session.execute(judged.where(RadarMonth.month.in_(months), in_subtree(RadarMonth.unit_code, unit)))).scalar_one()
    )
    moved = _moved(MovementRow, months, unit)
    movements = int((await session.execute(select(func.count()).select_from(MovementRow).where(moved))).scalar_one())
    rules = [
        _figures("season", movements, judged_count, *await _of_rule(session, "season", months, unit)),
        _figures("flat", movements, judged_count, *await _of_rule(session, "flat", months, unit)),
        _figures("last_months_fall", movements, judged_count, *await _of_last_month(session, months, unit)),
    ]
    return {"from": first, "to": last, "months": len(months), "judged": judged_count, "movements": movements, "rules": rules}


def _figures(rule: str, movements: int, judged: int, raised: int, hits: int, lead_days: float | None) -> dict[str, Any]:
    precision = hits / raised if raised else None
    base = movements / judged if judged else None
    return {
        "rule": rule,
        "raised": raised,
        "hits": hits,
        "precision": precision and round(precision, 4),
        "recall": round(hits / movements, 4) if movements else None,
        "lift": round(precision / base, 2) if precision is not None and base else None,
        "median_lead_days": lead_days,
    }


async def _months(session: AsyncSession, since: date, until: date) -> list[date]:
    closed = exists().where(MonthClose.month == RadarMonth.month, MonthClose.state == "closed")
    query = select(RadarMonth.month).where(RadarMonth.month.between(since, until), closed).distinct()
    return sorted((await session.execute(query)).scalars())


def _moved(row: Any, months: list[date], unit: str) -> ColumnElement[bool]:
    """Return the condition of a new movement as the close found it."""
    new = or_(row.kind == "fall_over_half", row.zero_months == 1)
    return and_(row.month.in_(months), row.revision == 1, new, in_subtree(row.unit_code, unit))


async def _of_rule(session: AsyncSession, rule: str, months: list[date], unit: str) -> tuple[int, int, float | None]:
    hit = exists().where(
        MovementRow.account_no == RadarAlert.account_no,
        MovementRow.month == RadarAlert.month,
        MovementRow.revision == 1,
        or_(MovementRow.kind == "fall_over_half", MovementRow.zero_months == 1),
    )
    ends = func.date(RadarAlert.month + func.make_interval(0, 1)) - RadarAlert.raised_on
    query = select(
        func.count(),
        func.count().filter(hit),
        func.percentile_cont(0.5).within_group(ends).filter(hit),
    ).where(RadarAlert.rule == rule, RadarAlert.month.in_(months), in_subtree(RadarAlert.unit_code, unit))
    raised, hits, lead = (await session.execute(query)).one()
    return raised, hits, None if lead is None else float(lead)


async def _of_last_month(session: AsyncSession, months: list[date], unit: str) -> tuple[int, int, float | None]:
    """A movement of last month forecasts one of this month: it is known on the first day."""
    before, after = MovementRow, aliased(MovementRow)
    follows = exists().where(
        after.account_no == before.account_no,
        after.month == func.date(before.month + func.make_interval(0, 1)),
        after.revision == 1,
        or_(after.kind == "fall_over_half", after.zero_months == 1),
    )
    query = select(func.count(), func.count().filter(follows)).where(_moved(before, [add_months(m, -1) for m in months], unit))
    raised, hits = (await session.execute(query)).one()
    return raised, hits, 30.0 if hits else None
