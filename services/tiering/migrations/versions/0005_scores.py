"""Scores and what they are made from."""

from alembic import op

from shared.kernel import revisions

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Both are written once a month for every account that ships, and found by month and account; the fill factor leaves room for the
# jumps of risk, which change a row in place.
INPUTS = """
CREATE TABLE score_inputs (
    month date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    branch_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL,
    first_month date NOT NULL,
    active_months integer NOT NULL,
    recency integer NOT NULL,
    age integer NOT NULL,
    log_gaps_ppm bigint NOT NULL,
    total_fen bigint NOT NULL,
    repeat_fen bigint NOT NULL,
    amount_fen bigint NOT NULL,
    previous_fen bigint NOT NULL,
    before_previous_fen bigint NOT NULL,
    months_12 integer NOT NULL,
    charges_12 bigint NOT NULL,
    amount_12_fen bigint NOT NULL,
    naive_fen bigint NOT NULL,
    level_fen bigint NOT NULL,
    judged integer NOT NULL,
    naive_square double precision NOT NULL,
    level_square double precision NOT NULL,
    PRIMARY KEY (month, account_no)
)
"""

SCORES = """
CREATE TABLE scores (
    month date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    recency_score smallint NOT NULL CHECK (recency_score BETWEEN 1 AND 5),
    frequency_score smallint NOT NULL CHECK (frequency_score BETWEEN 1 AND 5),
    money_score smallint NOT NULL CHECK (money_score BETWEEN 1 AND 5),
    expected_months double precision NOT NULL,
    silence double precision NOT NULL,
    clv_fen bigint NOT NULL,
    rule_risk smallint NOT NULL,
    base_risk smallint NOT NULL,
    jump smallint NOT NULL,
    risk smallint NOT NULL CHECK (risk BETWEEN 0 AND 100),
    at_risk_fen bigint NOT NULL,
    forecast_fen bigint NOT NULL,
    low_fen bigint NOT NULL,
    high_fen bigint NOT NULL,
    by_model boolean NOT NULL,
    PRIMARY KEY (month, account_no)
) WITH (fillfactor = 95);
CREATE INDEX scores_at_risk ON scores (month, at_risk_fen DESC, account_no) WHERE at_risk_fen > 0;
CREATE INDEX scores_jumped ON scores (month, account_no) WHERE jump > 0
"""

MODELS = """
CREATE TABLE score_models (
    month date PRIMARY KEY,
    scored_at timestamptz NOT NULL,
    policy_version text NOT NULL,
    accounts bigint NOT NULL,
    fitted_on date,
    purchase_model text NOT NULL CHECK (purchase_model IN ('average', 'bg_nbd', 'pareto_nbd', 'mbg_nbd', 'mbg_cnbd_k')),
    fallback_reason text,
    purchases jsonb NOT NULL,
    value jsonb NOT NULL,
    churn_method text NOT NULL CHECK (churn_method IN ('rule', 'model')),
    churn jsonb NOT NULL,
    cuts jsonb NOT NULL
);
CREATE TABLE forecast_errors (
    month date NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    accounts bigint NOT NULL,
    actual_fen bigint NOT NULL,
    shown_error_fen bigint NOT NULL,
    naive_error_fen bigint NOT NULL,
    level_error_fen bigint NOT NULL,
    within bigint NOT NULL,
    by_model boolean NOT NULL,
    PRIMARY KEY (month, unit_code)
)
"""

QUARTERS = """
CREATE TABLE evaluations (
    quarter date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    branch_code text COLLATE "C",
    evaluated_at timestamptz NOT NULL,
    quarter_fen bigint NOT NULL,
    previous_fen bigint NOT NULL,
    money smallint NOT NULL,
    late integer NOT NULL,
    damaged integer NOT NULL,
    overdue integer NOT NULL,
    service smallint,
    satisfaction smallint,
    score smallint NOT NULL CHECK (score BETWEEN 0 AND 100),
    PRIMARY KEY (quarter, account_no)
);
CREATE INDEX evaluations_of_unit ON evaluations (unit_code, quarter, account_no);
CREATE TABLE behaviours (
    quarter date NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    charges bigint NOT NULL,
    product text COLLATE "C",
    product_percent smallint,
    special_percent smallint,
    hour_from smallint NOT NULL,
    hour_percent smallint NOT NULL,
    weekday smallint NOT NULL,
    weekday_percent smallint NOT NULL,
    timeliness_percent smallint,
    PRIMARY KEY (quarter, account_no)
)
"""


def upgrade() -> None:
    """Create the tables of the room."""
    for script in (INPUTS, SCORES, MODELS, QUARTERS):
        for statement in script.split(";\n"):
            op.execute(statement)
    revisions.scope_open(op, "tiering", "score_models")
    revisions.scope_by_unit(op, "tiering", "forecast_errors")
    for table in ("score_inputs", "scores", "evaluations", "behaviours"):
        revisions.scope_by_account(op, "tiering", table)
    revisions.grant(op, "tiering")
