"""The first tables: names of units, settlement accounts, and the customer 360."""

from alembic import op

from shared.kernel import revisions

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORGANISATION = """
CREATE TABLE unit_names (
    unit_code text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    recorded_by text NOT NULL
)"""

ACCOUNTS = (
    """
CREATE TABLE settlement_accounts (
    account_no text COLLATE "C" PRIMARY KEY,
    name_sealed bytea,
    status text NOT NULL CONSTRAINT settlement_accounts_status CHECK (status IN ('open', 'closed')),
    provisional boolean NOT NULL,
    opened_on date NOT NULL,
    first_parcel_at timestamptz,
    first_waybill_no text COLLATE "C",
    first_branch_code text COLLATE "C",
    billing_cycle text,
    card_no text,
    credit_limit_fen bigint CONSTRAINT settlement_accounts_credit_limit_fen CHECK (credit_limit_fen >= 0),
    version integer NOT NULL,
    recorded_by text NOT NULL
)""",
    """
CREATE TABLE account_memberships (
    account_no text COLLATE "C" NOT NULL,
    from_on date NOT NULL,
    to_on date,
    unit_code text COLLATE "C",
    branch_code text COLLATE "C",
    outlet_code text COLLATE "C",
    PRIMARY KEY (account_no, from_on)
)""",
)

OVERVIEW = (
    """
CREATE TABLE overview_charges (
    charge_no text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    amount_fen bigint NOT NULL
)""",
    """
CREATE TABLE overview_months (
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    amount_fen bigint NOT NULL,
    as_of timestamptz NOT NULL,
    PRIMARY KEY (account_no, month)
) WITH (fillfactor = 80)""",
    """
CREATE TABLE overview_tiers (
    account_no text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    service_tier jsonb,
    contribution_grade jsonb,
    quarter_end date,
    month date,
    as_of timestamptz NOT NULL
)""",
    "CREATE TABLE closed_months (month date PRIMARY KEY, closed_at timestamptz NOT NULL)",
    """
CREATE TABLE overview_items (
    section text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    account_no text COLLATE "C",
    shown boolean NOT NULL,
    sorted_at timestamptz NOT NULL,
    item text NOT NULL,
    as_of timestamptz NOT NULL,
    PRIMARY KEY (section, item_id)
)""",
    "CREATE INDEX overview_items_of_account ON overview_items (account_no, section)",
    """
CREATE TABLE overview_parcels (
    waybill_no text COLLATE "C" PRIMARY KEY,
    status text NOT NULL,
    occurred_at timestamptz NOT NULL,
    step smallint NOT NULL,
    account_no text COLLATE "C",
    account_said_at timestamptz,
    account_step smallint,
    as_of timestamptz NOT NULL
)""",
    "CREATE INDEX overview_parcels_of_account ON overview_parcels (account_no, occurred_at DESC, waybill_no)",
    # Twenty parcels are 2-3 kB: kept in the row and as they are, so that a read neither fetches nor unpacks anything.
    """
CREATE TABLE account_360 (
    account_no text COLLATE "C" PRIMARY KEY,
    unit_code text COLLATE "C",
    opened_on date,
    head text,
    service_tier jsonb,
    contribution_grade jsonb,
    quarter_end date,
    month date,
    tiers_as_of timestamptz,
    months jsonb NOT NULL DEFAULT '{}',
    freight_as_of timestamptz,
    movements text,
    tasks text,
    tickets text,
    parcels text
) WITH (toast_tuple_target = 8160, fillfactor = 60)""",
)

FUNCTIONS = (
    # The twin of datetime.isoformat() at +08:00: microseconds only where there are any.
    """
CREATE FUNCTION instant_text(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(at AT TIME ZONE INTERVAL '8 hours',
    CASE WHEN date_trunc('second', at) = at THEN 'YYYY-MM-DD"T"HH24:MI:SS"+08:00"'
         ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"+08:00"' END)""",
)

# The page of an account in one statement, under row-level security: null where the caller may not see the account.
# What depends on the clock is finished here: the running month with the 13 before it, and the axes since the last close.
# A tier or grade without news at the last close was confirmed by it (tiering.month-closed) if the account was open by then.
READ = """
CREATE FUNCTION read_account_360(asked text, caller_unit text, caller_account text, caller_everything text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p account_360%ROWTYPE;
    running date;
    closed date;
    closed_at timestamptz;
    quarter_end date;
    opened text;
    nothing text;
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
    RETURN p.head
        || ',"tiers":{"as_of":"' || coalesce(instant_text(p.tiers_as_of), opened)
        || '","service_tier":' || coalesce(p.service_tier::text, 'null')
        || ',"contribution_grade":' || coalesce(p.contribution_grade::text, 'null')
        || '},"freight":{"as_of":"' || coalesce(instant_text(p.freight_as_of), opened)
        || '","months":[' || substr(freight, 2)
        || ']},"movements":' || coalesce(p.movements, nothing)
        || ',"tasks":' || coalesce(p.tasks, nothing)
        || ',"tickets":' || coalesce(p.tickets, nothing)
        || ',"parcels":' || coalesce(p.parcels, nothing)
        || '}';
END $$"""


def upgrade() -> None:
    """Create the kernel's tables and the service's own."""
    revisions.create(op, "customer")
    for statement in (ORGANISATION, *ACCOUNTS, *OVERVIEW, *FUNCTIONS, READ):
        op.get_bind().exec_driver_sql(statement)
    revisions.scope_by_unit(op, "customer", "unit_names")
    revisions.scope_by_unit(op, "customer", "account_360")
    revisions.scope_open(op, "customer", "closed_months")
    for table in (
        "settlement_accounts",
        "account_memberships",
        "overview_charges",
        "overview_months",
        "overview_tiers",
        "overview_items",
        "overview_parcels",
    ):
        revisions.scope_by_account(op, "customer", table)
    revisions.grant(op, "customer")
