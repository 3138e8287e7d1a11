"""Maintenance tasks of movements, and the contacts made for them."""

from alembic import op

from shared.kernel import revisions as kernel

revision = "0001"
down_revision = None

TASKS = """
CREATE TABLE tasks (
    task_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind = 'movement'),
    account_no text COLLATE "C" NOT NULL,
    role text NOT NULL CHECK (role IN ('district_head', 'branch_manager', 'outlet_staff')),
    unit_code text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'claimed', 'done', 'overdue', 'cancelled')),
    due_at timestamptz NOT NULL,
    movement_id uuid NOT NULL UNIQUE,
    month date NOT NULL,
    movement_kind text NOT NULL,
    opened_at timestamptz NOT NULL,
    overdue_at timestamptz,
    overdue_run timestamptz,
    claimed_by text,
    claimed_at timestamptz,
    done_by text,
    done_at timestamptz,
    cancelled_reason text,
    changed_at timestamptz NOT NULL,
    version integer NOT NULL,
    movement_sequence bigint NOT NULL
)"""
CONTACTS = """
CREATE TABLE contacts (
    contact_id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES tasks,
    number smallint NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    channel text NOT NULL CHECK (channel IN ('visit', 'phone', 'sms', 'email', 'im')),
    contacted_at timestamptz NOT NULL,
    entered_at timestamptz NOT NULL,
    late boolean NOT NULL,
    actor text NOT NULL,
    cause text,
    satisfaction text,
    other_needs text,
    competitor text,
    news_passed_on text,
    UNIQUE (task_id, number)
)"""


def upgrade() -> None:
    """Create the kernel's tables, then retention's own."""
    kernel.create(op, "retention")
    op.execute(TASKS)
    op.execute("CREATE INDEX tasks_by_due ON tasks (due_at, task_id)")
    op.execute("CREATE INDEX tasks_of_unit ON tasks (unit_code, due_at, task_id)")
    op.execute("CREATE INDEX tasks_falling_due ON tasks (due_at) WHERE state IN ('open', 'claimed')")
    op.execute("CREATE INDEX tasks_found_overdue ON tasks (overdue_run) WHERE overdue_run IS NOT NULL")
    op.execute(CONTACTS)
    kernel.scope_by_unit(op, "retention", "tasks")
    kernel.scope_by_unit(op, "retention", "contacts")
    kernel.grant(op, "retention")
