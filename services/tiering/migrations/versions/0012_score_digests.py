"""Scores carry a digest of what they say, and a month's models of what they were."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the digests; what was scored before has none."""
    for table in ("scores", "score_models"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN digest bytea")
