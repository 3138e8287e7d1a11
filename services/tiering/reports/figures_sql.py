"""The SQL of a report's figures. All amounts are today's totals, all places and tiers those decided at the closes.

The planner cannot know how many rows a common table expression has. So units are an array, which asks for the index by itself,
and nested loops are off while it runs (`figures.whole`): joined in one, 20,000 accounts were looked for 8,000 times over.
"""

from collections.abc import Iterable
from functools import cache

# The tier in force during the period is the one decided at the quarter's close before it; before the first one that of the
# period's own close. An account that the policy leaves without a tier is nobody's.
_LEVEL = "CASE CAST(:{tier}_level AS text) WHEN 'district' THEN district_code WHEN 'branch' THEN branch_code ELSE unit_code END"
_BASE = f"""
scope AS (SELECT unit_code FROM unit_ancestors WHERE ancestor_code = :unit),
tiered AS MATERIALIZED (
    SELECT d.account_no, d.branch_code, d.district_code, d.unit_code,
           CASE WHEN t.account_no IS NOT NULL THEN coalesce(t.service_tier, 'untiered')
                ELSE coalesce(d.service_tier, 'general') END AS tier,
           coalesce(s.sum_fen, 0) > 0 AS active_before, d.sum_fen > 0 AS trading
    FROM decisions d LEFT JOIN decisions t ON t.month = :tier_month AND t.account_no = d.account_no
         LEFT JOIN decisions s ON s.month = :before AND s.account_no = d.account_no
    WHERE d.month = :last AND d.unit_code = ANY(ARRAY(SELECT unit_code FROM scope))
),
base AS MATERIALIZED (
    SELECT account_no, branch_code, tier, active_before, trading,
           CASE tier WHEN 'vip' THEN CAST(:vip_role AS text) WHEN 'key' THEN CAST(:key_role AS text)
                     WHEN 'general' THEN CAST(:general_role AS text) END AS role,
           coalesce(CASE tier WHEN 'vip' THEN {_LEVEL.format(tier="vip")} WHEN 'key' THEN {_LEVEL.format(tier="key")}
                              WHEN 'general' THEN {_LEVEL.format(tier="general")} END, branch_code, unit_code) AS unit_code
    FROM tiered
),
made AS MATERIALIZED (
    SELECT c.account_no, c.task_id, c.late FROM contact_facts c JOIN base b ON b.account_no = c.account_no
    WHERE c.contacted_at >= :from_at AND c.contacted_at < :to_at
),
talked AS MATERIALIZED (
    SELECT c.account_no, c.task_id, count(DISTINCT block) = 5 AS complete, min(c.contacted_at) AS first_at
    FROM contact_facts c LEFT JOIN LATERAL unnest(c.blocks) AS block ON true
    WHERE c.task_id IN (SELECT task_id FROM made) AND c.contacted_at < :to_at GROUP BY c.account_no, c.task_id
),
owed AS MATERIALIZED (
    SELECT f.* FROM task_facts f JOIN base b ON b.account_no = f.account_no
    WHERE f.state <> 'cancelled' AND f.opened_at < :to_at AND (f.done_at IS NULL OR f.done_at >= :from_at)
),
told AS MATERIALIZED (
    SELECT t.*, b.branch_code AS at_branch, t.resolved_at IS NOT NULL AS resolved,
           t.resolved_at <= t.due_at AS in_time, t.resolved_at IS NULL AND t.due_at <= :instant AS overdue
    FROM ticket_facts t JOIN base b ON b.account_no = t.account_no
    WHERE t.opened_at >= :from_at AND t.opened_at < :to_at AND t.state <> 'refuted'
),
moved AS MATERIALIZED (
    SELECT movement_id, account_no, branch_code, service_tier, kind, zero_months, previous_fen, current_fen, state
    FROM movements WHERE month BETWEEN :first AND :last AND unit_code = ANY(ARRAY(SELECT unit_code FROM scope))
    UNION ALL
    SELECT movement_id, account_no, branch_code, service_tier, kind, NULL, previous_fen, current_fen, state
    FROM quarter_movements
    WHERE quarter >= :first AND quarter + INTERVAL '2 months' <= :last AND unit_code = ANY(ARRAY(SELECT unit_code FROM scope))
)"""

_CELLS = """
SELECT b.branch_code, b.tier, b.role, b.unit_code, count(*) AS assigned, count(m.account_no) AS touched,
       coalesce(sum(m.contacts), 0)::bigint AS contacts, coalesce(sum(m.on_time), 0)::bigint AS on_time,
       coalesce(sum(k.talks), 0)::bigint AS talks, coalesce(sum(k.complete), 0)::bigint AS complete,
       coalesce(sum(o.tasks), 0)::bigint AS tasks, coalesce(sum(o.done), 0)::bigint AS tasks_done,
       coalesce(sum(o.overdue), 0)::bigint AS tasks_overdue, coalesce(sum(i.tickets), 0)::bigint AS tickets,
       coalesce(sum(i.resolved), 0)::bigint AS tickets_resolved, coalesce(sum(i.in_time), 0)::bigint AS tickets_in_time,
       coalesce(sum(i.overdue), 0)::bigint AS tickets_overdue, coalesce(sum(f.amount_fen), 0)::bigint AS amount_fen,
       coalesce(sum(f.previous_fen), 0)::bigint AS previous_fen, count(*) FILTER (WHERE f.amount_fen > 0) AS active,
       count(*) FILTER (WHERE b.active_before) AS active_before,
       count(*) FILTER (WHERE b.active_before AND NOT b.trading) AS lost
FROM base b
     LEFT JOIN (SELECT account_no, count(*) AS contacts, count(*) FILTER (WHERE NOT late) AS on_time
                FROM made GROUP BY account_no) AS m ON m.account_no = b.account_no
     LEFT JOIN (SELECT account_no, count(*) AS talks, count(*) FILTER (WHERE complete) AS complete
                FROM talked GROUP BY account_no) AS k ON k.account_no = b.account_no
     LEFT JOIN (SELECT account_no, count(*) AS tasks, count(*) FILTER (WHERE done_at < :to_at) AS done,
                       count(*) FILTER (WHERE overdue_at <= :to_at) AS overdue FROM owed GROUP BY account_no)
         AS o ON o.account_no = b.account_no
     LEFT JOIN (SELECT account_no, count(*) AS tickets, count(*) FILTER (WHERE resolved) AS resolved,
                       count(*) FILTER (WHERE in_time) AS in_time, count(*) FILTER (WHERE overdue) AS overdue
                FROM told GROUP BY account_no) AS i ON i.account_no = b.account_no
     LEFT JOIN (SELECT account_no, sum(amount_fen) FILTER (WHERE month >= :first) AS amount_fen,
                       sum(amount_fen) FILTER (WHERE month < :first) AS previous_fen
                FROM month_totals WHERE month BETWEEN :previous_first AND :last
                                        AND quarter BETWEEN CAST(:previous_first AS date) - 62 AND :last GROUP BY account_no)
         AS f ON f.account_no = b.account_no
GROUP BY b.branch_code, b.tier, b.role, b.unit_code
ORDER BY b.branch_code, b.tier, b.role, b.unit_code"""

_CAUSES = """
SELECT coalesce(cause_code, cause_hint, ticket_class) AS cause, count(*) AS tickets, count(*) FILTER (WHERE resolved) AS resolved,
       count(*) FILTER (WHERE overdue) AS overdue
FROM told GROUP BY 1 ORDER BY tickets DESC, cause LIMIT 10"""

_OUTSTANDING = """
SELECT ticket_id::text AS ticket_id, account_no, at_branch AS branch_code, ticket_class, priority, due_at
FROM told WHERE overdue ORDER BY due_at, ticket_id LIMIT 50"""

_FOUND = """
SELECT m.account_no, m.branch_code, m.service_tier AS tier, m.kind, m.zero_months, m.previous_fen, m.current_fen, m.state,
       coalesce(f.state, 'none') AS task_state
FROM moved m LEFT JOIN task_facts f ON f.movement_id = m.movement_id
ORDER BY m.previous_fen - m.current_fen DESC, m.account_no, m.kind, m.movement_id LIMIT 50"""

_KINDS = """
SELECT m.branch_code, m.kind, count(*) AS movements, count(*) FILTER (WHERE m.state = 'open') AS standing,
       sum(m.previous_fen - m.current_fen) FILTER (WHERE m.state = 'open') AS fallen_fen
FROM moved m GROUP BY m.branch_code, m.kind ORDER BY m.branch_code, m.kind"""

# The effect of a visit: freight of the month after the first contact, against the month of the movement. A month that is not
# closed yet says nothing.
_EFFECT = """
SELECT v.branch_code, v.role, v.unit_code, v.kind, count(*) AS tasks, count(*) FILTER (WHERE v.done_at IS NOT NULL) AS done,
       count(*) FILTER (WHERE v.overdue_at <= :to_at) AS overdue, count(v.first_at) AS visited,
       count(*) FILTER (WHERE v.known) AS known, count(*) FILTER (WHERE v.after_fen > v.during_fen) AS recovered,
       coalesce(sum(v.during_fen), 0)::bigint AS during_fen, coalesce(sum(v.after_fen), 0)::bigint AS after_fen
FROM (
    SELECT f.*,
           CASE WHEN f.known THEN coalesce((SELECT amount_fen FROM month_totals x
                                            WHERE x.account_no = f.account_no AND x.month = f.after_month), 0) END AS after_fen,
           CASE WHEN f.known THEN coalesce((SELECT m.current_fen FROM movements m WHERE m.movement_id = f.movement_id),
                                           (SELECT q.current_fen / 3 FROM quarter_movements q
                                            WHERE q.movement_id = f.movement_id), 0) END AS during_fen
    FROM (SELECT g.*, g.after_month <= (SELECT max(month) FROM month_closes WHERE state = 'closed') AS known
          FROM (SELECT o.*, c.first_at, (date_trunc('month', c.first_at AT TIME ZONE INTERVAL '8 hours')
                                         + INTERVAL '1 month')::date AS after_month
                FROM owed o LEFT JOIN (SELECT k.task_id, min(k.contacted_at) FILTER (WHERE k.contacted_at < :to_at) AS first_at
                                       FROM contact_facts k JOIN owed p ON p.task_id = k.task_id GROUP BY k.task_id) AS c
                     ON c.task_id = o.task_id) AS g) AS f
) AS v
GROUP BY v.branch_code, v.role, v.unit_code, v.kind ORDER BY v.branch_code, v.role, v.unit_code, v.kind"""

_TREND = """
SELECT to_char(d.month, 'YYYY-MM') AS month, d.branch_code, sum(d.amount_fen)::bigint AS amount_fen,
       count(*) FILTER (WHERE d.amount_fen > 0) AS active
FROM decisions d WHERE d.unit_code = ANY(ARRAY(SELECT unit_code FROM scope)) AND d.month BETWEEN :trend_first AND :last
GROUP BY d.month, d.branch_code ORDER BY d.month, d.branch_code"""

_UNTOUCHED = """
SELECT b.branch_code, b.role, b.unit_code, b.tier, b.account_no
FROM base b WHERE b.role IS NOT NULL AND NOT EXISTS (SELECT FROM made m WHERE m.account_no = b.account_no)
ORDER BY b.branch_code, CASE b.tier WHEN 'vip' THEN 1 WHEN 'key' THEN 2 ELSE 3 END, b.account_no LIMIT 200"""

_INCOMPLETE = """
SELECT f.branch_code, f.role, f.unit_code, f.account_no, f.task_id::text AS task_id, f.state, f.due_at
FROM owed f WHERE f.done_at IS NULL AND EXISTS (SELECT FROM talked k WHERE k.task_id = f.task_id AND NOT k.complete)
ORDER BY f.branch_code, f.due_at, f.task_id LIMIT 200"""

_OVERDUE = """
SELECT f.branch_code, f.role, f.unit_code, f.account_no, f.task_id::text AS task_id, f.due_at
FROM owed f WHERE f.state = 'overdue' OR (f.done_at IS NULL AND f.due_at <= :instant)
ORDER BY f.branch_code, f.due_at, f.task_id LIMIT 200"""

_GAPS = """
SELECT f.branch_code, f.role, f.unit_code,
       count(*) FILTER (WHERE f.done_at IS NULL AND k.task_id IS NOT NULL AND NOT k.complete) AS incomplete,
       count(*) FILTER (WHERE f.state = 'overdue' OR (f.done_at IS NULL AND f.due_at <= :instant)) AS overdue
FROM owed f LEFT JOIN talked k ON k.task_id = f.task_id
GROUP BY f.branch_code, f.role, f.unit_code ORDER BY f.branch_code, f.role, f.unit_code"""

_RESTATED = """
SELECT r.account_no, b.branch_code, to_char(r.month, 'YYYY-MM') AS month, count(*) AS charges,
       sum(r.change_fen)::bigint AS change_fen
FROM restatements r JOIN base b ON b.account_no = r.account_no
WHERE r.seq > :restated_through AND r.change_fen <> 0 AND r.month BETWEEN :previous_first AND :last
GROUP BY r.account_no, b.branch_code, r.month ORDER BY abs(sum(r.change_fen)) DESC, r.account_no, r.month LIMIT 200"""

PARTS = {
    "gaps": _GAPS,
    "restated": _RESTATED,
    "causes": _CAUSES,
    "outstanding": _OUTSTANDING,
    "found": _FOUND,
    "kinds": _KINDS,
    "effect": _EFFECT,
    "trend": _TREND,
    "untouched": _UNTOUCHED,
    "incomplete": _INCOMPLETE,
    "overdue": _OVERDUE,
}


def statement(parts: Iterable[str]) -> str:
    """Return one statement that gives the cells and the parts, each as JSON."""
    return _statement(tuple(parts))


@cache
def _statement(parts: tuple[str, ...]) -> str:
    outputs = ",\n".join(
        f"(SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM ({sql}) AS x) AS {name}"
        for name, sql in [("cells", _CELLS), *((name, PARTS[name]) for name in parts)]
    )
    return f"WITH {_BASE}\nSELECT EXISTS (SELECT FROM month_closes WHERE month = :before) AS has_before,\n{outputs}"
