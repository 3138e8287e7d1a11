"""Concentration (集中度): on how few accounts a unit's freight hangs, which bring 80 % of it, how they fluctuate (T-12, T-30).

Units' figures are taken once, after a month's close, from what that close decided on. The accounts themselves are read from the
same decisions when somebody asks.
"""

from collections.abc import Sequence
from datetime import date, datetime
from statistics import fmean, pstdev
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import Concentration, ContactFact, Decision, MonthTotal
from services.tiering.placement import ROOT_UNIT
from shared.db import driver
from shared.directory import in_subtree
from shared.months import add_months, month_start_instant, month_text, parse_month
from shared.paging import PageRequest, paged

CORE_PERCENT = 80
"""Core accounts are the fewest that bring so much of the freight."""
FLUCTUATION_MONTHS = 12


async def run(session: AsyncSession, instant: datetime) -> None:
    """Take the figures of every closed month that has none yet."""
    connection = await driver(session)
    for row in await connection.fetch(_NEW_MONTHS):
        await connection.execute(_TAKE, row["month"])


async def list_units(session: AsyncSession, unit: str, page: PageRequest, *, month: str | None = None) -> dict[str, Any]:
    """List the figures of a unit's subtree, by unit; without `month` those of the last closed one."""
    row = Concentration
    wanted = await _month(session, month)
    query = select(row).where(row.month == wanted, in_subtree(row.unit_code, unit))
    if page.after is not None:
        query = query.where(row.unit_code > page.after[0])
    found = (await session.execute(query.order_by(row.unit_code).limit(page.limit + 1))).scalars().all()
    answer = paged(found, page, lambda item: (item.unit_code,))
    return {**answer, "items": [_unit_item(item) for item in answer["items"]]}


async def list_core(session: AsyncSession, unit: str, page: PageRequest, *, month: str | None = None) -> dict[str, Any]:
    """List the core accounts of a unit, the largest first: share, fluctuation over twelve months, and on whom they hang."""
    wanted = await _month(session, month)
    if wanted is None:
        return {"unit_code": unit, "month": None, **_NOTHING, "items": [], "next_cursor": None}
    ranked = _ranked(wanted, unit)
    core = (ranked.c.running_fen - ranked.c.amount_fen) * 100 < ranked.c.total_fen * CORE_PERCENT
    counted = select(func.count(), func.count().filter(core), func.coalesce(func.max(ranked.c.total_fen), 0))
    accounts, core_accounts, freight = (await session.execute(counted.select_from(ranked))).one()
    query = select(ranked).where(core)
    if page.after is not None:
        query = query.where(ranked.c.place > page.after[0])
    rows = (await session.execute(query.order_by(ranked.c.place).limit(page.limit + 1))).all()
    answer = paged(rows, page, lambda row: (row.place,))
    names = [item["account_no"] for item in answer["items"]]
    months, staff = await _months(session, names, wanted), await _staff(session, names, wanted)
    items = [
        _core_item(item, fluctuation(months.get(item["account_no"], {}), item["opened_on"], wanted), staff)
        for item in answer["items"]
    ]
    summary = {"accounts": accounts, "core_accounts": core_accounts, "freight_fen": freight}
    return {
        **answer,
        "unit_code": unit,
        "month": month_text(wanted),
        **summary,
        **_share(core_accounts, accounts),
        "items": items,
    }


def fluctuation(totals: dict[date, int], opened_on: date, month: date) -> dict[str, Any]:
    """Return mean and coefficient of variation of the twelve months up to this one, since the opening; of two months at least."""
    first = max(add_months(month, 1 - FLUCTUATION_MONTHS), min([opened_on.replace(day=1), *totals]))
    count = (month.year - first.year) * 12 + month.month - first.month + 1
    amounts = [totals.get(add_months(first, n), 0) for n in range(count)]
    mean = fmean(amounts) if amounts else 0
    varies = round(pstdev(amounts) / mean, 4) if len(amounts) > 1 and mean > 0 else None
    return {"months": len(amounts), "mean_fen": round(mean), "fluctuation": varies}


_NOTHING = {"accounts": 0, "core_accounts": 0, "freight_fen": 0, "core_share": None}


def _unit_item(row: Concentration) -> dict[str, Any]:
    tops = {f"top_{n}_share": _ratio(getattr(row, f"top_{n}_fen"), row.freight_fen) for n in (1, 3, 10)}
    names = ("unit_code", "kind", "accounts", "freight_fen", "core_accounts")
    item = {name: getattr(row, name) for name in names}
    return item | tops | _share(row.core_accounts, row.accounts) | {"month": month_text(row.month)}


def _core_item(item: dict[str, Any], varies: dict[str, Any], staff: dict[str, dict[str, Any]]) -> dict[str, Any]:
    nobody = {"hangs_on": "no_contact", "staff_id": None}
    return {
        **{name: item[name] for name in ("account_no", "branch_code", "place", "amount_fen")},
        "share": _ratio(item["amount_fen"], item["total_fen"]),
        "cumulative_share": _ratio(item["running_fen"], item["total_fen"]),
        **varies,
        **staff.get(item["account_no"], nobody),
    }


def _share(core: int, accounts: int) -> dict[str, Any]:
    return {"core_share": _ratio(core, accounts)}


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _ranked(month: date, unit: str) -> Any:
    """Return the decisions of a close with freight in a unit, ranked by it, with the running sum."""
    row = Decision
    order = (row.amount_fen.desc(), row.opened_on, row.account_no)
    running: ColumnElement[int] = func.sum(row.amount_fen).over(order_by=order, rows=(None, 0))
    query = select(
        row.account_no,
        row.branch_code,
        row.opened_on,
        row.amount_fen,
        func.row_number().over(order_by=order).label("place"),
        running.label("running_fen"),
        func.sum(row.amount_fen).over().label("total_fen"),
    )
    return query.where(row.month == month, row.amount_fen > 0, in_subtree(row.unit_code, unit)).subquery()


async def _month(session: AsyncSession, month: str | None) -> date | None:
    if month is not None:
        return parse_month(month)
    found: date | None = (await session.execute(select(func.max(Concentration.month)))).scalar()
    return found


async def _months(session: AsyncSession, accounts: Sequence[str], month: date) -> dict[str, dict[date, int]]:
    first = add_months(month, 1 - FLUCTUATION_MONTHS)
    query = select(MonthTotal.account_no, MonthTotal.month, MonthTotal.amount_fen).where(
        MonthTotal.account_no.in_(accounts), MonthTotal.month.between(first, month)
    )
    found: dict[str, dict[date, int]] = {}
    for row in await session.execute(query):
        found.setdefault(row.account_no, {})[row.month] = row.amount_fen
    return found


async def _staff(session: AsyncSession, accounts: Sequence[str], month: date) -> dict[str, dict[str, Any]]:
    """Say on whom accounts hang: by the contacts of the twelve months, where the people who made them have opaque ids."""
    since, until = month_start_instant(add_months(month, 1 - FLUCTUATION_MONTHS)), month_start_instant(add_months(month, 1))
    person = func.min(cast(ContactFact.staff_id, Text))
    query = (
        select(
            ContactFact.account_no,
            func.count(ContactFact.staff_id.distinct()).label("people"),
            func.count().filter(ContactFact.staff_id.is_(None)).label("unknown"),
            person.label("staff_id"),
        )
        .where(ContactFact.account_no.in_(accounts), ContactFact.contacted_at >= since, ContactFact.contacted_at < until)
        .group_by(ContactFact.account_no)
    )
    found = {}
    for row in await session.execute(query):
        said = "no_data" if row.unknown else "one" if row.people == 1 else "several"
        found[row.account_no] = {"hangs_on": said, "staff_id": row.staff_id if said == "one" else None}
    return found


_NEW_MONTHS = """
SELECT c.month FROM month_closes c WHERE c.state = 'closed' AND c.accounts > 0
AND NOT EXISTS (SELECT FROM concentrations k WHERE k.month = c.month) ORDER BY c.month"""

_TAKE = f"""
WITH decided AS (
    SELECT account_no, branch_code, district_code, opened_on, amount_fen FROM decisions WHERE month = $1 AND amount_fen > 0
), of_units AS (
    SELECT branch_code AS unit_code, 'branch' AS kind, account_no, opened_on, amount_fen FROM decided
    WHERE branch_code IS NOT NULL
    UNION ALL
    SELECT district_code, 'district', account_no, opened_on, amount_fen FROM decided WHERE district_code IS NOT NULL
    UNION ALL
    SELECT {ROOT_UNIT}, 'hq', account_no, opened_on, amount_fen FROM decided
), ranked AS (
    SELECT unit_code, kind, amount_fen, row_number() OVER largest AS place, sum(amount_fen) OVER largest AS running_fen,
           sum(amount_fen) OVER (PARTITION BY kind, unit_code) AS total_fen
    FROM of_units
    WINDOW largest AS (PARTITION BY kind, unit_code ORDER BY amount_fen DESC, opened_on, account_no ROWS UNBOUNDED PRECEDING)
)
INSERT INTO concentrations (month, unit_code, kind, accounts, freight_fen, top_1_fen, top_3_fen, top_10_fen, core_accounts)
SELECT $1, unit_code, kind, count(*), max(total_fen)::bigint, sum(amount_fen) FILTER (WHERE place <= 1),
       sum(amount_fen) FILTER (WHERE place <= 3), sum(amount_fen) FILTER (WHERE place <= 10),
       count(*) FILTER (WHERE (running_fen - amount_fen) * 100 < total_fen * {CORE_PERCENT})
FROM ranked GROUP BY unit_code, kind ON CONFLICT DO NOTHING"""
