"""Why freight moved, as a code that may be told to others."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the code to the contacts; the block of text stays beside it."""
    op.execute("ALTER TABLE contacts ADD COLUMN cause_code text")
