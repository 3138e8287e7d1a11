"""The page of an account is put together by the service: the database hands over the row."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the function that put the page together."""
    op.execute("DROP FUNCTION read_account_360(text, text, text, text)")
