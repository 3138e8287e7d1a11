"""The report designer: definitions that people save and share, and exports."""

from alembic import op

from shared.kernel import revisions

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FORMATS = "CHECK (format IN ('csv', 'xlsx', 'pdf', 'html', 'json'))"
DEFINITIONS = f"""
CREATE TABLE report_definitions (
    definition_id uuid PRIMARY KEY,
    version integer NOT NULL,
    name text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    owner text NOT NULL,
    shared text NOT NULL CHECK (shared IN ('private', 'unit', 'subtree')),
    schedule text CHECK (schedule IN ('weekly', 'monthly', 'quarterly')),
    format text NOT NULL {FORMATS},
    content jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'archived')),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    scheduled_through date
);
CREATE INDEX report_definitions_of_unit ON report_definitions (unit_code, definition_id);
CREATE INDEX report_definitions_scheduled ON report_definitions (schedule) WHERE schedule IS NOT NULL
"""

EXPORTS = f"""
CREATE TABLE exports (
    export_id uuid PRIMARY KEY,
    definition_id uuid NOT NULL REFERENCES report_definitions,
    definition_version integer NOT NULL,
    name text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    about_unit text COLLATE "C" NOT NULL,
    requested_by text NOT NULL,
    content jsonb NOT NULL,
    format text NOT NULL {FORMATS},
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'expired')),
    rows_done bigint NOT NULL,
    rows_expected bigint,
    requested_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    lease_until timestamptz,
    attempts integer NOT NULL,
    size bigint,
    sha256 text,
    problem text
);
CREATE INDEX exports_of_unit ON exports (unit_code, requested_at, export_id);
CREATE INDEX exports_waiting ON exports (requested_at) WHERE state IN ('waiting', 'running');
CREATE INDEX exports_kept ON exports (expires_at) WHERE state = 'done';
CREATE TABLE export_parts (
    export_id uuid NOT NULL REFERENCES exports ON DELETE CASCADE,
    part integer NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (export_id, part)
)
"""


def upgrade() -> None:
    """Create the tables of the room.

    A definition holds what is asked, never what is answered, and is shared downwards, too: who sees it is decided by
    `designer.saved`. Exports hold answers: `unit_code` is the unit in whose scope they were made.
    """
    for script in (DEFINITIONS, EXPORTS):
        for statement in script.split(";\n"):
            op.execute(statement)
    revisions.scope_open(op, "tiering", "report_definitions")
    for table in ("exports", "export_parts"):
        revisions.scope_by_unit(op, "tiering", table)
    revisions.grant(op, "tiering")
