"""Entitlements and bands (客户待遇, 客户分类): their lists, and what of the entitlements a quarter's close changed.

Both are columns of the quarter's decisions. Bands stay as decided; what late charges would have changed stands beside them.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.deciding_sql import INSTANT
from services.tiering.models import Decision
from services.tiering.tiers import last_month
from shared.directory import in_subtree
from shared.events.tiering import EntitlementsChanged
from shared.months import add_months, parse_quarter, quarter_text
from shared.outbox import publish_query
from shared.paging import PageRequest, paged


def publish_changed(session: AsyncSession, month: date) -> None:
    """Publish the entitlements that a quarter's close changed, or decided for the first time."""
    publish_query(session, EntitlementsChanged, _CHANGED, {"month": month, "quarter_before": add_months(month, -3)})


async def list_entitlements(session: AsyncSession, unit: str, page: PageRequest, *, quarter: str | None = None) -> dict[str, Any]:
    """List what accounts are entitled to since a quarter's close, by account; without `quarter` the last closed one."""
    month, rows = await _page_of(session, unit, page, quarter)
    answer = paged(rows, page, lambda row: (row.account_no,))
    names = ("account_no", "green_channel", "special_claims", "points_plan", "service_tier", "decision_id")
    items = [{name: getattr(row, name) for name in names} for row in answer["items"]]
    return {**answer, "quarter": month and quarter_text(month), "items": items}


async def list_bands(
    session: AsyncSession, unit: str, page: PageRequest, *, quarter: str | None = None, band: str | None = None
) -> dict[str, Any]:
    """List the bands of a quarter as decided at its close, by account; without `quarter` the last closed one."""
    _, rows = await _page_of(session, unit, page, quarter, band)
    answer = paged(rows, page, lambda row: (row.account_no,))
    now = await _bands_today(session, answer["items"])
    items = [
        {
            "account_no": row.account_no,
            "band": row.band,
            "place": row.band_place,
            "of": row.band_of,
            "amount_fen": row.quarter_fen,
            "decision_id": row.decision_id,
            "restated": now.get(row.account_no, row.band) if now.get(row.account_no, row.band) != row.band else None,
        }
        for row in answer["items"]
    ]
    return {**answer, "items": items}


async def _page_of(
    session: AsyncSession, unit: str, page: PageRequest, quarter: str | None, band: str | None = None
) -> tuple[date | None, Sequence[Decision]]:
    month = add_months(parse_quarter(quarter), 2) if quarter else await last_month(session, quarter_ends=True)
    query = select(Decision).where(Decision.month == month, in_subtree(Decision.unit_code, unit), Decision.band.is_not(None))
    if band is not None:
        query = query.where(Decision.band == band)
    if page.after is not None:
        query = query.where(Decision.account_no > page.after[0])
    return month, (await session.execute(query.order_by(Decision.account_no).limit(page.limit + 1))).scalars().all()


async def _bands_today(session: AsyncSession, rows: Sequence[Decision]) -> dict[str, str]:
    """Return the bands by today's totals of accounts in districts with late charges since the close."""
    if not rows:
        return {}
    districts = sorted({row.district_code for row in rows if row.district_code is not None})
    params = {
        "month": rows[0].month,
        "quarter": add_months(rows[0].month, -2),
        "decided_at": rows[0].decided_at,
        "districts": districts,
        "accounts": [row.account_no for row in rows],
    }
    return {row.account_no: row.band for row in await session.execute(text(_BANDS_TODAY), params)}


_BANDS_TODAY = """
WITH restated AS (
    SELECT DISTINCT d.district_code FROM restatements r JOIN decisions d ON d.month = :month AND d.account_no = r.account_no
    WHERE r.at >= :decided_at AND r.month BETWEEN :quarter AND :month AND d.district_code = ANY(CAST(:districts AS text[]))
), sums AS (
    SELECT d.account_no, d.district_code, d.opened_on, d.a_percent, d.b_percent, coalesce(t.fen, 0) AS fen
    FROM decisions d JOIN restated s ON s.district_code = d.district_code
         LEFT JOIN LATERAL (SELECT sum(z.amount_fen)::bigint AS fen FROM month_totals z
                            WHERE z.account_no = d.account_no AND z.month BETWEEN :quarter AND :month) AS t ON true
    WHERE d.month = :month
), places AS (
    SELECT *, row_number() OVER (PARTITION BY district_code, fen > 0 ORDER BY fen DESC, opened_on, account_no) AS place,
           count(*) OVER (PARTITION BY district_code, fen > 0) AS n
    FROM sums
)
SELECT account_no, CASE WHEN fen = 0 THEN 'C' WHEN place <= (n * a_percent + 99) / 100 THEN 'A'
                        WHEN place <= (n * b_percent + 99) / 100 THEN 'B' ELSE 'C' END AS band
FROM places WHERE account_no = ANY(CAST(:accounts AS text[]))"""

_CHANGED = f"""
SELECT d.account_no AS key,
       natural_id('{EntitlementsChanged.TYPE}/' || d.account_no || '/' || to_char(d.month, 'YYYY-"Q"Q')) AS event_id,
       json_build_object('account_no', d.account_no, 'quarter', to_char(d.month, 'YYYY-"Q"Q'),
                         'decided_at', {INSTANT.format("d.decided_at")}, 'green_channel', d.green_channel,
                         'special_claims', d.special_claims, 'points_plan', d.points_plan, 'decision_id', d.decision_id) AS data
FROM decisions d LEFT JOIN decisions w ON w.month = :quarter_before AND w.account_no = d.account_no
WHERE d.month = :month AND d.changed
  AND (w.green_channel, w.special_claims, w.points_plan) IS DISTINCT FROM (d.green_channel, d.special_claims, d.points_plan)
ORDER BY d.account_no"""
