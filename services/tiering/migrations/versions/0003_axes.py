"""Bands, entitlements, milestones, digests, restatements, quarterly movements, and who answers for a movement."""

from alembic import op

from shared.kernel import revisions

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What only a quarter's close decides is null within a quarter. A decision taken before there were digests has none.
DECISIONS = """
ALTER TABLE decisions
    ADD COLUMN previous_quarter_fen bigint,
    ADD COLUMN band text,
    ADD COLUMN band_place integer,
    ADD COLUMN band_of integer,
    ADD COLUMN focus_general boolean,
    ADD COLUMN non_insured boolean,
    ADD COLUMN green_channel boolean,
    ADD COLUMN special_claims boolean,
    ADD COLUMN points_plan text,
    ADD COLUMN a_percent integer,
    ADD COLUMN b_percent integer,
    ADD COLUMN focus_from_fen bigint,
    ADD COLUMN claims_from_fen bigint,
    ADD COLUMN digest bytea
"""

MOVEMENTS = """
ALTER TABLE movements
    ADD COLUMN priority boolean NOT NULL DEFAULT false,
    ADD COLUMN responsible_role text,
    ADD COLUMN responsible_unit text COLLATE "C",
    ADD COLUMN in_person boolean NOT NULL DEFAULT false,
    ADD COLUMN assist jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN digest bytea
"""

QUARTER_MOVEMENTS = """
CREATE TABLE quarter_movements (
    movement_id uuid PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    quarter date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('riser', 'decliner', 'rise', 'fall', 'resumed')),
    place integer,
    previous_fen bigint NOT NULL,
    current_fen bigint NOT NULL,
    priority boolean NOT NULL,
    state text NOT NULL CHECK (state = 'open'),
    detected_at timestamptz NOT NULL,
    decision_id uuid NOT NULL UNIQUE,
    policy_version text NOT NULL,
    service_tier text NOT NULL,
    branch_code text COLLATE "C" NOT NULL,
    district_code text COLLATE "C",
    outlet_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL,
    responsible_role text NOT NULL,
    responsible_unit text COLLATE "C" NOT NULL,
    in_person boolean NOT NULL,
    assist jsonb NOT NULL,
    riser_n integer NOT NULL,
    decliner_n integer NOT NULL,
    rise_percent integer NOT NULL,
    fall_percent integer NOT NULL,
    digest bytea NOT NULL,
    UNIQUE (account_no, quarter)
);
CREATE INDEX quarter_movements_of_unit ON quarter_movements (unit_code, quarter, account_no);
CREATE INDEX quarter_movements_of_branch ON quarter_movements (branch_code, quarter)
"""

MILESTONES = """
CREATE TABLE milestones (
    account_no text COLLATE "C" PRIMARY KEY,
    month date NOT NULL,
    amount_fen bigint NOT NULL,
    milestone_from_fen bigint NOT NULL,
    reached_at timestamptz NOT NULL,
    policy_version text NOT NULL,
    branch_code text COLLATE "C",
    district_code text COLLATE "C",
    unit_code text COLLATE "C" NOT NULL
);
CREATE INDEX milestones_of_run ON milestones (reached_at)
"""

RESTATEMENTS = """
CREATE TABLE restatements (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    charge_no text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    change_fen bigint NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX restatements_of_account ON restatements (account_no, month);
CREATE INDEX restatements_by_time ON restatements (at)
"""


def upgrade() -> None:
    """Create the tables of the room."""
    for script in (DECISIONS, MOVEMENTS, QUARTER_MOVEMENTS, MILESTONES, RESTATEMENTS):
        for statement in script.split(";\n"):
            op.execute(statement)
    for table in ("quarter_movements", "milestones", "restatements"):
        revisions.scope_by_account(op, "tiering", table)
    revisions.grant(op, "tiering")
