"""The evaluation of each relationship after a quarter (客户评价, T-62, T-63), and how the account shipped in it (T-19, T-20).

The money part is the fifth by freight and its trend, the service part what the tickets service told of the quarter; satisfaction
is no data until a service publishes answers. Formulas: `rules.money_part`, `rules.service_part`, `rules.evaluation`.
"""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.placement import PLACED, ROOT_UNIT
from services.tiering.scores.rules import WEIGHTS
from shared.clock import SHANGHAI
from shared.months import add_months, last_day, quarter_start

HOURS = 4
"""The day is cut into so many hours each for the time of ordering."""


async def evaluate(session: AsyncSession, month: date, instant: datetime) -> None:
    """Evaluate the quarter that ends with the month, for the accounts with freight in it or in the one before."""
    quarter = quarter_start(month)
    params: dict[str, Any] = {
        "quarter": quarter,
        "month": month,
        "before": add_months(quarter, -3),
        "day": last_day(month),
        "instant": instant,
        "from": datetime(quarter.year, quarter.month, 1, tzinfo=SHANGHAI),
        "until": datetime.combine(last_day(month), datetime.min.time(), SHANGHAI) + timedelta(days=1),
    }
    for table, statement in (("evaluations", _EVALUATE), ("behaviours", _BEHAVE)):
        await session.execute(text(f"DELETE FROM {table} WHERE quarter = :quarter"), params)
        await session.execute(text(statement), params)


_PROBLEMS = """
problems AS (
    SELECT account_no, count(*) FILTER (WHERE cause_hint IN ('late', 'delayed'))::integer AS late,
           count(*) FILTER (WHERE cause_hint IN ('damaged', 'lost'))::integer AS damaged,
           count(*) FILTER (WHERE coalesce(resolved_at, :instant) > due_at AND due_at < :until)::integer AS overdue,
           count(*)::integer AS tickets
    FROM ticket_facts
    WHERE opened_at >= :from AND opened_at < :until AND state <> 'refuted' AND account_no IS NOT NULL GROUP BY account_no
)"""

_EVALUATE = f"""
WITH {PLACED}, {_PROBLEMS}, freight AS (
    SELECT account_no, coalesce(sum(amount_fen) FILTER (WHERE month >= :quarter), 0)::bigint AS quarter_fen,
           coalesce(sum(amount_fen) FILTER (WHERE month < :quarter), 0)::bigint AS previous_fen
    FROM month_totals WHERE quarter >= :before AND month BETWEEN :before AND :month GROUP BY account_no
), parts AS (
    SELECT f.*, s.money_score, coalesce(t.late, 0) AS late, coalesce(t.damaged, 0) AS damaged, coalesce(t.overdue, 0) AS overdue,
           greatest(0, least(100, 20 * s.money_score
               + CASE WHEN f.quarter_fen > 0 AND f.quarter_fen::numeric * 100 >= f.previous_fen::numeric * 120 THEN 10 ELSE 0 END
               - CASE WHEN f.previous_fen > 0 AND f.quarter_fen::numeric * 100 <= f.previous_fen::numeric * 80 THEN 10 ELSE 0 END
           )) AS money,
           greatest(0, 100 - 10 * coalesce(t.late, 0) - 20 * coalesce(t.damaged, 0) - 10 * coalesce(t.overdue, 0)) AS service
    FROM freight f JOIN scores s ON s.month = :month AND s.account_no = f.account_no
         LEFT JOIN problems t ON t.account_no = f.account_no
    WHERE f.quarter_fen > 0 OR f.previous_fen > 0
)
INSERT INTO evaluations (quarter, account_no, unit_code, branch_code, evaluated_at, quarter_fen, previous_fen, money, late,
                         damaged, overdue, service, satisfaction, score)
SELECT :quarter, e.account_no, coalesce(p.outlet_code, p.branch_code, {ROOT_UNIT}), p.branch_code, :instant, e.quarter_fen,
       e.previous_fen, e.money, e.late, e.damaged, e.overdue, CASE WHEN e.quarter_fen > 0 OR e.late + e.damaged + e.overdue > 0
       THEN e.service END, NULL,
       CASE WHEN e.quarter_fen > 0 OR e.late + e.damaged + e.overdue > 0
            THEN ({WEIGHTS["money"]} * e.money + {WEIGHTS["service"]} * e.service) / {WEIGHTS["money"] + WEIGHTS["service"]}
            ELSE e.money END
FROM parts e LEFT JOIN placed p ON p.account_no = e.account_no"""

# Of two that are equally frequent the first counts: by the product's name, the earlier time, the earlier weekday.
_BEHAVE = f"""
WITH {_PROBLEMS}, shipped AS MATERIALIZED (
    SELECT account_no, product, (extract(hour FROM charged_at AT TIME ZONE INTERVAL '8 hours')::integer / {HOURS}) * {HOURS}
               AS hour_from, extract(isodow FROM charged_at AT TIME ZONE INTERVAL '8 hours')::integer AS weekday,
           count(*) AS charges
    FROM charges WHERE month BETWEEN :quarter AND :month AND amount_fen > 0 GROUP BY 1, 2, 3, 4
), products AS (
    SELECT DISTINCT ON (account_no) account_no, product, sum(charges) AS charges FROM shipped WHERE product IS NOT NULL
    GROUP BY account_no, product ORDER BY account_no, sum(charges) DESC, product
), hours AS (
    SELECT DISTINCT ON (account_no) account_no, hour_from, sum(charges) AS charges FROM shipped
    GROUP BY account_no, hour_from ORDER BY account_no, sum(charges) DESC, hour_from
), weekdays AS (
    SELECT DISTINCT ON (account_no) account_no, weekday, sum(charges) AS charges FROM shipped
    GROUP BY account_no, weekday ORDER BY account_no, sum(charges) DESC, weekday
), standard AS (
    SELECT product FROM shipped WHERE product IS NOT NULL GROUP BY product ORDER BY sum(charges) DESC, product LIMIT 1
), totals AS (
    SELECT account_no, sum(charges)::bigint AS charges, sum(charges) FILTER (WHERE product IS NOT NULL) AS named,
           sum(charges) FILTER (WHERE product <> (SELECT product FROM standard)) AS special
    FROM shipped GROUP BY account_no
)
INSERT INTO behaviours (quarter, account_no, charges, product, product_percent, special_percent, hour_from, hour_percent, weekday,
                        weekday_percent, timeliness_percent)
SELECT :quarter, t.account_no, t.charges, p.product, (p.charges * 100 / t.charges)::smallint,
       (coalesce(t.special, 0) * 100 / t.named)::smallint, h.hour_from, (h.charges * 100 / t.charges)::smallint, w.weekday,
       (w.charges * 100 / t.charges)::smallint, (b.late * 100 / b.tickets)::smallint
FROM totals t JOIN hours h ON h.account_no = t.account_no JOIN weekdays w ON w.account_no = t.account_no
     LEFT JOIN products p ON p.account_no = t.account_no LEFT JOIN problems b ON b.account_no = t.account_no"""
