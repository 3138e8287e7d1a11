"""What accounts are scored on (评分依据): one row for each account with freight in the window, by one statement at a close.

And how the forecasts made a month ago did, branch by branch. Amounts are summed as integers: a second run gives the same rows.
"""

from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.placement import PLACED, ROOT_UNIT
from services.tiering.scores.rules import WINDOW_MONTHS
from shared.months import add_months, last_day

LEVEL_KEEPS = 0.7
"""What the level remembers of a month after the next one."""
NUMBERED = 10
"""Forecast errors of so many months are remembered with equal weight; older ones fade."""
JUDGED_MONTHS = 3
"""The model has to have beaten the naive forecast on so many months in a branch together before it is shown there (C-32)."""


async def write_inputs(session: AsyncSession, month: date) -> int:
    """Write what the month's scores stand on, whatever stood there before. Returns for how many accounts."""
    params = _months(month)
    await session.execute(text("DELETE FROM score_inputs WHERE month = :month"), {"month": month})
    written = await session.execute(text(_WRITE), params)
    return int(written.rowcount)  # type: ignore[attr-defined]


async def judge_forecasts(session: AsyncSession, month: date) -> None:
    """Hold the forecasts made for the month against what came, branch by branch (C-33); what has none yet is left out."""
    await session.execute(text("DELETE FROM forecast_errors WHERE month = :month"), {"month": month})
    params = {"month": month, "previous": add_months(month, -1), "first": add_months(month, 1 - JUDGED_MONTHS)}
    # The month's inputs are new to the planner, which would look each of them up by itself.
    await session.execute(text("SET LOCAL enable_nestloop = off"))
    await session.execute(text(_JUDGE), {**params, "judged_months": JUDGED_MONTHS})
    await session.execute(text("SET LOCAL enable_nestloop = on"))


def _months(month: date) -> dict[str, Any]:
    return {
        "month": month,
        "previous": add_months(month, -1),
        "before_previous": add_months(month, -2),
        "year_back": add_months(month, -11),
        "target": add_months(month, 1),
        "window_start": add_months(month, 1 - WINDOW_MONTHS),
        "day": last_day(month),
        "keeps": LEVEL_KEEPS,
        "numbered": NUMBERED,
    }


# Months as integers, each with its working days and its weight in the level (for each working day, of the last twelve).
# A year without working days in the table counts its weekdays.
_CALENDAR = """
calendar AS (
    SELECT m::date AS month, (extract(year FROM m) * 12 + extract(month FROM m))::integer AS number, d.days,
           CASE WHEN m > :month THEN 0 ELSE CAST(greatest(0, round(1e9 / d.days * CAST(:keeps AS double precision)
               ^ ((extract(year FROM CAST(:month AS date)) - extract(year FROM m)) * 12
                  + extract(month FROM CAST(:month AS date)) - extract(month FROM m)))) AS bigint)
               * CASE WHEN m >= :year_back THEN 1 ELSE 0 END END AS weight
    FROM generate_series(CAST(:window_start AS timestamp), CAST(:target AS timestamp), INTERVAL '1 month') AS m
         CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE coalesce(w.working, extract(isodow FROM s) < 6))::integer AS days
             FROM generate_series(m, m + INTERVAL '1 month' - INTERVAL '1 day', INTERVAL '1 day') AS s
                  LEFT JOIN working_days w ON w.day = s::date) AS d
)"""

_WRITE = f"""
WITH {PLACED}, {_CALENDAR}, target AS MATERIALIZED (
    SELECT t.number, t.days, m.days AS days_now, y.days AS days_year_ago
    FROM calendar t JOIN calendar m ON m.month = :month JOIN calendar y ON y.month = :year_back WHERE t.month = :target
), shipped AS (
    SELECT t.account_no, t.month, t.amount_fen, t.charges, c.number, c.weight,
           c.number - lag(c.number) OVER account AS gap
    FROM month_totals t JOIN calendar c ON c.month = t.month
    WHERE t.amount_fen > 0 AND t.month BETWEEN :window_start AND :month
          AND t.quarter BETWEEN CAST(:window_start AS date) - 62 AND :month
    WINDOW account AS (PARTITION BY t.account_no ORDER BY t.month)
), histories AS (
    SELECT account_no, min(month) AS first_month, min(number) AS first_number, max(number) AS last_number,
           count(*)::integer AS active_months, coalesce(sum(round(1e6 * ln(gap))::bigint), 0)::bigint AS log_gaps_ppm,
           sum(amount_fen)::bigint AS total_fen,
           coalesce(sum(amount_fen) FILTER (WHERE gap IS NOT NULL), 0)::bigint AS repeat_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :month), 0) AS amount_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :previous), 0) AS previous_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :before_previous), 0) AS before_previous_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :year_back), 0) AS year_ago_fen,
           (count(*) FILTER (WHERE month >= :year_back))::integer AS months_12,
           coalesce(sum(charges) FILTER (WHERE month >= :year_back), 0)::bigint AS charges_12,
           coalesce(sum(amount_fen) FILTER (WHERE month >= :year_back), 0)::bigint AS amount_12_fen,
           coalesce(sum(amount_fen::numeric * weight), 0) AS weighted
    FROM shipped GROUP BY account_no
), measured AS (
    SELECT h.*, t.number - 1 - last_number AS recency, t.number - 1 - first_number AS age,
           CASE WHEN first_number <= t.number - 12 THEN (year_ago_fen * t.days / t.days_year_ago)::bigint
                ELSE (amount_fen * t.days / t.days_now)::bigint END AS naive_fen,
           round(weighted * t.days / (1e9 * (1 - power(CAST(:keeps AS numeric), least(t.number - first_number, 12)))
                                      / (1 - CAST(:keeps AS numeric))))::bigint AS level_fen
    FROM histories h CROSS JOIN target t
)
INSERT INTO score_inputs (
    month, account_no, branch_code, unit_code, first_month, active_months, recency, age, log_gaps_ppm, total_fen, repeat_fen,
    amount_fen, previous_fen, before_previous_fen, months_12, charges_12, amount_12_fen, naive_fen, level_fen, judged,
    naive_square, level_square)
SELECT :month, m.account_no, p.branch_code, coalesce(p.outlet_code, p.branch_code, {ROOT_UNIT}), m.first_month, m.active_months,
       m.recency, m.age, m.log_gaps_ppm, m.total_fen, m.repeat_fen, m.amount_fen, m.previous_fen, m.before_previous_fen,
       m.months_12, m.charges_12, m.amount_12_fen, m.naive_fen, m.level_fen,
       CASE WHEN q.account_no IS NULL THEN 0 ELSE least(q.judged + 1, :numbered) END,
       CASE WHEN q.account_no IS NULL THEN 0
            ELSE q.naive_square + ((m.amount_fen - q.naive_fen)::double precision ^ 2 - q.naive_square)
                                  / least(q.judged + 1, :numbered) END,
       CASE WHEN q.account_no IS NULL THEN 0
            ELSE q.level_square + ((m.amount_fen - q.level_fen)::double precision ^ 2 - q.level_square)
                                  / least(q.judged + 1, :numbered) END
FROM measured m LEFT JOIN placed p ON p.account_no = m.account_no
     LEFT JOIN score_inputs q ON q.month = :previous AND q.account_no = m.account_no
ORDER BY m.account_no"""

_JUDGE = f"""
WITH errors AS (
    SELECT coalesce(q.branch_code, {ROOT_UNIT}) AS unit_code, count(*) AS accounts,
           sum(coalesce(i.amount_fen, 0))::bigint AS actual_fen,
           sum(abs(s.forecast_fen - coalesce(i.amount_fen, 0)))::bigint AS shown_error_fen,
           sum(abs(q.naive_fen - coalesce(i.amount_fen, 0)))::bigint AS naive_error_fen,
           sum(abs(q.level_fen - coalesce(i.amount_fen, 0)))::bigint AS level_error_fen,
           count(*) FILTER (WHERE coalesce(i.amount_fen, 0) BETWEEN s.low_fen AND s.high_fen) AS within
    FROM score_inputs q JOIN scores s ON s.month = q.month AND s.account_no = q.account_no
         LEFT JOIN score_inputs i ON i.month = :month AND i.account_no = q.account_no
    WHERE q.month = :previous GROUP BY 1
)
INSERT INTO forecast_errors (month, unit_code, accounts, actual_fen, shown_error_fen, naive_error_fen, level_error_fen, within,
                             by_model)
SELECT :month, e.unit_code, e.accounts, e.actual_fen, e.shown_error_fen, e.naive_error_fen, e.level_error_fen, e.within,
       b.months + 1 >= :judged_months AND b.level_fen + e.level_error_fen < b.naive_fen + e.naive_error_fen
FROM errors e CROSS JOIN LATERAL (
    SELECT count(*) AS months, coalesce(sum(f.level_error_fen), 0) AS level_fen, coalesce(sum(f.naive_error_fen), 0) AS naive_fen
    FROM forecast_errors f WHERE f.unit_code = e.unit_code AND f.month >= :first AND f.month < :month) AS b"""
