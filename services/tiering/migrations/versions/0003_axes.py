"""Bands, entitlements, milestones, prospects, digests, restatements, quarterly movements, responsibility."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the room."""
