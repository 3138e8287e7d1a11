"""Where the parcels of accounts went, month by month: a lost route may be why freight moved."""

from alembic import op

from shared.kernel import revisions

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE route_facts (
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    parcels integer NOT NULL,
    routes jsonb NOT NULL,
    considered boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_no, month)
)"""


def upgrade() -> None:
    """Create the table."""
    op.execute(TABLE)
    op.execute("CREATE INDEX route_facts_new ON route_facts (month) WHERE NOT considered")
    revisions.scope_by_account(op, "tiering", "route_facts")
    revisions.grant(op, "tiering")
