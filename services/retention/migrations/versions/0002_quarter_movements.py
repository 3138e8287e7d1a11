"""Tasks of quarterly movements, who helps with a task, and the delegations that were asked for."""

from alembic import op

from shared.kernel import revisions as kernel

revision = "0002"
down_revision = "0001"

TASKS = """
ALTER TABLE tasks
    DROP CONSTRAINT tasks_kind_check,
    DROP CONSTRAINT tasks_role_check,
    ADD CONSTRAINT tasks_kind_check CHECK (kind IN ('movement', 'quarter_movement')),
    ADD COLUMN quarter date,
    ADD COLUMN in_person boolean NOT NULL DEFAULT false,
    ADD COLUMN priority boolean NOT NULL DEFAULT false,
    ADD COLUMN assist jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN delegated_to text"""
DELEGATIONS = """
CREATE TABLE delegations (
    delegation_id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES tasks,
    number smallint NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    asked_by text NOT NULL,
    delegate_to text NOT NULL,
    breach boolean NOT NULL,
    asked_at timestamptz NOT NULL,
    UNIQUE (task_id, number)
)"""


def upgrade() -> None:
    """Widen the tasks, and add the log of delegations."""
    op.execute(TASKS)
    op.execute("UPDATE tasks SET in_person = true WHERE role = 'branch_manager'")
    op.execute(DELEGATIONS)
    op.execute("CREATE INDEX delegations_of_unit ON delegations (unit_code, asked_at, delegation_id)")
    kernel.scope_by_unit(op, "retention", "delegations")
    kernel.grant(op, "retention")
