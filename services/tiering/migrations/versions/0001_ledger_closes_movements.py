"""The freight ledger, the closes of months with their decisions, and the movements."""

from alembic import op

from shared.kernel import revisions

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POLICIES = """
CREATE TABLE policies (
    policy_version text PRIMARY KEY,
    effective_from date NOT NULL UNIQUE,
    vip_top_n integer NOT NULL CHECK (vip_top_n >= 0),
    key_top_n integer NOT NULL CHECK (key_top_n >= 0),
    diamond_from_fen bigint NOT NULL,
    gold_from_fen bigint NOT NULL CHECK (gold_from_fen >= 0),
    fall_over_percent integer NOT NULL CHECK (fall_over_percent BETWEEN 0 AND 100),
    zero_months_raised integer NOT NULL CHECK (zero_months_raised >= 0),
    CONSTRAINT policies_grades_ascend CHECK (diamond_from_fen >= gold_from_fen)
)
"""

DEFAULT_POLICY = """
INSERT INTO policies VALUES ('2008-new', '2000-01-01', 10, 12, 1000000, 200000, 50, 3)
"""

# No index but the keys: each one more is paid for by every charge. The standing version of a charge is one whole row, and only
# what it replaced goes elsewhere: a second row for every charge was measured to cost a third of the ingest. The fill factors
# leave room on the page for an update in place; the BRIN index costs little and lets a close read only the newest months of a
# long ledger.
CHARGE_COLUMNS = """
    charge_no text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    waybill_no text COLLATE "C" NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    amount_fen bigint NOT NULL,
    charged_at timestamptz NOT NULL,
    month date NOT NULL,
    product text COLLATE "C",
    weight_grams bigint,"""
LEDGER = f"""
CREATE TABLE charges ({CHARGE_COLUMNS}
    PRIMARY KEY (charge_no)
) WITH (fillfactor = 95);
CREATE TABLE replaced_charges ({CHARGE_COLUMNS}
    PRIMARY KEY (charge_no, version)
);
CREATE VIEW charge_versions WITH (security_invoker = true) AS
SELECT * FROM charges UNION ALL SELECT * FROM replaced_charges;
CREATE TABLE month_totals (
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    amount_fen bigint NOT NULL,
    charges bigint NOT NULL,
    PRIMARY KEY (account_no, month)
) WITH (fillfactor = 70);
CREATE INDEX month_totals_of_months ON month_totals USING brin (month) WITH (pages_per_range = 16, autosummarize = on);
CREATE TABLE dirty_marks (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL
)
"""

CLOSES = """
CREATE TABLE month_closes (
    month date PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('closing', 'closed')),
    closed_at timestamptz,
    policy_version text REFERENCES policies,
    accounts bigint NOT NULL DEFAULT 0
);
CREATE TABLE decisions (
    decision_id uuid NOT NULL UNIQUE,
    month date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    policy_version text NOT NULL,
    decided_at timestamptz NOT NULL,
    branch_code text COLLATE "C",
    district_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL,
    opened_on date NOT NULL,
    amount_fen bigint NOT NULL,
    previous_fen bigint NOT NULL,
    before_previous_fen bigint NOT NULL,
    sum_fen bigint NOT NULL,
    zero_months integer,
    grade text NOT NULL,
    grade_since timestamptz NOT NULL,
    quarter_fen bigint,
    service_tier text,
    rank integer,
    tier_since timestamptz,
    vip_top_n integer NOT NULL,
    key_top_n integer NOT NULL,
    diamond_from_fen bigint NOT NULL,
    gold_from_fen bigint NOT NULL,
    PRIMARY KEY (month, account_no)
);
CREATE INDEX decisions_of_unit ON decisions (unit_code, month, account_no);
CREATE INDEX decisions_ranked ON decisions (month, rank, branch_code) WHERE rank IS NOT NULL
"""

MOVEMENTS = """
CREATE TABLE movements (
    movement_id uuid PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    revision integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('fall_over_half', 'zero_month')),
    zero_months integer,
    previous_fen bigint NOT NULL,
    current_fen bigint NOT NULL,
    decided_previous_fen bigint NOT NULL,
    decided_current_fen bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'withdrawn')),
    withdrawn_reason text CHECK (withdrawn_reason IN ('restated', 'no_longer_true')),
    detected_at timestamptz NOT NULL,
    judged_at timestamptz NOT NULL,
    decision_id uuid NOT NULL UNIQUE,
    policy_version text NOT NULL,
    service_tier text NOT NULL,
    branch_code text COLLATE "C",
    district_code text COLLATE "C",
    outlet_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    UNIQUE (account_no, month, revision)
);
CREATE UNIQUE INDEX movements_open ON movements (account_no, month) WHERE state = 'open';
CREATE INDEX movements_of_unit ON movements (unit_code, month)
"""


def upgrade() -> None:
    """Create the tables of the service."""
    revisions.create(op, service="tiering")
    for script in (POLICIES, DEFAULT_POLICY, LEDGER, CLOSES, MOVEMENTS):
        for statement in script.split(";\n"):
            op.execute(statement)
    for table in ("policies", "month_closes"):
        revisions.scope_open(op, "tiering", table)
    for table in ("charges", "replaced_charges", "month_totals", "dirty_marks", "decisions", "movements"):
        revisions.scope_by_account(op, "tiering", table)
    revisions.grant(op, "tiering")
