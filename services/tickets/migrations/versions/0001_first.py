"""The first tables: scans, parcels, tickets."""

from alembic import op

from shared.kernel import revisions

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCANS = """
CREATE TABLE scans (
    waybill_no text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    step smallint,
    promised_at timestamptz,
    exception_code text COLLATE "C",
    account_no text COLLATE "C",
    branch_code text COLLATE "C",
    PRIMARY KEY (waybill_no, status, occurred_at)
)"""

# A parcel is rendered anew with every scan: room in the page keeps most of these updates off the indexes.
PARCELS = """
CREATE TABLE parcels (
    waybill_no text COLLATE "C" PRIMARY KEY,
    account_no text COLLATE "C",
    branch_code text COLLATE "C",
    status text COLLATE "C",
    status_at timestamptz,
    promised_at timestamptz,
    delivered_at timestamptz,
    late_at timestamptz,
    next_due_at timestamptz,
    statuses text[] COLLATE "C" NOT NULL DEFAULT '{}',
    instants timestamptz[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70)"""

TICKETS = """
CREATE TABLE tickets (
    ticket_id uuid PRIMARY KEY,
    class text NOT NULL
        CONSTRAINT tickets_class CHECK (class IN ('complaint', 'suggestion', 'enquiry', 'problem_parcel', 'claim', 'quote')),
    cause_hint text
        CONSTRAINT tickets_cause_hint CHECK (cause_hint IN ('late', 'damaged', 'lost', 'refused', 'delayed')),
    waybill_no text COLLATE "C",
    account_no text COLLATE "C",
    branch_code text COLLATE "C",
    priority text NOT NULL CONSTRAINT tickets_priority CHECK (priority IN ('P1', 'P2', 'P3', 'P4')),
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL
        CONSTRAINT tickets_state CHECK (state IN ('open', 'assigned', 'resolved', 'closed', 'refuted')),
    assignee text,
    cause_code text,
    delivered_at timestamptz,
    text text,
    note text,
    opened_by text,
    changed_by text,
    changed_at timestamptz NOT NULL,
    version integer NOT NULL
)"""

INDEXES = (
    "CREATE INDEX parcels_next_due ON parcels (next_due_at) WHERE next_due_at IS NOT NULL",
    "CREATE UNIQUE INDEX tickets_of_parcel ON tickets (waybill_no, cause_hint) WHERE cause_hint IS NOT NULL",
    "CREATE INDEX tickets_by_due ON tickets (due_at, ticket_id)",
    "CREATE INDEX tickets_of_account ON tickets (account_no, due_at, ticket_id)",
)


def upgrade() -> None:
    """Create the kernel's tables and the service's own."""
    revisions.create(op, "tickets")
    for statement in (SCANS, PARCELS, TICKETS, *INDEXES):
        op.execute(statement)
    for table in ("scans", "parcels", "tickets"):
        revisions.scope_by_account(op, "tickets", table)
    revisions.grant(op, "tickets")
