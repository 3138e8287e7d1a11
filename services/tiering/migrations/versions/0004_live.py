"""Live standings, the radar, causes."""

from pathlib import Path

from alembic import op

from shared.kernel import revisions

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Kept by the statement that posts charges. `magnitude` is the sum on a coarse scale (0009 made it coarser): the index
# holds it instead of the sum, so that most charges change no indexed column and the row is rewritten on its page (docs/decisions,
# 27). The rows of the running quarter are made from what is there.
STANDINGS = """
CREATE TABLE quarter_sums (
    account_no text COLLATE "C" NOT NULL,
    quarter date NOT NULL,
    sum_fen bigint NOT NULL,
    branch_code text COLLATE "C",
    opened_on date,
    magnitude smallint NOT NULL GENERATED ALWAYS AS (
        (CASE WHEN sum_fen > 0 THEN floor(3 * ln(sum_fen::double precision)) ELSE -1 END)::smallint) STORED,
    PRIMARY KEY (account_no, quarter)
) WITH (fillfactor = 70);
CREATE INDEX quarter_sums_ranked ON quarter_sums (branch_code, quarter, magnitude);
INSERT INTO quarter_sums (account_no, quarter, sum_fen, branch_code, opened_on)
SELECT t.account_no, date_trunc('quarter', t.month::timestamp)::date, sum(t.amount_fen), a.branch_code, a.opened_on
FROM month_totals t LEFT JOIN accounts a ON a.account_no = t.account_no
WHERE t.month >= date_trunc('quarter', coalesce(
    (SELECT max(month) + INTERVAL '1 month' FROM month_closes), business_now() AT TIME ZONE INTERVAL '8 hours'))
GROUP BY 1, 2, a.branch_code, a.opened_on
"""

# What pace is learnt from and held against. A branch's season is relative weights, no amounts.
SEASONS = """
CREATE TABLE branch_paces (
    unit_code text COLLATE "C" NOT NULL,
    day date NOT NULL,
    to_date_fen bigint NOT NULL,
    PRIMARY KEY (unit_code, day)
);
CREATE TABLE branch_seasons (
    month date NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    season jsonb NOT NULL,
    PRIMARY KEY (month, unit_code)
);
CREATE TABLE month_paces (
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    day_7_fen bigint,
    day_14_fen bigint,
    day_21_fen bigint,
    PRIMARY KEY (account_no, month)
);
CREATE TABLE month_baselines (
    month date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    expected_fen bigint NOT NULL,
    expected_charges integer NOT NULL,
    previous_fen bigint NOT NULL,
    leads double precision[] NOT NULL,
    basis text NOT NULL CHECK (basis IN ('own', 'branch', 'calendar')),
    PRIMARY KEY (month, account_no)
)
"""

RADAR = """
CREATE TABLE radar_alerts (
    alert_id uuid PRIMARY KEY,
    rule text NOT NULL CHECK (rule IN ('season', 'flat')),
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('fall_over_half', 'zero_month')),
    state text NOT NULL CHECK (state IN ('open', 'cleared')),
    raised_on date NOT NULL,
    raised_at timestamptz NOT NULL,
    cleared_at timestamptz,
    judged_at timestamptz NOT NULL,
    previous_fen bigint NOT NULL,
    to_date_fen bigint NOT NULL,
    expected_fen bigint NOT NULL,
    expected_to_date_fen bigint NOT NULL,
    projected_fen bigint NOT NULL,
    clear_from_fen bigint NOT NULL,
    season_explained boolean NOT NULL,
    basis text NOT NULL,
    policy_version text NOT NULL,
    branch_code text COLLATE "C",
    district_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    UNIQUE (month, account_no, rule)
);
CREATE INDEX radar_alerts_of_unit ON radar_alerts (unit_code, month, account_no)
"""

# How many accounts were held against their pace, for the figures of a radar's worth.
JUDGED = """
CREATE TABLE radar_months (
    month date NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    judged bigint NOT NULL,
    PRIMARY KEY (month, unit_code)
)
"""

# The season and the causes of a movement. The BRIN index lets the search for causes read two months of the ledger, not all.
CAUSES = """
CREATE TABLE movement_readings (
    movement_id uuid PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    expected_fen bigint NOT NULL,
    season_explained boolean NOT NULL,
    basis text NOT NULL,
    read_at timestamptz NOT NULL
);
CREATE TABLE movement_causes (
    cause_id uuid PRIMARY KEY,
    movement_id uuid NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    cause text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('asked', 'inferred')),
    evidence jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('proposed', 'confirmed', 'refuted')),
    found_at timestamptz NOT NULL,
    judged_at timestamptz,
    judged_by text,
    UNIQUE (movement_id, origin, cause)
);
CREATE INDEX movement_causes_found ON movement_causes (month, cause);
CREATE INDEX charges_of_months ON charges USING brin (month) WITH (pages_per_range = 32, autosummarize = on)
"""

CONCENTRATIONS = """
CREATE TABLE concentrations (
    month date NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('branch', 'district', 'hq')),
    accounts bigint NOT NULL,
    freight_fen bigint NOT NULL,
    top_1_fen bigint NOT NULL,
    top_3_fen bigint NOT NULL,
    top_10_fen bigint NOT NULL,
    core_accounts bigint NOT NULL,
    PRIMARY KEY (month, unit_code)
)
"""


def upgrade() -> None:
    """Create the tables of the room, and the one function that counts accounts which the caller may not see."""
    for script in (STANDINGS, SEASONS, RADAR, JUDGED, CAUSES, CONCENTRATIONS):
        for statement in script.split(";\n"):
            op.execute(statement)
    for table in ("quarter_sums", "month_paces", "month_baselines", "radar_alerts", "movement_readings", "movement_causes"):
        revisions.scope_by_account(op, "tiering", table)
    for table in ("branch_paces", "radar_months", "concentrations"):
        revisions.scope_by_unit(op, "tiering", table)
    revisions.scope_open(op, "tiering", "branch_seasons")
    function = (Path(__file__).parents[1] / "live_standing.sql").read_text(encoding="utf-8")
    op.execute(function.replace(":=", r"\:="))
    signature = "live_standing(text, date, date, integer, integer, bigint)"
    op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO tiering_web, tiering_worker")
    revisions.grant(op, "tiering")
