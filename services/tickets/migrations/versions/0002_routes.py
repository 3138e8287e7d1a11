"""Scans keep where a parcel comes from and goes to, and months whose routes were counted are known."""

from alembic import op

from shared.kernel import revisions

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    'ALTER TABLE scans ADD COLUMN origin_region text COLLATE "C", ADD COLUMN destination_region text COLLATE "C"',
    "CREATE INDEX scans_by_time ON scans USING brin (occurred_at)",
    "CREATE TABLE route_months (month date PRIMARY KEY, counted_at timestamptz NOT NULL)",
)


def upgrade() -> None:
    """Add the columns, the index and the table."""
    for statement in STATEMENTS:
        op.execute(statement)
    revisions.scope_open(op, "tickets", "route_months")
    revisions.grant(op, "tickets")
