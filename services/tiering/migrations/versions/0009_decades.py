"""Accounts are ranked by how many digits their sum has: a step for each factor ten, so that few charges touch the index."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MAGNITUDE = "(CASE WHEN sum_fen > 0 THEN length(sum_fen::text) ELSE -1 END)::smallint"


def upgrade() -> None:
    """Make the scale coarser, and the function that reads by it."""
    op.execute(f"ALTER TABLE quarter_sums ALTER COLUMN magnitude SET EXPRESSION AS ({MAGNITUDE})")
    op.execute((Path(__file__).parents[1] / "live_standing.sql").read_text(encoding="utf-8").replace(":=", r"\:="))
