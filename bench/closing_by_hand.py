"""The limit line of a close: one INSERT ... SELECT written by hand, which writes the same decision rows and nothing else.

No snapshot behind a gate, no policy table, no movements, no events.
"""

STATEMENT = """
WITH freight AS (
    SELECT account_no, sum(amount_fen) FILTER (WHERE month = $1) AS m0, sum(amount_fen) FILTER (WHERE month = $2) AS m1,
           sum(amount_fen) FILTER (WHERE month = $3) AS m2
    FROM month_totals WHERE month IN ($1, $2, $3) GROUP BY account_no
), placed AS (
    SELECT DISTINCT ON (account_no) account_no, branch_code, outlet_code FROM account_branches
    WHERE from_on <= $4 ORDER BY account_no, from_on DESC
), districts AS (
    SELECT b.unit_code AS branch_code, b.ancestor_code AS district_code
    FROM unit_ancestors b JOIN units d ON d.unit_code = b.ancestor_code AND d.kind = 'district'
), base AS (
    SELECT a.account_no, a.opened_on, p.branch_code, d.district_code, coalesce(p.outlet_code, p.branch_code, 'HQ') AS unit_code,
           coalesce(f.m0, 0)::bigint AS m0, coalesce(f.m1, 0)::bigint AS m1, coalesce(f.m2, 0)::bigint AS m2,
           (coalesce(f.m0, 0) + coalesce(f.m1, 0) + coalesce(f.m2, 0))::bigint AS total
    FROM accounts a LEFT JOIN placed p USING (account_no) LEFT JOIN districts d ON d.branch_code = p.branch_code
         LEFT JOIN freight f ON f.account_no = a.account_no
    WHERE a.opened_on <= $4
), in_district AS (
    SELECT *, row_number() OVER (PARTITION BY district_code ORDER BY total DESC, opened_on, account_no) AS place FROM base
), in_branch AS (
    SELECT *, row_number() OVER (PARTITION BY branch_code, place <= 10 ORDER BY total DESC, opened_on, account_no) AS in_branch
    FROM in_district
), ranked AS (
    SELECT *, CASE WHEN place <= 10 THEN 'vip' WHEN in_branch <= 12 THEN 'key' ELSE 'general' END AS tier,
           (CASE WHEN place <= 10 THEN place ELSE in_branch END)::integer AS rank,
           CASE WHEN total >= 3000000 THEN 'diamond' WHEN total >= 600000 THEN 'gold' ELSE 'silver' END AS grade
    FROM in_branch
)
INSERT INTO decisions (
    decision_id, month, account_no, policy_version, decided_at, branch_code, district_code, unit_code, opened_on,
    amount_fen, previous_fen, before_previous_fen, sum_fen, zero_months, grade, grade_since,
    quarter_fen, service_tier, rank, tier_since, vip_top_n, key_top_n, diamond_from_fen, gold_from_fen)
SELECT natural_id('decision/' || r.account_no || '/2026-03'), $1, r.account_no, '2008-new', $5, r.branch_code, r.district_code,
       r.unit_code, r.opened_on, r.m0, r.m1, r.m2, r.total, CASE WHEN r.m0 > 0 THEN NULL ELSE 1 END,
       r.grade, CASE WHEN p.grade = r.grade THEN p.grade_since ELSE $5 END,
       r.total, r.tier, r.rank, CASE WHEN q.service_tier = r.tier THEN q.tier_since ELSE $5 END, 10, 12, 1000000, 200000
FROM ranked r
     LEFT JOIN decisions p ON p.month = $2 AND p.account_no = r.account_no
     LEFT JOIN decisions q ON q.month = $6 AND q.account_no = r.account_no"""
