"""A parcel keeps its line on the page ready: made once per scan, not with every scan of the account's other parcels."""

from alembic import op

from shared.kernel import revisions

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# IMMUTABLE in effect: texts and an instant in fixed forms, whatever the session's settings. A function in SQL that claims this is
# not inlined, and three times as slow as one in PL/pgSQL.
ITEM = """
CREATE FUNCTION parcel_item(waybill_no text, account_no text, status text, at timestamptz) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN json_build_object(
        'waybill_no', waybill_no, 'account_no', account_no, 'status', status, 'occurred_at', instant_text(at))::text;
END $$"""

COLUMN = """
ALTER TABLE overview_parcels
ADD COLUMN item text NOT NULL GENERATED ALWAYS AS (parcel_item(waybill_no, account_no, status, occurred_at)) STORED"""


def upgrade() -> None:
    """Add the line of a parcel."""
    op.execute(ITEM)
    op.execute(COLUMN)
    revisions.grant(op, "customer")
