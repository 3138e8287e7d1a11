"""The kernel's tables as SQLAlchemy sees them; `0001.sql` creates them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

metadata = MetaData()
CODE = Text(collation="C")
INSTANT = DateTime(timezone=True)

business_clock = Table(
    "business_clock",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("at", INSTANT, nullable=False),
    Column("wall_at", INSTANT, nullable=False),
    Column("driven", Boolean, nullable=False),
    Column("history", Text),
)
outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("bucket", SmallInteger, Computed("(hashtextextended(key, 0) & 63)::smallint"), nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("published_at", INSTANT, nullable=False),
    Column("data", Text, nullable=False),
    Column("trace", Text),
    Column("created_at", INSTANT, nullable=False),
    Column("sent_at", INSTANT),
)
Index("outbox_unsent", outbox.c.seq, postgresql_where=outbox.c.sent_at.is_(None))
Index("outbox_sent", outbox.c.created_at, postgresql_where=outbox.c.sent_at.is_not(None))
outbox_leases = Table(
    "outbox_leases",
    metadata,
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", Text),
    Column("lease_until", INSTANT, nullable=False),
)
consumer_offsets = Table(
    "consumer_offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("stopped_reason", Text),
)
parked_events = Table(
    "parked_events",
    metadata,
    Column("parked_id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("headers", LargeBinary, nullable=False),
    Column("value", LargeBinary),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("parked_at", INSTANT, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text),
    Column("resolved_at", INSTANT),
    UniqueConstraint("topic", "partition", "offset"),
)
inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
)
schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("instant", INSTANT, primary_key=True),
)
schedule_state = Table(
    "schedule_state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("through", INSTANT, nullable=False),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False),
)
working_days = Table(
    "working_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("working", Boolean, nullable=False),
    Column("provisional", Boolean, nullable=False),
)
units = Table(
    "units",
    metadata,
    Column("unit_code", CODE, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("parent_code", CODE),
    Column("sequence", BigInteger, nullable=False),
)
unit_ancestors = Table(
    "unit_ancestors",
    metadata,
    Column("unit_code", CODE, primary_key=True),
    Column("ancestor_code", CODE, primary_key=True),
    Column("depth", SmallInteger, nullable=False),
    Index("unit_ancestors_below", "ancestor_code", "unit_code"),
)
accounts = Table(
    "accounts",
    metadata,
    Column("account_no", CODE, primary_key=True),
    Column("unit_code", CODE, nullable=False),
    Column("branch_code", CODE),
    Column("outlet_code", CODE),
    Column("district_code", CODE),
    Column("opened_on", Date, nullable=False),
    Column("status", Text, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Index("accounts_of_unit", "unit_code", "account_no"),
)
account_branches = Table(
    "account_branches",
    metadata,
    Column("account_no", CODE, primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("branch_code", CODE),
    Column("outlet_code", CODE),
)
