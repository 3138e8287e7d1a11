"""What other services tell: tasks, contacts, tickets."""

from alembic import op

from shared.kernel import revisions

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TASKS = """
CREATE TABLE task_facts (
    task_id uuid PRIMARY KEY,
    account_no text COLLATE "C" NOT NULL,
    role text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    branch_code text COLLATE "C",
    outlet_code text COLLATE "C",
    kind text NOT NULL,
    state text NOT NULL,
    movement_id uuid,
    service_tier text NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    done_at timestamptz,
    overdue_at timestamptz,
    sequence bigint NOT NULL
);
CREATE INDEX task_facts_of_account ON task_facts (account_no, opened_at);
CREATE INDEX task_facts_of_branch ON task_facts (branch_code, opened_at)
"""

CONTACTS = """
CREATE TABLE contact_facts (
    contact_id uuid PRIMARY KEY,
    task_id uuid NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    channel text NOT NULL,
    contacted_at timestamptz NOT NULL,
    entered_at timestamptz NOT NULL,
    late boolean NOT NULL,
    blocks_filled integer NOT NULL,
    blocks text[] COLLATE "C" NOT NULL,
    actor_role text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    staff_id uuid,
    sequence bigint NOT NULL
);
CREATE INDEX contact_facts_of_account ON contact_facts (account_no, contacted_at);
CREATE INDEX contact_facts_of_task ON contact_facts (task_id)
"""

TICKETS = """
CREATE TABLE ticket_facts (
    ticket_id uuid PRIMARY KEY,
    account_no text COLLATE "C",
    branch_code text COLLATE "C",
    ticket_class text NOT NULL,
    cause_hint text,
    cause_code text,
    priority text NOT NULL,
    state text NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    resolved_at timestamptz,
    sequence bigint NOT NULL
);
CREATE INDEX ticket_facts_of_account ON ticket_facts (account_no, opened_at);
CREATE INDEX ticket_facts_opened ON ticket_facts USING brin (opened_at)
"""


def upgrade() -> None:
    """Create the tables of the room."""
    for script in (TASKS, CONTACTS, TICKETS):
        for statement in script.split(";\n"):
            op.execute(statement)
    for table in ("task_facts", "contact_facts", "ticket_facts"):
        revisions.scope_by_account(op, "tiering", table)
    revisions.grant(op, "tiering")
