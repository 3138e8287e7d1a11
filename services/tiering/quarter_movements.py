"""Quarterly movements (季度异动): two quarters' sums of every account compared at the quarter's close, and who answers for it.

`quarter_rules` says the same in Python. What was decided stays; what late charges would have changed is worked out when it is
read and shown beside it (`restated`).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import matrix
from services.tiering.deciding_sql import DIGEST, INSTANT
from services.tiering.matrix import MATRIX, responsible
from services.tiering.models import QuarterMovementRow
from services.tiering.policies import PolicyBook
from services.tiering.policies.book import number, numbers_cte
from shared.directory import in_subtree
from shared.events.tiering import QuarterMovementDetected
from shared.months import add_months, parse_quarter, quarter_start, quarter_text
from shared.outbox import publish_query
from shared.paging import PageRequest, paged

NUMBERS = ("quarter_judged", "riser_n", "decliner_n", "rise_percent", "quarter_fall_percent")


async def detect(session: AsyncSession, month: date, instant: datetime, book: PolicyBook, *, on_trial: bool = False) -> None:
    """Find the movements of the quarter that ends with a month, from the decisions of its close.

    On trial, places stand in `moved`, and only what policies are compared by is kept.
    Source: T-15, T-24, T-25, T-26, T-34, T-35.
    """
    params = {**_months(month), "instant": instant, **book.params(*NUMBERS), **matrix.params(book)}
    await session.execute(text(_detect(on_trial=on_trial)), params)


async def prepare(session: AsyncSession, month: date) -> None:
    """Fill the session's own table `moved` with those of the `judged` accounts that rose or fell, and their places in that."""
    await session.execute(text(f"INSERT INTO pg_temp.moved ({MOVED_COLUMNS}) {_MOVED}"), _months(month))


def _months(month: date) -> dict[str, date]:
    return {"month": month, "base_start": add_months(month, -5), "quarter": quarter_start(month)}


def publish_detected(session: AsyncSession, month: date, instant: datetime) -> None:
    """Publish the movements that a close found."""
    publish_query(session, QuarterMovementDetected, _EVENTS, {"quarter": quarter_start(month), "instant": instant})


async def list_quarter_movements(
    session: AsyncSession, unit: str, page: PageRequest, *, quarter: str | None = None, kind: str | None = None
) -> dict[str, Any]:
    """List quarterly movements of a unit's subtree, as of the quarter's last day, by account and quarter.

    Each says what late charges would have made of it, null where nothing has changed since.
    """
    row = QuarterMovementRow
    query = select(row).where(in_subtree(row.unit_code, unit))
    if quarter is not None:
        query = query.where(row.quarter == parse_quarter(quarter))
    if kind is not None:
        query = query.where(row.kind == kind)
    if page.after is not None:
        query = query.where(tuple_(row.account_no, row.quarter) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.account_no, row.quarter).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.account_no, item.quarter))
    now = await restated(session, answer["items"])
    return {**answer, "items": [_item(item, now) for item in answer["items"]]}


async def find_by_decision(session: AsyncSession, decision_id: UUID) -> QuarterMovementRow | None:
    """Return the movement that a decision was taken for, where the caller may see it."""
    query = select(QuarterMovementRow).where(QuarterMovementRow.decision_id == decision_id)
    return (await session.execute(query)).scalar_one_or_none()


async def of_account(session: AsyncSession, account_no: str, limit: int = 4) -> Sequence[QuarterMovementRow]:
    """Return an account's newest quarterly movements."""
    query = select(QuarterMovementRow).where(QuarterMovementRow.account_no == account_no)
    return (await session.execute(query.order_by(QuarterMovementRow.quarter.desc()).limit(limit))).scalars().all()


async def restated(session: AsyncSession, rows: Sequence[QuarterMovementRow]) -> Mapping[tuple[str, date], dict[str, Any]]:
    """Return what today's totals say of these movements, where that differs: `{kind, place, previous_fen, current_fen}`.

    Whole branches are compared again, since another account's late charge can take a place; only those with late charges.
    """
    asked = sorted({(row.branch_code, row.quarter) for row in rows})
    if not asked:
        return {}
    params = {"branches": [branch for branch, _ in asked], "quarters": [quarter for _, quarter in asked]}
    found = {(row.account_no, row.quarter): row for row in await session.execute(text(_TODAY), params)}
    changed = {}
    for row in rows:
        now = found.get((row.account_no, row.quarter))
        decided = (row.kind, row.place, row.previous_fen, row.current_fen)
        if now is not None and (now.kind, now.place, now.previous_fen, now.current_fen) != decided:
            names = ("kind", "place", "previous_fen", "current_fen")
            changed[row.account_no, row.quarter] = {name: getattr(now, name) for name in names}
    return changed


def _item(row: QuarterMovementRow, now: Mapping[tuple[str, date], dict[str, Any]]) -> dict[str, Any]:
    names = (
        "movement_id account_no branch_code kind place previous_fen current_fen state decision_id priority service_tier "
        "responsible_role responsible_unit in_person assist detected_at"
    )
    item = {name: getattr(row, name) for name in names.split()}
    return {**item, "quarter": quarter_text(row.quarter), "restated": now.get((row.account_no, row.quarter))}


_PLACES = """
    row_number() OVER (PARTITION BY c.branch_code, c.quarter, c.previous_fen = 0, c.current_fen > c.previous_fen
                       ORDER BY abs(c.current_fen - c.previous_fen) DESC, c.opened_on, c.account_no) AS place"""


def _kind(numbers: Mapping[str, str]) -> str:
    """Return the SQL of `quarter_rules.quarter_movements` for a row `p` that has its place among those that moved its way."""
    return f"""
CASE WHEN p.previous_fen = 0 THEN CASE WHEN EXISTS (SELECT FROM quarter_sums z WHERE z.account_no = p.account_no
                                                    AND z.quarter < p.base_start AND z.sum_fen > 0) THEN 'resumed' END
     WHEN p.current_fen > p.previous_fen AND p.place <= {numbers["riser_n"]} THEN 'riser'
     WHEN p.current_fen < p.previous_fen AND p.place <= {numbers["decliner_n"]} THEN 'decliner'
     WHEN (p.current_fen - p.previous_fen)::numeric * 100 >= p.previous_fen::numeric * {numbers["rise_percent"]} THEN 'rise'
     WHEN (p.previous_fen - p.current_fen)::numeric * 100 >= p.previous_fen::numeric * {numbers["fall_percent"]} THEN 'fall'
     END"""


_OF_BOOK = {name: number(name) for name in ("riser_n", "decliner_n", "rise_percent")} | {
    "fall_percent": number("quarter_fall_percent")
}
_COLUMNS = """
    account_no, quarter, kind, place, previous_fen, current_fen, priority, state, detected_at, policy_version, service_tier,
    branch_code, district_code, outlet_code, unit_code, responsible_role, responsible_unit, in_person, assist, riser_n,
    decliner_n, rise_percent, fall_percent"""

_TRIED_COLUMNS = "account_no, kind, branch_code, responsible_role"
"""What policies are compared by."""

_COMPARED = """
    SELECT d.account_no, d.opened_on, CAST(:quarter AS date) AS quarter, CAST(:base_start AS date) AS base_start,
           d.branch_code, d.district_code, nullif(d.unit_code, d.branch_code) AS outlet_code, d.unit_code,
           d.previous_quarter_fen AS previous_fen, d.{current} AS current_fen{of_policy}
    FROM {accounts} d
    WHERE d.branch_code IS NOT NULL AND d.previous_quarter_fen <> d.{current}"""
_OF_POLICY = "d.policy_version, coalesce(d.service_tier, 'general') AS service_tier, d.focus_from_fen"

_PLACED_AT_CLOSE = f"""compared AS ({_COMPARED.format(accounts="decisions", current="quarter_fen", of_policy=f", {_OF_POLICY}")}
          AND d.month = :month
), placed AS (
    SELECT c.*, {_PLACES} FROM compared c
)"""

MOVED_COLUMNS = (
    "account_no, opened_on, quarter, base_start, branch_code, district_code, outlet_code, unit_code, previous_fen, current_fen, "
    "place"
)
_MOVED = f"""
WITH compared AS ({_COMPARED.format(accounts="judged", current="sum_fen", of_policy="")})
SELECT c.*, {_PLACES} FROM compared c"""
_PLACED_ON_TRIAL = f"""placed AS (
    SELECT m.*, {_OF_POLICY} FROM moved m JOIN decisions d ON d.month = :month AND d.account_no = m.account_no
)"""


def _detect(*, on_trial: bool) -> str:
    """Return the statement that finds a quarter's movements; on trial, what no policy changes is found, and little is kept."""
    kept = _TRIED_COLUMNS if on_trial else _COLUMNS
    return f"""
WITH {numbers_cte(*NUMBERS)}, {MATRIX}, {_PLACED_ON_TRIAL if on_trial else _PLACED_AT_CLOSE}, kinds AS (
    SELECT p.*, {number("riser_n")} AS riser_n, {number("decliner_n")} AS decliner_n, {number("rise_percent")} AS rise_percent,
           {number("quarter_fall_percent")} AS fall_percent, {_kind(_OF_BOOK)} AS kind
    FROM placed p LEFT JOIN numbers n ON n.unit_code = p.branch_code WHERE {number("quarter_judged")} OFFSET 0
), found AS (
    SELECT k.account_no, k.quarter, k.kind, CASE WHEN k.kind IN ('riser', 'decliner') THEN k.place::integer END AS place,
           k.previous_fen, k.current_fen, k.current_fen >= 3 * k.focus_from_fen AS priority, 'open' AS state,
           CAST(:instant AS timestamptz) AS detected_at, k.policy_version, k.service_tier, k.branch_code, k.district_code,
           k.outlet_code, k.unit_code, who.responsible_role, who.responsible_unit, who.in_person, who.assist, k.riser_n,
           k.decliner_n, k.rise_percent, k.fall_percent
    FROM kinds k CROSS JOIN {responsible("k.kind", "k.service_tier", "k")} AS who
    WHERE k.kind IS NOT NULL OFFSET 0
)
INSERT INTO quarter_movements ({kept}{"" if on_trial else ", movement_id, decision_id, digest"})
SELECT {kept}{"" if on_trial else _NAMED}
FROM found f ORDER BY account_no"""


_NAMED = f""", natural_id('quarter-movement/' || account_no || '/' || to_char(quarter, 'YYYY-"Q"Q')),
       natural_id('quarter-movement-decision/' || account_no || '/' || to_char(quarter, 'YYYY-"Q"Q')), {DIGEST.format("f")}"""

_OF_ROW = {name: f"p.{name}" for name in ("riser_n", "decliner_n", "rise_percent", "fall_percent")}

# The accounts of the close, with today's totals, in those of the branches asked for that have had late charges since.
_TODAY = f"""
WITH asked AS (
    SELECT a.branch_code, a.quarter, (a.quarter + INTERVAL '2 months')::date AS month,
           (a.quarter - INTERVAL '3 months')::date AS base_start, m.*
    FROM unnest(CAST(:branches AS text[]), CAST(:quarters AS date[])) AS a (branch_code, quarter)
         CROSS JOIN LATERAL (SELECT q.detected_at, q.riser_n, q.decliner_n, q.rise_percent, q.fall_percent
                             FROM quarter_movements q
                             WHERE q.branch_code = a.branch_code COLLATE "C" AND q.quarter = a.quarter LIMIT 1) AS m
    WHERE EXISTS (
        SELECT FROM restatements r JOIN decisions d ON d.account_no = r.account_no AND d.month = (a.quarter + INTERVAL '2 months')
        WHERE d.branch_code = a.branch_code COLLATE "C" AND r.at >= m.detected_at
          AND r.month BETWEEN a.quarter - INTERVAL '3 months' AND a.quarter + INTERVAL '2 months')
), compared AS (
    SELECT d.account_no, d.opened_on, d.branch_code, a.quarter, a.base_start, a.riser_n, a.decliner_n, a.rise_percent,
           a.fall_percent, coalesce(t.previous_fen, 0) AS previous_fen, coalesce(t.current_fen, 0) AS current_fen
    FROM asked a JOIN decisions d ON d.month = a.month AND d.branch_code = a.branch_code COLLATE "C"
         LEFT JOIN LATERAL (SELECT sum(z.amount_fen) FILTER (WHERE z.month < a.quarter)::bigint AS previous_fen,
                                   sum(z.amount_fen) FILTER (WHERE z.month >= a.quarter)::bigint AS current_fen
                            FROM month_totals z
                            WHERE z.account_no = d.account_no AND z.month BETWEEN a.base_start AND a.month) AS t ON true
), placed AS (
    SELECT c.*, {_PLACES} FROM compared c WHERE c.previous_fen <> c.current_fen
), kinds AS (
    SELECT p.account_no, p.quarter, p.place, {_kind(_OF_ROW)} AS kind FROM placed p
)
SELECT c.account_no, c.quarter, k.kind, CASE WHEN k.kind IN ('riser', 'decliner') THEN k.place::integer END AS place,
       c.previous_fen, c.current_fen
FROM compared c LEFT JOIN kinds k ON k.account_no = c.account_no AND k.quarter = c.quarter"""

_FIELDS = (
    "movement_id account_no kind place previous_fen current_fen priority state decision_id service_tier branch_code "
    "district_code outlet_code in_person assist"
)
_EVENTS = f"""
SELECT m.account_no AS key, natural_id('{QuarterMovementDetected.TYPE}/' || m.movement_id || '/1') AS event_id,
       json_build_object({", ".join(f"'{name}', m.{name}" for name in _FIELDS.split())}, 'role', m.responsible_role,
                         'unit_code', m.responsible_unit, 'quarter', to_char(m.quarter, 'YYYY-"Q"Q'),
                         'detected_at', {INSTANT.format("m.detected_at")}, 'version', 1) AS data
FROM quarter_movements m WHERE m.quarter = :quarter AND m.detected_at = :instant ORDER BY m.account_no"""
