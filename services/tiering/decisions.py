"""Decisions (定级): contribution grade at each month's close, service tier at each quarter's, for all accounts at once.

One statement writes one typed row per account with everything it was decided on. `policy` says the same rules in Python.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.placement import DISTRICTS, PLACED, ROOT_UNIT
from services.tiering.policies.book import PolicyBook, number, numbers_cte
from shared.events.tiering import TiersChanged
from shared.months import add_months, is_quarter_end, last_day, quarter_start
from shared.outbox import publish_query


async def decide(session: AsyncSession, month: date, decided_at: datetime, book: PolicyBook) -> int:
    """Decide grades, and at a quarter's end service tiers, for the accounts opened by the month's last day.

    Returns how many. What changed is published as TiersChanged. Source: T-01 to T-07, T-17.
    """
    statement = _decide(at_quarter_end=is_quarter_end(month))
    # The planner's default of 4 MB would sort a million accounts on disk; this is given back with the transaction.
    await session.execute(text("SET LOCAL work_mem = '64MB'"))
    written = await session.execute(
        text(statement),
        {
            "month": month,
            "previous": add_months(month, -1),
            "before_previous": add_months(month, -2),
            "quarter_before": add_months(month, -3),
            "day": last_day(month),
            "decided_at": decided_at,
            **book.params(*(_NUMBERS if is_quarter_end(month) else _NUMBERS[:-1])),
        },
    )
    publish_query(session, TiersChanged, _tiers_changed(at_quarter_end=is_quarter_end(month)), _event_months(month))
    return int(written.rowcount)  # type: ignore[attr-defined]


def last_decided_quarter(month: date) -> date:
    """Return the last month of the newest quarter that has ended by the end of this month."""
    return month if is_quarter_end(month) else add_months(quarter_start(month), -1)


def _event_months(month: date) -> dict[str, Any]:
    return {
        "month": month,
        "previous": add_months(month, -1),
        "quarter_month": last_decided_quarter(month),
        "quarter_before": add_months(month, -3),
    }


# Of two runs of months without freight the newest counts; it is looked up only for accounts without freight in all three months.
_JUDGED = f"""
totals AS (
    SELECT account_no, coalesce(max(amount_fen) FILTER (WHERE month = :month), 0) AS amount_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :previous), 0) AS previous_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :before_previous), 0) AS before_previous_fen
    FROM month_totals WHERE month BETWEEN :before_previous AND :month GROUP BY account_no
), {PLACED}, {DISTRICTS},
judged AS (
    SELECT a.account_no, a.opened_on, p.branch_code, d.district_code,
           coalesce(p.outlet_code, p.branch_code, {ROOT_UNIT}) AS unit_code,
           coalesce(t.amount_fen, 0) AS amount_fen, coalesce(t.previous_fen, 0) AS previous_fen,
           coalesce(t.before_previous_fen, 0) AS before_previous_fen,
           coalesce(t.amount_fen + t.previous_fen + t.before_previous_fen, 0) AS sum_fen
    FROM accounts a LEFT JOIN placed p ON p.account_no = a.account_no LEFT JOIN districts d ON d.branch_code = p.branch_code
         LEFT JOIN totals t ON t.account_no = a.account_no
    WHERE a.opened_on <= :day
)"""

MONTHS_BETWEEN = """((extract(year FROM {later}) - extract(year FROM {earlier})) * 12
    + extract(month FROM {later}) - extract(month FROM {earlier}))::integer"""
"""SQL of the number of months from one to a later one."""

ZERO_MONTHS = f"""
CASE WHEN j.amount_fen > 0 THEN NULL WHEN j.previous_fen > 0 THEN 1 WHEN j.before_previous_fen > 0 THEN 2
     ELSE (SELECT {MONTHS_BETWEEN.format(later="CAST(:month AS date)", earlier="max(z.month)")} FROM month_totals z
           WHERE z.account_no = j.account_no AND z.amount_fen > 0 AND z.month < :before_previous) END"""
"""SQL of `policy.zero_run`, for a row `j` with the freight of the last three months up to `:month`."""

_NUMBERS: tuple[str, ...] = (
    "policy_version",
    "vip_top_n",
    "key_top_n",
    "diamond_from_fen",
    "gold_from_fen",
    "zero_freight_is_general",
)
"""What the statement takes from the policy, per branch; the last one at a quarter's end only."""

# A branch's VIPs are also its first accounts, since both ranks have one order: so the place among the others is the place in the
# branch less the branch's VIPs, and only the first few of each branch need a place in the district.
_RANKED = f"""
in_branch AS (
    SELECT account_no, branch_code, district_code, sum_fen, opened_on,
           {number("vip_top_n")} AS vip_top_n, {number("key_top_n")} AS key_top_n,
           row_number() OVER (PARTITION BY branch_code ORDER BY sum_fen DESC, opened_on, account_no) AS place
    FROM judged LEFT JOIN numbers n ON n.unit_code = branch_code WHERE sum_fen > 0 AND branch_code IS NOT NULL
), vips AS (
    SELECT account_no, branch_code, place FROM (
        SELECT account_no, branch_code, vip_top_n,
               row_number() OVER (PARTITION BY district_code ORDER BY sum_fen DESC, opened_on, account_no) AS place
        FROM in_branch WHERE place <= vip_top_n AND district_code IS NOT NULL
    ) AS in_district WHERE place <= vip_top_n
), ranked AS (
    SELECT b.account_no, CASE WHEN v.place IS NOT NULL THEN 'vip' WHEN b.place - coalesce(n.vips, 0) <= b.key_top_n THEN 'key'
                              ELSE 'general' END AS service_tier,
           coalesce(v.place, b.place - coalesce(n.vips, 0))::integer AS rank
    FROM in_branch b LEFT JOIN vips v ON v.account_no = b.account_no
         LEFT JOIN (SELECT branch_code, count(*) AS vips FROM vips GROUP BY branch_code) AS n ON n.branch_code = b.branch_code
)"""


_TIERED = f""", r.rank, CASE WHEN g.sum_fen > 0 OR {number("zero_freight_is_general")}
                             THEN coalesce(r.service_tier, 'general') END AS service_tier"""


def _decide(*, at_quarter_end: bool) -> str:
    numbers = _NUMBERS if at_quarter_end else _NUMBERS[:-1]
    if at_quarter_end:
        ranked, tiered = f", {_RANKED}", _TIERED
        tier = """j.sum_fen, j.service_tier, j.rank,
       CASE WHEN q.service_tier = j.service_tier THEN q.tier_since WHEN j.service_tier IS NOT NULL THEN :decided_at END"""
        to_rank = "LEFT JOIN ranked r ON r.account_no = g.account_no"
        before = "LEFT JOIN decisions q ON q.month = :quarter_before AND q.account_no = j.account_no"
    else:
        ranked, tiered, to_rank, before = "", "", "", ""
        tier = "NULL::bigint, NULL, NULL::integer, NULL::timestamptz"
    return f"""
WITH {numbers_cte(*numbers)}, {_JUDGED}{ranked}, graded AS (
    SELECT g.*, CASE WHEN g.sum_fen >= 3 * {number("diamond_from_fen")} THEN 'diamond'
                     WHEN g.sum_fen >= 3 * {number("gold_from_fen")} THEN 'gold' ELSE 'silver' END AS grade,
           {", ".join(f"{number(name)} AS {name}" for name in _NUMBERS[:-1])}{tiered}
    FROM judged g LEFT JOIN numbers n ON n.unit_code = g.branch_code {to_rank}
)
INSERT INTO decisions (
    decision_id, month, account_no, policy_version, decided_at, branch_code, district_code, unit_code, opened_on,
    amount_fen, previous_fen, before_previous_fen, sum_fen, zero_months, grade, grade_since,
    quarter_fen, service_tier, rank, tier_since, vip_top_n, key_top_n, diamond_from_fen, gold_from_fen)
SELECT natural_id('decision/' || j.account_no || '/' || to_char(CAST(:month AS date), 'YYYY-MM')), :month, j.account_no,
       j.policy_version, :decided_at, j.branch_code, j.district_code, j.unit_code, j.opened_on,
       j.amount_fen, j.previous_fen, j.before_previous_fen, j.sum_fen, {ZERO_MONTHS}, j.grade,
       CASE WHEN p.grade = j.grade THEN p.grade_since ELSE :decided_at END,
       {tier}, j.vip_top_n, j.key_top_n, j.diamond_from_fen, j.gold_from_fen
FROM graded j LEFT JOIN decisions p ON p.month = :previous AND p.account_no = j.account_no
     {before}"""


INSTANT = "(to_char({} AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+08:00')"
"""SQL of an instant as it stands on the wire; schedules run at whole seconds."""


def _tiers_changed(*, at_quarter_end: bool) -> str:
    """Return the query of TiersChanged: q is the decision whose service tier is in force, w the one of the quarter before it."""
    tier_of = "d" if at_quarter_end else "q"
    joins = (
        "LEFT JOIN decisions w ON w.month = :quarter_before AND w.account_no = d.account_no"
        if at_quarter_end
        else "LEFT JOIN decisions q ON q.month = :quarter_month AND q.account_no = d.account_no"
    )
    changed = (
        "OR (w.service_tier, w.rank, w.quarter_fen) IS DISTINCT FROM (d.service_tier, d.rank, d.quarter_fen)"
        if at_quarter_end
        else ""
    )
    return f"""
SELECT d.account_no AS key,
       natural_id('{TiersChanged.TYPE}/' || d.account_no || '/' || to_char(d.month, 'YYYY-MM')) AS event_id,
       json_build_object(
           'account_no', d.account_no, 'month', to_char(d.month, 'YYYY-MM'), 'decided_at', {INSTANT.format("d.decided_at")},
           'service_tier', CASE WHEN {tier_of}.service_tier IS NOT NULL THEN json_build_object(
               'service_tier', {tier_of}.service_tier, 'rank', {tier_of}.rank, 'amount_fen', {tier_of}.quarter_fen,
               'quarter', to_char(CAST(:quarter_month AS date), 'YYYY-"Q"Q'), 'since', {INSTANT.format(f"{tier_of}.tier_since")},
               'decision_id', {tier_of}.decision_id) END,
           'contribution_grade', json_build_object(
               'grade', d.grade, 'month', to_char(d.month, 'YYYY-MM'), 'average_fen', d.sum_fen / 3,
               'since', {INSTANT.format("d.grade_since")}, 'decision_id', d.decision_id)) AS data
FROM decisions d LEFT JOIN decisions p ON p.month = :previous AND p.account_no = d.account_no
     {joins}
WHERE d.month = :month AND (p.account_no IS NULL OR p.grade <> d.grade OR p.sum_fen / 3 <> d.sum_fen / 3 {changed})"""
