-- What every service's database has. Frozen: later changes come as files of their own.

CREATE FUNCTION natural_id(key text) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN substring(overlay(overlay(encode(sha256(convert_to(key, 'UTF8')), 'hex')
    PLACING '8' FROM 13 FOR 1) PLACING '8' FROM 17 FOR 1) FOR 32)::uuid;

-- Business time. Without the row the real clock counts; while driven it stands at the replay's instant.
CREATE TABLE business_clock (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    at timestamptz NOT NULL,
    wall_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    driven boolean NOT NULL,
    history text
);
CREATE FUNCTION business_now() RETURNS timestamptz LANGUAGE sql VOLATILE
RETURN coalesce(
    (SELECT CASE WHEN driven THEN at ELSE at + (clock_timestamp() - wall_at) END FROM business_clock), clock_timestamp());

-- Events that wait for the relay, or were sent. A bucket's rows become visible in the order of seq.
CREATE TABLE outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(key, 0) & 63)::smallint) STORED,
    topic text NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT business_now(),
    data text NOT NULL CHECK (octet_length(data) <= 262144),
    trace text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (created_at) WHERE sent_at IS NOT NULL;
CREATE TABLE outbox_leases (
    bucket smallint PRIMARY KEY,
    owner text,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO outbox_leases (bucket) SELECT generate_series(0, 63);

-- The fence: the next offset of a partition, moved in the transaction that holds the effects.
CREATE TABLE consumer_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    stopped_reason text,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE parked_events (
    parked_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    headers bytea NOT NULL,
    value bytea,
    timestamp_ms bigint NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'retried', 'discarded')),
    note text,
    resolved_at timestamptz,
    UNIQUE (topic, partition, "offset")
);
CREATE TABLE inbox (
    source text NOT NULL,
    event_id text NOT NULL,
    PRIMARY KEY (source, event_id)
);

-- Which schedule ran for which business instant, and up to which instant all of them did.
CREATE TABLE schedule_runs (
    schedule text NOT NULL,
    instant timestamptz NOT NULL,
    PRIMARY KEY (schedule, instant)
);
CREATE TABLE schedule_state (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    through timestamptz NOT NULL
);

CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    status smallint NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (principal, operation, key)
);

CREATE TABLE working_days (
    day date PRIMARY KEY,
    working boolean NOT NULL,
    provisional boolean NOT NULL
);

-- The directory: where units and accounts stand, kept from customer.events (customer itself writes it directly).
CREATE TABLE units (
    unit_code text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('hq', 'district', 'branch', 'outlet')),
    parent_code text COLLATE "C",
    sequence bigint NOT NULL
);
CREATE TABLE unit_ancestors (
    unit_code text COLLATE "C" NOT NULL,
    ancestor_code text COLLATE "C" NOT NULL,
    depth smallint NOT NULL,
    PRIMARY KEY (unit_code, ancestor_code)
);
CREATE INDEX unit_ancestors_below ON unit_ancestors (ancestor_code, unit_code);
CREATE TABLE accounts (
    account_no text COLLATE "C" PRIMARY KEY,
    unit_code text COLLATE "C" NOT NULL,
    branch_code text COLLATE "C",
    outlet_code text COLLATE "C",
    district_code text COLLATE "C",
    opened_on date NOT NULL,
    status text NOT NULL,
    provisional boolean NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX accounts_of_unit ON accounts (unit_code, account_no);
CREATE TABLE account_branches (
    account_no text COLLATE "C" NOT NULL,
    from_on date NOT NULL,
    branch_code text COLLATE "C",
    outlet_code text COLLATE "C",
    PRIMARY KEY (account_no, from_on)
);

-- The second wall, row-level security, stands in shared/kernel/revisions.py; the settings are those of a transaction
-- (shared/db.py, Scope). SECURITY DEFINER: whether an account exists does not depend on who asks.
CREATE FUNCTION account_is_known(account text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
RETURN EXISTS (SELECT FROM accounts x WHERE x.account_no = account);
