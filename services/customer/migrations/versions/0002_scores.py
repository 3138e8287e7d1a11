"""Scores on the page of an account."""

from alembic import op

from shared.kernel import revisions

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE overview_scores (
    account_no text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    scores text NOT NULL
)"""

# A shipper reads its own page, but not what the carrier thinks of it: to it the section is empty.
READ = """
CREATE OR REPLACE FUNCTION read_account_360(asked text, caller_unit text, caller_account text, caller_everything text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p account_360%ROWTYPE;
    running date;
    closed date;
    closed_at timestamptz;
    quarter_end date;
    opened text;
    nothing text;
    unscored text;
    number integer;
    name text;
    freight text := '';
BEGIN
    PERFORM set_config('crm.unit', caller_unit, true), set_config('crm.account', caller_account, true),
            set_config('crm.everything', caller_everything, true);
    SELECT * INTO p FROM account_360 WHERE account_no = asked;
    IF p.head IS NULL THEN
        RETURN NULL;
    END IF;
    -- business_now() written out: a function with a query in it is not inlined, and this is the hottest read of all.
    running := coalesce((SELECT CASE WHEN driven THEN at ELSE at + (clock_timestamp() - wall_at) END FROM business_clock),
                        clock_timestamp()) AT TIME ZONE INTERVAL '8 hours';
    SELECT c.month, c.closed_at INTO closed, closed_at FROM closed_months c ORDER BY c.month DESC LIMIT 1;
    IF closed + INTERVAL '1 month' > p.opened_on THEN
        p.tiers_as_of := greatest(p.tiers_as_of, closed_at);
        IF p.month < closed THEN
            name := to_char(closed, 'YYYY-MM');
            p.contribution_grade := p.contribution_grade || jsonb_build_object(
                'month', name, 'decision_id', natural_id('decision/' || asked || '/' || name));
        END IF;
        quarter_end := date_trunc('quarter', closed + INTERVAL '1 month') - INTERVAL '1 month';
        IF p.quarter_end < quarter_end AND quarter_end + INTERVAL '1 month' > p.opened_on THEN
            p.service_tier := p.service_tier || jsonb_build_object(
                'quarter', to_char(quarter_end, 'YYYY"-Q"Q'),
                'decision_id', natural_id('decision/' || asked || '/' || to_char(quarter_end, 'YYYY-MM')));
        END IF;
    END IF;
    number := extract(year FROM running) * 12 + extract(month FROM running) - 1;
    FOR m IN number - 13 .. number LOOP
        name := m / 12 || CASE WHEN m % 12 < 9 THEN '-0' ELSE '-' END || m % 12 + 1;
        freight := freight || ',{"month":"' || name || '","amount_fen":' || coalesce(p.months ->> name, '0') || '}';
    END LOOP;
    opened := p.opened_on || 'T00:00:00+08:00';
    nothing := '{"as_of":"' || opened || '","items":[]}';
    unscored := '{"as_of":"' || opened || '","month":null,"rfm":null,"clv_fen":null,"churn_risk":null,"forecast":null}';
    RETURN p.head
        || ',"tiers":{"as_of":"' || coalesce(instant_text(p.tiers_as_of), opened)
        || '","service_tier":' || coalesce(p.service_tier::text, 'null')
        || ',"contribution_grade":' || coalesce(p.contribution_grade::text, 'null')
        || '},"freight":{"as_of":"' || coalesce(instant_text(p.freight_as_of), opened)
        || '","months":[' || substr(freight, 2)
        || ']},"scores":' || CASE WHEN caller_account = '' THEN coalesce(p.scores, unscored) ELSE unscored END
        || ',"movements":' || coalesce(p.movements, nothing)
        || ',"tasks":' || coalesce(p.tasks, nothing)
        || ',"tickets":' || coalesce(p.tickets, nothing)
        || ',"parcels":' || coalesce(p.parcels, nothing)
        || '}';
END $$"""


def upgrade() -> None:
    """Keep the scores, show them, and read them with the page."""
    op.execute(TABLE)
    op.execute("ALTER TABLE account_360 ADD COLUMN scores text")
    op.get_bind().exec_driver_sql(READ)
    revisions.scope_by_account(op, "customer", "overview_scores")
    revisions.grant(op, "customer")
