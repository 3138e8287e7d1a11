"""The limit line of a close: statements written by hand, which write the same rows as the suite does, and nothing else.

No snapshot behind a gate, no policy table, no milestones, no events. Two shortcuts are open to it that are not to the suite: the
numbers of the policy stand in the text, and every account is known to have been placed since it was opened.
"""

from __future__ import annotations

from datetime import date, datetime

import asyncpg

from shared.months import add_months, last_day, quarter_start

_NAMES = """
    month, account_no, policy_version, decided_at, branch_code, district_code, unit_code, opened_on, amount_fen, previous_fen,
    before_previous_fen, sum_fen, zero_months, grade, grade_since, vip_top_n, key_top_n, diamond_from_fen, gold_from_fen,
    quarter_fen, service_tier, rank, tier_since, previous_quarter_fen, band, band_place, band_of, focus_general, non_insured,
    green_channel, special_claims, points_plan, a_percent, b_percent, focus_from_fen, claims_from_fen"""

_DISTRICTS = """
districts AS (
    SELECT b.unit_code AS branch_code, b.ancestor_code AS district_code
    FROM unit_ancestors b JOIN units d ON d.unit_code = b.ancestor_code AND d.kind = 'district'
)"""

# $1 month, $2 and $3 the two before it, $4 its last day, $5 the instant, $6 the quarter's end before, $7 that quarter's start.
DECISIONS = f"""
WITH freight AS (
    SELECT account_no, coalesce(max(fen_3) FILTER (WHERE quarter = $3), 0) AS m0,
           coalesce(max(fen_2) FILTER (WHERE quarter = $3), 0) AS m1,
           coalesce(max(fen_1) FILTER (WHERE quarter = $3), 0) AS m2,
           coalesce(max(sum_fen) FILTER (WHERE quarter = $7), 0) AS before
    FROM quarter_sums WHERE quarter IN ($3, $7) GROUP BY account_no
), placed AS (
    SELECT DISTINCT ON (account_no) account_no, branch_code, outlet_code FROM account_branches
    WHERE from_on <= $4 ORDER BY account_no, from_on DESC
), {_DISTRICTS}, base AS (
    SELECT a.account_no, a.opened_on, p.branch_code, d.district_code, coalesce(p.outlet_code, p.branch_code, 'HQ') AS unit_code,
           coalesce(f.m0, 0) AS m0, coalesce(f.m1, 0) AS m1, coalesce(f.m2, 0) AS m2, coalesce(f.before, 0) AS before,
           coalesce(f.m0 + f.m1 + f.m2, 0) AS total
    FROM accounts a LEFT JOIN placed p USING (account_no) LEFT JOIN districts d ON d.branch_code = p.branch_code
         LEFT JOIN freight f ON f.account_no = a.account_no
    WHERE a.opened_on <= $4
), in_district AS (
    SELECT *, row_number() OVER (PARTITION BY district_code ORDER BY total DESC, opened_on, account_no) AS place,
           sum(CASE WHEN total > 0 THEN 1 END) OVER (PARTITION BY district_code) AS size
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
    SELECT $1::date AS month, r.account_no, '2008-new' AS policy_version, $5::timestamptz AS decided_at, r.branch_code,
           r.district_code, r.unit_code, r.opened_on, r.m0 AS amount_fen, r.m1 AS previous_fen, r.m2 AS before_previous_fen,
           r.total AS sum_fen,
           CASE WHEN r.m0 > 0 THEN NULL WHEN r.m1 > 0 THEN 1 WHEN r.m2 > 0 THEN 2 ELSE (
               SELECT (extract(year FROM $1::date) - extract(year FROM z.quarter))::integer * 12
                      + (extract(month FROM $1::date) - extract(month FROM z.quarter))::integer
                      - CASE WHEN z.fen_3 > 0 THEN 2 WHEN z.fen_2 > 0 THEN 1 ELSE 0 END
               FROM quarter_sums z WHERE z.account_no = r.account_no AND z.sum_fen > 0 AND z.quarter < $3
               ORDER BY z.quarter DESC LIMIT 1) END AS zero_months,
           r.grade, CASE WHEN p.grade = r.grade THEN p.grade_since ELSE $5 END AS grade_since, 10 AS vip_top_n, 12 AS key_top_n,
           1000000::bigint AS diamond_from_fen, 200000::bigint AS gold_from_fen, r.total AS quarter_fen, r.tier AS service_tier,
           (CASE WHEN r.in_district <= 10 THEN place WHEN r.total > 0 AND r.branch_code IS NOT NULL THEN in_branch END)::integer
               AS rank,
           CASE WHEN q.service_tier = r.tier THEN q.tier_since ELSE $5 END AS tier_since, r.before AS previous_quarter_fen,
           CASE WHEN r.in_district <= (r.size * 5 + 99) / 100 THEN 'A' WHEN r.in_district <= (r.size * 20 + 99) / 100 THEN 'B'
                ELSE 'C' END AS band,
           r.in_district::integer AS band_place, CASE WHEN r.in_district IS NOT NULL THEN r.size END::integer AS band_of,
           r.tier = 'general' AND r.total >= 900000 AS focus_general, false AS non_insured, r.tier = 'vip' AS green_channel,
           r.tier = 'vip' AS special_claims, r.tier AS points_plan, 5 AS a_percent, 20 AS b_percent,
           300000::bigint AS focus_from_fen, 500000::bigint AS claims_from_fen
    FROM ranked r
         LEFT JOIN decisions p ON p.month = $2 AND p.account_no = r.account_no
         LEFT JOIN decisions q ON q.month = $6 AND q.account_no = r.account_no
    OFFSET 0
)
INSERT INTO decisions ({_NAMES}, decision_id, digest)
SELECT {_NAMES}, natural_id('decision/' || account_no || '/' || to_char(month, 'YYYY-MM')), sha256(record_send(d))
FROM decided d"""

_ASSIST = "jsonb_build_array(jsonb_build_object('role', 'care_rep', 'unit_code', coalesce({}.branch_code, 'HQ')))"

_MOVEMENT_NAMES = """
    account_no, month, revision, kind, zero_months, previous_fen, current_fen, decided_previous_fen, decided_current_fen, state,
    detected_at, judged_at, policy_version, service_tier, branch_code, district_code, outlet_code, unit_code, version, priority,
    responsible_role, responsible_unit, in_person, assist"""

# $1 month, $2 the instant. The decisions have what a movement is found by.
MOVEMENTS = f"""
WITH found AS (
    SELECT *, CASE WHEN zero_months BETWEEN 1 AND 3 THEN 'zero_month'
                   WHEN amount_fen > 0 AND (previous_fen - amount_fen) * 100 > previous_fen * 50 THEN 'fall_over_half' END AS kind
    FROM decisions WHERE month = $1 AND (zero_months BETWEEN 1 AND 3 OR previous_fen > amount_fen)
), opened AS (
    SELECT f.account_no, f.month, 1 AS revision, f.kind, CASE WHEN f.kind = 'zero_month' THEN f.zero_months END AS zero_months,
           f.previous_fen, f.amount_fen AS current_fen, f.previous_fen AS decided_previous_fen,
           f.amount_fen AS decided_current_fen, 'open' AS state, $2::timestamptz AS detected_at, $2::timestamptz AS judged_at,
           f.policy_version, f.service_tier, f.branch_code, f.district_code, nullif(nullif(f.unit_code, f.branch_code), 'HQ')
               AS outlet_code,
           f.unit_code, 1 AS version, f.quarter_fen >= 900000 AS priority,
           CASE f.service_tier WHEN 'vip' THEN 'district_head' WHEN 'key' THEN 'branch_manager' ELSE 'outlet_staff' END
               AS responsible_role,
           CASE f.service_tier WHEN 'vip' THEN f.district_code WHEN 'key' THEN f.branch_code ELSE f.unit_code END
               AS responsible_unit,
           f.service_tier = 'key' AS in_person,
           CASE WHEN f.service_tier = 'general' THEN {_ASSIST.format("f")} ELSE '[]' END AS assist
    FROM found f WHERE f.kind IS NOT NULL
    OFFSET 0
)
INSERT INTO movements ({_MOVEMENT_NAMES}, movement_id, decision_id, digest)
SELECT {_MOVEMENT_NAMES}, natural_id('movement/' || account_no || '/' || to_char(month, 'YYYY-MM') || '/1'),
       natural_id('movement-decision/' || account_no || '/' || to_char(month, 'YYYY-MM') || '/1'), sha256(record_send(o))
FROM opened o"""

_QUARTER_NAMES = """
    account_no, quarter, kind, place, previous_fen, current_fen, priority, state, detected_at, policy_version, service_tier,
    branch_code, district_code, outlet_code, unit_code, responsible_role, responsible_unit, in_person, assist, riser_n,
    decliner_n, rise_percent, fall_percent"""

# $1 month, $2 the instant, $3 the quarter, $4 the start of the quarter before.
QUARTER_MOVEMENTS = f"""
WITH placed AS (
    SELECT *, row_number() OVER (PARTITION BY branch_code, previous_quarter_fen = 0, quarter_fen > previous_quarter_fen
                                 ORDER BY abs(quarter_fen - previous_quarter_fen) DESC, opened_on, account_no) AS moved
    FROM decisions WHERE month = $1 AND branch_code IS NOT NULL AND quarter_fen <> previous_quarter_fen
), kinds AS (
    SELECT *, CASE WHEN previous_quarter_fen = 0 THEN CASE WHEN EXISTS (
                       SELECT FROM quarter_sums z WHERE z.account_no = p.account_no AND z.quarter < $4 AND z.sum_fen > 0
                   ) THEN 'resumed' END
                   WHEN quarter_fen > previous_quarter_fen AND moved <= 1 THEN 'riser'
                   WHEN quarter_fen < previous_quarter_fen AND moved <= 4 THEN 'decliner'
                   WHEN (quarter_fen - previous_quarter_fen) * 100 >= previous_quarter_fen * 20 THEN 'rise'
                   WHEN (previous_quarter_fen - quarter_fen) * 100 >= previous_quarter_fen * 20 THEN 'fall' END AS kind
    FROM placed p
), found AS (
    SELECT k.account_no, $3::date AS quarter, k.kind,
           CASE WHEN k.kind IN ('riser', 'decliner') THEN k.moved::integer END AS place,
           k.previous_quarter_fen AS previous_fen, k.quarter_fen AS current_fen, k.quarter_fen >= 900000 AS priority,
           'open' AS state, $2::timestamptz AS detected_at, k.policy_version, k.service_tier, k.branch_code, k.district_code,
           nullif(k.unit_code, k.branch_code) AS outlet_code, k.unit_code,
           CASE WHEN k.kind IN ('riser', 'decliner') THEN 'branch_manager' ELSE 'outlet_staff' END AS responsible_role,
           CASE WHEN k.kind IN ('riser', 'decliner') THEN k.branch_code ELSE k.unit_code END AS responsible_unit,
           false AS in_person,
           CASE WHEN k.kind IN ('riser', 'decliner') THEN '[]' ELSE {_ASSIST.format("k")} END AS assist, 1 AS riser_n,
           4 AS decliner_n, 20 AS rise_percent, 20 AS fall_percent
    FROM kinds k WHERE k.kind IS NOT NULL
    OFFSET 0
)
INSERT INTO quarter_movements ({_QUARTER_NAMES}, movement_id, decision_id, digest)
SELECT {_QUARTER_NAMES}, natural_id('quarter-movement/' || account_no || '/' || to_char(quarter, 'YYYY-"Q"Q')),
       natural_id('quarter-movement-decision/' || account_no || '/' || to_char(quarter, 'YYYY-"Q"Q')), sha256(record_send(f))
FROM found f"""


async def decide(connection: asyncpg.Connection, month: date, instant: datetime) -> None:
    """Write the decisions of a quarter's close."""
    previous, before_previous, quarter_before, base_start = (add_months(month, -n) for n in (1, 2, 3, 5))
    day = last_day(month)
    await connection.execute(DECISIONS, month, previous, before_previous, day, instant, quarter_before, base_start)


async def detect(connection: asyncpg.Connection, month: date, instant: datetime) -> None:
    """Write the movements of the month and of the quarter, from the decisions."""
    await connection.execute(MOVEMENTS, month, instant)
    await connection.execute(QUARTER_MOVEMENTS, month, instant, quarter_start(month), add_months(month, -5))
