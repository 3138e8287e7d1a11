"""A decision says whether it changed anything: a close tells what changed without comparing it with two closes before again."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark; what was decided before has been told."""
    op.execute("ALTER TABLE decisions ADD COLUMN changed boolean NOT NULL DEFAULT false")
