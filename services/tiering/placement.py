"""Where accounts stood on a day (客户归属): SQL that decisions and movements share."""

ROOT_UNIT = "coalesce((SELECT unit_code FROM units WHERE kind = 'hq'), 'HQ')"
"""The unit of what belongs to no branch."""

PLACED = """
placed AS (
    SELECT account_no, branch_code, outlet_code FROM (
        SELECT account_no, branch_code, outlet_code, from_on,
               lag(from_on) OVER moves IS NULL AS is_first, lead(from_on) OVER moves AS until
        FROM account_branches WINDOW moves AS (PARTITION BY account_no ORDER BY from_on)
    ) AS memberships
    WHERE (from_on <= :day OR is_first) AND (until IS NULL OR until > :day)
)"""
"""Branch and outlet of all accounts as of `:day`; before an account's first membership that one counts."""

PLACED_ONE = """
LATERAL (
    SELECT branch_code, outlet_code FROM account_branches b WHERE b.account_no = {account}
    ORDER BY from_on <= :day DESC, abs(from_on - :day) LIMIT 1
)"""
"""The same for one account of a row, where few are asked for."""

DISTRICTS = """
districts AS (
    SELECT DISTINCT ON (a.unit_code) a.unit_code AS branch_code, a.ancestor_code AS district_code
    FROM unit_ancestors a JOIN units d ON d.unit_code = a.ancestor_code AND d.kind = 'district' ORDER BY a.unit_code, a.depth
)"""
"""The district above each unit."""

IN_UNIT = """(
    EXISTS (SELECT FROM units r WHERE r.unit_code = :unit AND r.kind = 'hq')
    OR {unit} IN (SELECT b.unit_code FROM unit_ancestors b WHERE b.ancestor_code = :unit)
)"""
"""The condition that a unit lies in the subtree of `:unit` (`directory.in_subtree`)."""
