"""A trial keeps no ids and digests, so it needs no functions that answer constants in their place."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remove the schema that stood first on a trial's path."""
    op.execute("DROP SCHEMA trial CASCADE")
