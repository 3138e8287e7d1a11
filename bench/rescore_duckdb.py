"""DuckDB's re-score: the same inputs in Parquet, the same rows with their identities and a digest each, written as Parquet.

It runs in an environment that has DuckDB and nothing else, so it imports nothing of ours. What it does not do: indexes, a
durable commit beside running transactions, row-level security, the assisting roles' JSON.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any

_ID = """(overlay_id(sha256({})))"""
_MACRO = "CREATE MACRO overlay_id(h) AS CAST(h[1:12] || '8' || h[14:16] || '8' || h[18:32] AS UUID)"  # as `natural_id`

DECISIONS = f"""
CREATE TEMP TABLE decided AS
WITH freight AS (
    SELECT account_no, coalesce(sum(amount_fen) FILTER (month = $month), 0)::BIGINT AS m0,
           coalesce(sum(amount_fen) FILTER (month = $previous), 0)::BIGINT AS m1,
           coalesce(sum(amount_fen) FILTER (month = $before_previous), 0)::BIGINT AS m2,
           coalesce(sum(amount_fen) FILTER (month < $before_previous AND month >= $base_start), 0)::BIGINT AS before,
           max(month) FILTER (amount_fen > 0) AS last_shipped, min(month) FILTER (amount_fen > 0) AS first_shipped
    FROM totals WHERE month <= $month GROUP BY account_no
), placed AS (
    SELECT account_no, arg_max(branch_code, from_on) AS branch_code, arg_max(coalesce(outlet_code, ''), from_on) AS outlet_code
    FROM places WHERE from_on <= $day GROUP BY account_no
), base AS (
    SELECT a.account_no, a.opened_on, p.branch_code, d.district_code,
           coalesce(nullif(p.outlet_code, ''), p.branch_code, 'HQ') AS unit_code, coalesce(m0, 0) AS m0, coalesce(m1, 0) AS m1,
           coalesce(m2, 0) AS m2, coalesce(before, 0) AS before, coalesce(m0 + m1 + m2, 0) AS total,
           datediff('month', last_shipped, $month) AS silent, coalesce(first_shipped < $base_start, false) AS shipped_before
    FROM accounts a LEFT JOIN placed p USING (account_no) LEFT JOIN districts d USING (branch_code)
         LEFT JOIN freight f USING (account_no)
    WHERE a.opened_on <= $day
), in_district AS (
    SELECT *, row_number() OVER (PARTITION BY district_code ORDER BY total DESC, opened_on, account_no) AS place,
           count(*) FILTER (total > 0) OVER (PARTITION BY district_code) AS size
    FROM base
), in_branch AS (
    SELECT *, CASE WHEN total > 0 AND district_code IS NOT NULL THEN place END AS in_district,
           row_number() OVER (PARTITION BY branch_code, place <= 10 ORDER BY total DESC, opened_on, account_no) AS in_branch
    FROM in_district
), ranked AS (
    SELECT *, CASE WHEN in_district <= 10 THEN 'vip' WHEN total > 0 AND branch_code IS NOT NULL AND in_branch <= 12 THEN 'key'
                   ELSE 'general' END AS tier,
           CASE WHEN total >= 3000000 THEN 'diamond' WHEN total >= 600000 THEN 'gold' ELSE 'silver' END AS grade
    FROM in_branch
), decided AS (
    SELECT $month AS month, r.account_no, '2008-new' AS policy_version, $instant AS decided_at, r.branch_code, r.district_code,
           r.unit_code, r.opened_on, r.m0 AS amount_fen, r.m1 AS previous_fen, r.m2 AS before_previous_fen, r.total AS sum_fen,
           (CASE WHEN r.m0 <= 0 THEN silent END)::INTEGER AS zero_months, r.grade,
           CASE WHEN p.grade = r.grade THEN p.grade_since ELSE $instant END AS grade_since, 10 AS vip_top_n, 12 AS key_top_n,
           1000000::BIGINT AS diamond_from_fen, 200000::BIGINT AS gold_from_fen, r.total AS quarter_fen, r.tier AS service_tier,
           (CASE WHEN in_district <= 10 THEN place WHEN total > 0 AND r.branch_code IS NOT NULL THEN in_branch END)::INTEGER
               AS rank,
           CASE WHEN q.service_tier = r.tier THEN q.tier_since ELSE $instant END AS tier_since, r.before AS previous_quarter_fen,
           CASE WHEN in_district <= (size * 5 + 99) // 100 THEN 'A' WHEN in_district <= (size * 20 + 99) // 100 THEN 'B'
                ELSE 'C' END AS band, in_district::INTEGER AS band_place,
           (CASE WHEN in_district IS NOT NULL THEN size END)::INTEGER AS band_of,
           r.tier = 'general' AND r.total >= 900000 AS focus_general, false AS non_insured, r.tier = 'vip' AS green_channel,
           r.tier = 'vip' AS special_claims, r.tier AS points_plan, 5 AS a_percent, 20 AS b_percent,
           300000::BIGINT AS focus_from_fen, 500000::BIGINT AS claims_from_fen, r.shipped_before
    FROM ranked r LEFT JOIN before p ON p.month = $previous AND p.account_no = r.account_no
         LEFT JOIN before q ON q.month = $quarter_before AND q.account_no = r.account_no
)
SELECT *, {_ID.format("'decision/' || account_no || '/' || strftime(month, '%Y-%m')")} AS decision_id,
       sha256(concat_ws('|', COLUMNS(*)::VARCHAR)) AS digest
FROM decided"""

MOVEMENTS = f"""
CREATE TEMP TABLE moved AS
SELECT *, {_ID.format("'movement/' || account_no || '/' || strftime(month, '%Y-%m') || '/1'")} AS movement_id,
       {_ID.format("'movement-decision/' || account_no || '/' || strftime(month, '%Y-%m') || '/1'")} AS decision_id,
       sha256(concat_ws('|', account_no, month, kind, previous_fen, current_fen, service_tier, unit_code)) AS digest
FROM (SELECT account_no, month, CASE WHEN zero_months BETWEEN 1 AND 3 THEN 'zero_month'
                                     WHEN amount_fen > 0 AND (previous_fen - amount_fen) * 100 > previous_fen * 50
                                     THEN 'fall_over_half' END AS kind,
             zero_months, previous_fen, amount_fen AS current_fen, service_tier, branch_code, district_code, unit_code,
             quarter_fen >= 900000 AS priority
      FROM decided) WHERE kind IS NOT NULL"""

QUARTER_MOVEMENTS = f"""
CREATE TEMP TABLE quarter_moved AS
WITH placed AS (
    SELECT *, row_number() OVER (PARTITION BY branch_code, previous_quarter_fen = 0, quarter_fen > previous_quarter_fen
                                 ORDER BY abs(quarter_fen - previous_quarter_fen) DESC, opened_on, account_no) AS moved
    FROM decided WHERE branch_code IS NOT NULL AND quarter_fen <> previous_quarter_fen
), kinds AS (
    SELECT account_no, CASE WHEN previous_quarter_fen = 0 THEN CASE WHEN shipped_before THEN 'resumed' END
                WHEN quarter_fen > previous_quarter_fen AND moved <= 1 THEN 'riser'
                WHEN quarter_fen < previous_quarter_fen AND moved <= 4 THEN 'decliner'
                WHEN (quarter_fen - previous_quarter_fen) * 100 >= previous_quarter_fen * 20 THEN 'rise'
                WHEN (previous_quarter_fen - quarter_fen) * 100 >= previous_quarter_fen * 20 THEN 'fall' END AS kind,
           moved, previous_quarter_fen AS previous_fen, quarter_fen AS current_fen, service_tier, branch_code, district_code,
           unit_code, quarter_fen >= 900000 AS priority
    FROM placed
)
SELECT * REPLACE (CASE WHEN kind IN ('riser', 'decliner') THEN moved::INTEGER END AS moved),
       {_ID.format("'quarter-movement/' || account_no || '/2026-Q1'")} AS movement_id,
       {_ID.format("'quarter-movement-decision/' || account_no || '/2026-Q1'")} AS decision_id,
       sha256(concat_ws('|', account_no, kind, moved, previous_fen, current_fen, service_tier, unit_code)) AS digest
FROM kinds WHERE kind IS NOT NULL"""


def rescore(duckdb: Any, job: dict[str, Any]) -> float:
    """Decide and write; returns the seconds from the first statement to the last file written."""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(job['threads'])}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(_MACRO)
    for name in ("totals", "accounts", "places", "districts", "before"):
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{job['folder']}/{name}.parquet')")
    _say({"ready": True})
    sys.stdin.readline()
    began = time.perf_counter()
    literals = {name: f"DATE '{value}'" for name, value in job["dates"].items()}
    literals["instant"] = f"TIMESTAMPTZ '{job['instant']}'"
    for statement in (DECISIONS, MOVEMENTS, QUARTER_MOVEMENTS):
        for name in sorted(literals, key=len, reverse=True):
            statement = statement.replace(f"${name}", literals[name])  # noqa: PLW2901
        connection.execute(statement)
    for name in ("decided", "moved", "quarter_moved"):
        connection.execute(f"COPY {name} TO '{job['folder']}/{name}.parquet' (FORMAT parquet)")
    return time.perf_counter() - began


def main() -> None:
    """Be a program of the bench."""
    duckdb = import_module("duckdb")
    job = json.loads(sys.stdin.readline())
    seconds = rescore(duckdb, job)
    _say({"amount": 1, "seconds": seconds, "version": duckdb.__version__})
    sys.stdin.read()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
