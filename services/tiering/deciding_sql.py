"""The statements of `decisions`: one that decides all accounts of a close, one that reads what it changed."""

from collections.abc import Sequence

from services.tiering.placement import DISTRICTS, PLACED, ROOT_UNIT
from services.tiering.policies.book import number, numbers_cte
from services.tiering.quarter_sums import last_freight
from shared.events.tiering import TiersChanged

MONTHS_BETWEEN = "((({later}) - ({earlier})) * 4800 + 73048) / 146097"
"""SQL of the number of months from one to a later one, both first days: their days over 30.436875, rounded.

A calendar's first days lie less than two days off that, and integers are a fifth of the work of `extract`, which is numeric.
"""

INSTANT = "(to_char({} AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+08:00')"
"""SQL of an instant as it stands on the wire; schedules run at whole seconds."""

DIGEST = "sha256(record_send({}))"
"""SQL of a row's digest: the SHA-256 of PostgreSQL's binary form of its columns. That form needs no text made of a million rows,
does not depend on settings, and has types and lengths in it, so that no two rows have one form."""


def decide_statement(names: Sequence[str], *, at_quarter_end: bool, on_trial: bool = False) -> str:
    """Return the statement that decides a close, with the policy's numbers of these names.

    On trial, what no policy changes (`inputs_of`) stands in tables of those names, how long a value has stood is not asked, and
    of a decision only what policies are compared by is kept: PostgreSQL does not work out columns that nobody asks for.
    """
    inputs = {} if on_trial else inputs_of(at_quarter_end=at_quarter_end)
    kept = ", ".join(TRIED_COLUMNS[: None if at_quarter_end else 4]) if on_trial else _COLUMNS
    found = "".join(f", {helpers + ', ' if helpers else ''}{name} AS ({query})" for name, (helpers, query) in inputs.items())
    return f"""
WITH {numbers_cte(*names)}{found}{_RANKED if at_quarter_end else ""}, decided AS (
    SELECT CAST(:month AS date) AS month, j.account_no, {number("policy_version")} AS policy_version,
           CAST(:decided_at AS timestamptz) AS decided_at, j.branch_code, j.district_code, j.unit_code, j.opened_on,
           j.amount_fen, j.previous_fen, j.before_previous_fen, j.sum_fen, {_ZERO_MONTHS} AS zero_months, c.grade,
           {_NEVER if on_trial else _GRADE_SINCE} AS grade_since,
           {number("vip_top_n")} AS vip_top_n, {number("key_top_n")} AS key_top_n,
           {number("diamond_from_fen")} AS diamond_from_fen, {number("gold_from_fen")} AS gold_from_fen,
           {_of_quarter(_NEVER if on_trial else _TIER_SINCE) if at_quarter_end else _WITHIN_QUARTER}
           {"" if on_trial else _was(at_quarter_end)}
    FROM judged j LEFT JOIN numbers n ON n.unit_code = j.branch_code
         CROSS JOIN LATERAL (SELECT CASE WHEN j.sum_fen >= 3 * {number("diamond_from_fen")} THEN 'diamond'
                                         WHEN j.sum_fen >= 3 * {number("gold_from_fen")} THEN 'gold' ELSE 'silver' END AS grade) c
         {"" if on_trial else _BEFORE}
         {_QUARTER_JOINS if at_quarter_end else ""}
         {_QUARTER_BEFORE if at_quarter_end and not on_trial else ""}
    OFFSET 0
)
INSERT INTO decisions ({kept}{"" if on_trial else ", decision_id, digest, changed"})
SELECT {kept}{"" if on_trial else f"{_NAMED}, {_changed(at_quarter_end)}"}
FROM decided"""


_NEVER = "CAST(NULL AS timestamptz)"
_GRADE_SINCE = "CASE WHEN p.grade = c.grade THEN p.grade_since ELSE CAST(:decided_at AS timestamptz) END"
_TIER_SINCE = """CASE WHEN q.service_tier = t.service_tier THEN q.tier_since
                WHEN t.service_tier IS NOT NULL THEN CAST(:decided_at AS timestamptz) END"""
_BEFORE = "LEFT JOIN decisions p ON p.month = :previous AND p.account_no = j.account_no"
_QUARTER_BEFORE = "LEFT JOIN decisions q ON q.month = :quarter_before AND q.account_no = j.account_no"
_COLUMNS = """
    month, account_no, policy_version, decided_at, branch_code, district_code, unit_code, opened_on, amount_fen, previous_fen,
    before_previous_fen, sum_fen, zero_months, grade, grade_since, vip_top_n, key_top_n, diamond_from_fen, gold_from_fen,
    quarter_fen, service_tier, rank, tier_since, previous_quarter_fen, band, band_place, band_of, focus_general, non_insured,
    green_channel, special_claims, points_plan, a_percent, b_percent, focus_from_fen, claims_from_fen"""
_NAMED = f""", natural_id('decision/' || account_no || '/' || to_char(month, 'YYYY-MM')), {DIGEST.format(f"ROW({_COLUMNS})")}"""
AXES = ("band", "focus_general", "green_channel", "special_claims", "points_plan")
"""What a quarter's close decides beside the tier."""
_TOLD_OF_QUARTER = ("service_tier", "rank", "quarter_fen", *AXES)


def _was(at_quarter_end: bool) -> str:
    """Return the columns of `decided` that say what the closes before had decided: the last one, and that of the last quarter."""
    of_quarter = "".join(f", q.{name} AS was_{name}" for name in _TOLD_OF_QUARTER) if at_quarter_end else ""
    return f", p.grade AS was_grade, p.sum_fen AS was_sum_fen{of_quarter}"


def _changed(at_quarter_end: bool) -> str:
    """Return whether anything that TiersChanged tells is otherwise than it was; the decision before has always a grade."""
    was, now = (", ".join(f"{prefix}{name}" for name in _TOLD_OF_QUARTER) for prefix in ("was_", ""))
    of_quarter = f"OR ({was}) IS DISTINCT FROM ({now})" if at_quarter_end else ""
    return f"was_grade IS NULL OR was_grade <> grade OR was_sum_fen / 3 <> sum_fen / 3 {of_quarter}"


def inputs_of(*, at_quarter_end: bool) -> dict[str, tuple[str, str]]:
    """Return what a close decides on, whatever the policy: relations by name, each with its own CTEs and its query.

    The accounts with their freight, at a quarter's end that of the quarter before, too, and their places in branch and district.
    """
    judged = (f"{_TOTALS_OF_QUARTER if at_quarter_end else _TOTALS}, {PLACED}, {DISTRICTS}", _JUDGED)
    return {"judged": judged} | ({"placed_in": ("", _PLACED_IN), "sizes": ("", _SIZES)} if at_quarter_end else {})


INPUT_COLUMNS = {
    "judged": "account_no, opened_on, branch_code, district_code, unit_code, amount_fen, previous_fen, before_previous_fen, "
    "previous_quarter_fen, sum_fen",
    "placed_in": "account_no, branch_code, district_code, in_branch, in_district",
    "sizes": "district_code, band_of",
}
"""The columns of what `inputs_of` returns."""


# At a quarter's end the three months are one row, and the quarter before is another.
_TOTALS_OF_QUARTER = """
totals AS (
    SELECT account_no, coalesce(max(fen_3) FILTER (WHERE quarter = :before_previous), 0) AS amount_fen,
           coalesce(max(fen_2) FILTER (WHERE quarter = :before_previous), 0) AS previous_fen,
           coalesce(max(fen_1) FILTER (WHERE quarter = :before_previous), 0) AS before_previous_fen,
           coalesce(max(sum_fen) FILTER (WHERE quarter = :base_start), 0) AS previous_quarter_fen
    FROM quarter_sums WHERE quarter BETWEEN :base_start AND :before_previous GROUP BY account_no
)"""
_TOTALS = """
totals AS (
    SELECT account_no, coalesce(max(amount_fen) FILTER (WHERE month = :month), 0) AS amount_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :previous), 0) AS previous_fen,
           coalesce(max(amount_fen) FILTER (WHERE month = :before_previous), 0) AS before_previous_fen,
           NULL::bigint AS previous_quarter_fen
    FROM month_totals WHERE month BETWEEN :before_previous AND :month
                            AND quarter BETWEEN CAST(:before_previous AS date) - 62 AND :month
    GROUP BY account_no
)"""


_JUDGED = f"""
    SELECT a.account_no, a.opened_on, p.branch_code, d.district_code,
           coalesce(p.outlet_code, p.branch_code, {ROOT_UNIT}) AS unit_code,
           coalesce(t.amount_fen, 0) AS amount_fen, coalesce(t.previous_fen, 0) AS previous_fen,
           coalesce(t.before_previous_fen, 0) AS before_previous_fen, coalesce(t.previous_quarter_fen, 0) AS previous_quarter_fen,
           coalesce(t.amount_fen + t.previous_fen + t.before_previous_fen, 0) AS sum_fen
    FROM accounts a LEFT JOIN placed p ON p.account_no = a.account_no LEFT JOIN districts d ON d.branch_code = p.branch_code
         LEFT JOIN totals t ON t.account_no = a.account_no
    WHERE a.opened_on <= :day"""

_PLACED_IN = """
    SELECT account_no, branch_code, district_code,
           row_number() OVER (PARTITION BY branch_code ORDER BY sum_fen DESC, opened_on, account_no) AS in_branch,
           CASE WHEN district_code IS NOT NULL THEN
               row_number() OVER (PARTITION BY district_code ORDER BY sum_fen DESC, opened_on, account_no) END AS in_district
    FROM judged WHERE sum_fen > 0 AND branch_code IS NOT NULL"""

_SIZES = """
    SELECT district_code, count(*)::integer AS band_of FROM placed_in WHERE district_code IS NOT NULL GROUP BY district_code"""


# Of two runs of months without freight the newest counts; it is looked up only for accounts without freight in all three months.
_ZERO_MONTHS = f"""
CASE WHEN j.amount_fen > 0 THEN NULL WHEN j.previous_fen > 0 THEN 1 WHEN j.before_previous_fen > 0 THEN 2
     ELSE {MONTHS_BETWEEN.format(later="CAST(:month AS date)", earlier=last_freight("j.account_no", ":before_previous"))} END"""

# A branch's VIPs are also its first accounts, since both ranks have one order: so the place among the others is the place in the
# branch less the branch's VIPs. The place in the district is the band's place, too.
_RANKED = f""", vips AS (
    SELECT i.branch_code, count(*) AS vips FROM placed_in i LEFT JOIN numbers n ON n.unit_code = i.branch_code
    WHERE i.in_district <= {number("vip_top_n")} GROUP BY i.branch_code
), ranked AS (
    SELECT i.account_no, i.in_district::integer AS band_place, s.band_of,
           CASE WHEN i.in_district <= {number("vip_top_n")} THEN 'vip'
                WHEN i.in_branch - coalesce(v.vips, 0) <= {number("key_top_n")} THEN 'key' ELSE 'general' END AS service_tier,
           (CASE WHEN i.in_district <= {number("vip_top_n")} THEN i.in_district
                 ELSE i.in_branch - coalesce(v.vips, 0) END)::integer AS rank
    FROM placed_in i LEFT JOIN numbers n ON n.unit_code = i.branch_code LEFT JOIN sizes s ON s.district_code = i.district_code
         LEFT JOIN vips v ON v.branch_code = i.branch_code
), rights AS (
    SELECT * FROM unnest(CAST(:rights_unit AS text[]), CAST(:rights_tier AS text[]), CAST(:rights_green AS boolean[]),
                         CAST(:rights_free_claims AS boolean[]), CAST(:rights_plan AS text[]))
        AS r (unit, tier, green, free_claims, plan)
), non_insured AS (
    SELECT DISTINCT s.unit, a.unit_code
    FROM unnest(CAST(:insurance_unit AS text[]), CAST(:insurance_area AS text[])) AS s (unit, area)
         JOIN unit_ancestors a ON a.ancestor_code = s.area
)"""

_QUARTER_JOINS = f"""LEFT JOIN ranked r ON r.account_no = j.account_no
         CROSS JOIN LATERAL (SELECT CASE WHEN r.service_tier IS NOT NULL THEN r.service_tier WHEN j.sum_fen > 0
                                         OR {number("zero_freight_is_general")} THEN 'general' END AS service_tier) t
         LEFT JOIN rights g ON g.unit = coalesce(n.unit_code, '') AND g.tier = t.service_tier
         LEFT JOIN non_insured i ON i.unit = coalesce(n.unit_code, '') AND i.unit_code = j.unit_code"""


def _share(percent: str) -> str:
    """Return the SQL of `axes.share_of` for the accounts with freight in the district, rounded up."""
    return f"((r.band_of::bigint * {number(percent)} + 99) / 100)"


def _of_quarter(tier_since: str) -> str:
    return f"""j.sum_fen AS quarter_fen, t.service_tier, r.rank, {tier_since} AS tier_since, j.previous_quarter_fen,
           CASE WHEN r.band_place <= {_share("a_percent")} THEN 'A' WHEN r.band_place <= {_share("b_percent")} THEN 'B'
                ELSE 'C' END AS band, r.band_place, r.band_of,
           coalesce(t.service_tier = 'general', false) AND j.sum_fen >= 3 * {number("focus_from_fen")} AS focus_general,
           i.unit_code IS NOT NULL AS non_insured, coalesce(g.green, false) AS green_channel,
           coalesce(g.free_claims, false) OR (i.unit_code IS NOT NULL AND j.sum_fen >= 3 * {number("claims_from_fen")})
               AS special_claims,
           g.plan AS points_plan, {number("a_percent")} AS a_percent, {number("b_percent")} AS b_percent,
           {number("focus_from_fen")} AS focus_from_fen, {number("claims_from_fen")} AS claims_from_fen"""


_WITHIN_QUARTER = """NULL::bigint AS quarter_fen, NULL::text AS service_tier, NULL::integer AS rank,
           NULL::timestamptz AS tier_since, NULL::bigint AS previous_quarter_fen, NULL::text AS band,
           NULL::integer AS band_place, NULL::integer AS band_of, NULL::boolean AS focus_general, NULL::boolean AS non_insured,
           NULL::boolean AS green_channel, NULL::boolean AS special_claims, NULL::text AS points_plan,
           NULL::integer AS a_percent, NULL::integer AS b_percent, NULL::bigint AS focus_from_fen,
           NULL::bigint AS claims_from_fen"""

TRIED_COLUMNS = ("month", "account_no", "branch_code", "grade", "service_tier", *AXES)
"""What policies are compared by; within a quarter the first four."""


def tiers_changed(*, at_quarter_end: bool) -> str:
    """Return the query of TiersChanged: within a quarter the service tier in force is that of the decision q of its start."""
    tier_of = "d" if at_quarter_end else "q"
    join = "" if at_quarter_end else "LEFT JOIN decisions q ON q.month = :quarter_month AND q.account_no = d.account_no"
    axes = ", ".join(f"'{name}', {tier_of}.{name}" for name in AXES)
    return f"""
SELECT d.account_no AS key,
       natural_id('{TiersChanged.TYPE}/' || d.account_no || '/' || to_char(d.month, 'YYYY-MM')) AS event_id,
       json_build_object(
           'account_no', d.account_no, 'month', to_char(d.month, 'YYYY-MM'), 'decided_at', {INSTANT.format("d.decided_at")},
           'service_tier', CASE WHEN {tier_of}.service_tier IS NOT NULL THEN json_build_object(
               'service_tier', {tier_of}.service_tier, 'rank', {tier_of}.rank, 'amount_fen', {tier_of}.quarter_fen,
               'quarter', to_char(CAST(:quarter_month AS date), 'YYYY-"Q"Q'), 'since', {INSTANT.format(f"{tier_of}.tier_since")},
               'decision_id', {tier_of}.decision_id, {axes}) END,
           'contribution_grade', json_build_object(
               'grade', d.grade, 'month', to_char(d.month, 'YYYY-MM'), 'average_fen', d.sum_fen / 3,
               'since', {INSTANT.format("d.grade_since")}, 'decision_id', d.decision_id,
               'end', CASE WHEN d.grade = 'silver' THEN 'low' ELSE 'high' END)) AS data
FROM decisions d {join}
WHERE d.month = :month AND d.changed"""
