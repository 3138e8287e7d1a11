"""Alerts that stand are judged anew every morning: their rows get room to change in place, so that no index is touched."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leave half of each page free; rows written before are moved by their next change."""
    op.execute("ALTER TABLE radar_alerts SET (fillfactor = 50)")
