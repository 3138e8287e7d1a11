"""The outbox: a business change and its events are one transaction.

`publish` only collects. At the end of the transaction the buckets touched are locked in ascending order and all rows go in by
one INSERT; nothing is locked after that. So the order of `seq` within a bucket is the order of commits, hence order per key,
and no two transactions can deadlock here. The relay (shared/relay.py) sends the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import before_commit, driver
from shared.events.envelope import Event
from shared.observability import trace_parent

CHANNEL = "crm_outbox"
"""A commit that wrote rows notifies it once, which wakes the relay."""
BUCKET_LOCK = 7411

_LOCK_KEYS = f"""
SELECT pg_advisory_xact_lock({BUCKET_LOCK}, bucket) FROM (
    SELECT DISTINCT (hashtextextended(key, 0) & 63)::integer AS bucket FROM unnest($1::text[]) AS key ORDER BY bucket
) AS touched"""
_LOCK_ALL = f"SELECT pg_advisory_xact_lock({BUCKET_LOCK}, bucket) FROM generate_series(0, 63) AS bucket"
_INSERT = f"""
WITH written AS (
    INSERT INTO outbox (published_at, topic, key, event_id, type, data, trace)
    SELECT (SELECT business_now()), * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[])
)
SELECT pg_notify('{CHANNEL}', '')"""


@dataclass(slots=True)
class _Pending:
    events: list[Event] = field(default_factory=list)
    queries: list[tuple[type[Event], str, Mapping[str, Any]]] = field(default_factory=list)


def publish(session: AsyncSession, event: Event) -> None:
    """Publish an event with the transaction: it is sent if and only if the transaction commits."""
    _pending(session).events.append(event)


def publish_query(session: AsyncSession, event: type[Event], select_sql: str, params: Mapping[str, Any]) -> None:
    """Publish one event for each row of a query, which runs at the end of the transaction.

    The query returns the columns key (text), event_id (uuid) and data (json or jsonb, in the shape of the event). It locks
    all buckets: for batches, not for single changes.
    """
    _pending(session).queries.append((event, select_sql, params))


def collected(session: AsyncSession) -> tuple[int, int]:
    """Say how much this transaction has collected, for `take_back` after a savepoint was rolled back."""
    pending: _Pending = session.info.get("outbox", _Pending())
    return len(pending.events), len(pending.queries)


def take_back(session: AsyncSession, before: tuple[int, int]) -> None:
    """Forget what was collected since."""
    pending: _Pending = session.info.get("outbox", _Pending())
    del pending.events[before[0] :]
    del pending.queries[before[1] :]


def _pending(session: AsyncSession) -> _Pending:
    before_commit(session, _write)
    pending: _Pending = session.info.setdefault("outbox", _Pending())
    return pending


async def _write(session: AsyncSession) -> None:
    pending: _Pending = session.info.pop("outbox")
    await session.flush()
    connection = await driver(session)
    trace = trace_parent()
    if pending.queries:
        await connection.execute(_LOCK_ALL)
    else:
        await connection.execute(_LOCK_KEYS, [event.key() for event in pending.events])
    for event, select_sql, params in pending.queries:
        await session.execute(_insert_of(select_sql), {**params, "topic": event.TOPIC, "type": event.TYPE, "trace": trace})
    events = pending.events
    if not (events or pending.queries):
        return
    await connection.execute(
        _INSERT,
        [event.TOPIC for event in events],
        [event.key() for event in events],
        [event.event_id for event in events],
        [event.TYPE for event in events],
        [event.to_bytes().decode() for event in events],
        [trace] * len(events),
    )


@lru_cache(maxsize=256)
def _insert_of(select_sql: str) -> TextClause:
    """Return the statement that publishes a query's rows; to look for the parameters in its text takes longer than to run it."""
    return text(
        "INSERT INTO outbox (topic, key, event_id, type, published_at, data, trace) "
        "SELECT :topic, r.key, r.event_id, :type, (SELECT business_now()), r.data::text, :trace "
        f"FROM ({select_sql}) AS r"
    )
