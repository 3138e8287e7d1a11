"""Reports on a clock: calendars, snapshots, signatures, rectification."""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the room."""
