"""Reports on a clock: calendars, snapshots, signatures, rectification."""

from alembic import op

from shared.kernel import revisions

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REPORTS = """
CREATE TABLE reports (
    report_id uuid PRIMARY KEY,
    report_type text NOT NULL,
    title text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    level text NOT NULL,
    period_kind text NOT NULL CHECK (period_kind IN ('month', 'quarter')),
    period date NOT NULL,
    period_text text NOT NULL,
    due_on date NOT NULL,
    due_at timestamptz NOT NULL,
    rest_day boolean NOT NULL,
    policy_version text NOT NULL,
    visible_to text NOT NULL CHECK (visible_to IN ('addressees', 'all')),
    recipients jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'frozen', 'signed')),
    late boolean NOT NULL,
    created_at timestamptz NOT NULL,
    snapshot_no integer NOT NULL,
    frozen_at timestamptz,
    signed_at timestamptz,
    signed_by text,
    signed_role text,
    UNIQUE (report_type, unit_code, period_kind, period)
);
CREATE INDEX reports_of_unit ON reports (unit_code, due_on, report_id);
CREATE INDEX reports_waiting ON reports (due_on) WHERE state = 'open' OR NOT late;
CREATE TABLE report_snapshots (
    snapshot_id uuid PRIMARY KEY,
    report_id uuid NOT NULL REFERENCES reports,
    number integer NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    published boolean NOT NULL,
    reason text NOT NULL,
    frozen_at timestamptz NOT NULL,
    frozen_by text,
    restated_through bigint NOT NULL DEFAULT 0,
    digest text NOT NULL,
    content jsonb NOT NULL,
    UNIQUE (report_id, number)
);
CREATE TABLE report_notes (
    report_id uuid NOT NULL REFERENCES reports,
    number integer NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('advice', 'quality')),
    role text,
    of_unit text COLLATE "C",
    grade text,
    text text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (report_id, number)
)
"""

RECTIFICATIONS = """
CREATE TABLE rectifications (
    rectification_id uuid PRIMARY KEY,
    report_id uuid NOT NULL REFERENCES reports,
    unit_code text COLLATE "C" NOT NULL,
    role text NOT NULL,
    weakness text NOT NULL,
    measure text NOT NULL,
    due_on date NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'fixed', 'verified')),
    rounds integer NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamptz NOT NULL,
    fixed_by text,
    fixed_at timestamptz,
    fixed_note text,
    verified_by text,
    verified_at timestamptz,
    verified_note text
);
CREATE INDEX rectifications_of_unit ON rectifications (unit_code, due_on, rectification_id)
"""

EXTRACTS = """
CREATE TABLE extracts (
    extract_id uuid PRIMARY KEY,
    unit_code text COLLATE "C" NOT NULL,
    month date NOT NULL,
    extracted_at timestamptz NOT NULL,
    recipients jsonb NOT NULL,
    digest text NOT NULL,
    content jsonb NOT NULL,
    UNIQUE (unit_code, month)
);
CREATE TABLE distribution_lists (
    unit_code text COLLATE "C" PRIMARY KEY,
    recipients jsonb NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    """Create the tables of the room."""
    for script in (REPORTS, RECTIFICATIONS, EXTRACTS):
        for statement in script.split(";\n"):
            op.execute(statement)
    # A signed report for the whole network is read by every branch.
    revisions.scope_by_unit(op, "tiering", "reports", also="(visible_to = 'all' AND state = 'signed')")
    revisions.scope_by_unit(op, "tiering", "report_snapshots", also="published")
    for table in ("report_notes", "rectifications", "extracts", "distribution_lists"):
        revisions.scope_by_unit(op, "tiering", table)
    revisions.grant(op, "tiering")
