"""The relay (转发): outbox to Kafka, at least once, in order per key.

It scans for unsent rows by presence, never by cursor: a sequence value is taken at INSERT and becomes visible at COMMIT, so a
cursor would lose rows. A bucket has one active owner by a lease in wall time of the database; the owner is the stable name of
the relay's slot, so that a restarted relay takes its own lease back at once. A relay that was paused beyond its lease and goes
on can only repeat rows: whoever sends, sends a key's rows oldest first and waits for the acknowledgement, so each sender
delivers a prefix, and a union of prefixes is a prefix.
"""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import structlog

from shared.db import Database
from shared.events.envelope import headers_for
from shared.kafka import Message, Publisher
from shared.observability import OUTBOX_AGE, OUTBOX_DEPTH
from shared.outbox import CHANNEL

LEASE_SECONDS = 10
RENEW_SECONDS = 3
POLL_SECONDS = 1.0
BATCH = 2000
KEEP_DAYS = 7
"""Sent rows stay this long for `crm outbox republish`."""

log = structlog.get_logger(__name__)

_LEASE = """
UPDATE outbox_leases SET owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 OR lease_until < clock_timestamp() RETURNING bucket"""
_UNSENT = """
SELECT seq, topic, key, event_id, type, published_at, data, trace FROM outbox
WHERE sent_at IS NULL AND bucket = ANY($1::smallint[]) ORDER BY seq LIMIT $2"""
# Rows that were sent leave dead entries in the index of the unsent. A plain index scan notes that they are dead, and they are
# passed over from then on; a bitmap scan does not, and everybody who asks for the unsent reads them again until the next vacuum.
_BY_INDEX = "SET enable_bitmapscan = off; SET enable_seqscan = off"
_MARK = "UPDATE outbox SET sent_at = clock_timestamp() WHERE seq = ANY($1::bigint[])"
_PURGE = "DELETE FROM outbox WHERE sent_at IS NOT NULL AND created_at < clock_timestamp() - make_interval(days => $1)"


class Relay:
    """Sends the outbox rows of one service."""

    def __init__(self, database: Database, bootstrap: str, slot: str = "1") -> None:
        self._database = database
        self._publisher = Publisher(bootstrap)
        self._owner = f"relay-{slot}"
        self._woken = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._buckets: list[int] = []
        self._renewed_at = 0.0
        self._purged_at = 0.0

    async def run(self) -> None:
        """Send for ever; outages of either server are waited out."""
        delay = 0.05
        try:
            while True:
                try:
                    sent = await self.send_batch()
                    delay = 0.05
                    if sent < BATCH:
                        await self._sleep()
                except Exception as error:
                    log.warning("relay_interrupted", service=self._database.service, error=repr(error))
                    await self._reset()
                    await asyncio.sleep(random.uniform(0.05, delay))  # noqa: S311 - jitter, not a secret
                    delay = min(2.0, delay * 2)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close both connections; the lease ends by itself, or is taken back by the next relay of this slot."""
        await self._reset()
        await self._publisher.close()

    async def send_batch(self) -> int:
        """Send the oldest unsent rows of the leased buckets and mark them; returns how many."""
        connection = await self._connected()
        await self._keep_lease(connection)
        rows = await connection.fetch(_UNSENT, self._buckets, BATCH) if self._buckets else []
        if rows:
            await self.send_rows(rows)
            await connection.execute(_MARK, [row["seq"] for row in rows])
        return len(rows)

    async def send_rows(self, rows: Sequence[asyncpg.Record]) -> None:
        """Send rows, oldest first, and return when the broker has acknowledged all of them."""
        await self._publisher.send([message_of(row, self._database.service) for row in rows])

    async def _keep_lease(self, connection: asyncpg.Connection) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at > RENEW_SECONDS:
            self._buckets = [row["bucket"] for row in await connection.fetch(_LEASE, self._owner, LEASE_SECONDS)]
            self._renewed_at = now
            waiting = await status(connection)
            OUTBOX_DEPTH.labels(self._database.service).set(waiting["pending"])
            OUTBOX_AGE.labels(self._database.service).set(waiting["oldest_seconds"])
        if now - self._purged_at > 3600:
            await connection.execute(_PURGE, KEEP_DAYS)
            self._purged_at = now

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._database.connect()
            await self._connection.execute(_BY_INDEX)
            await self._connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            self._renewed_at = 0.0
        return self._connection

    async def _sleep(self) -> None:
        """Wait for a commit's NOTIFY; the poll is the safety net."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _reset(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def message_of(row: asyncpg.Record, service: str) -> Message:
    """Return the Kafka record of an outbox row."""
    headers = headers_for(
        event_id=row["event_id"],
        source=f"/express-crm/{service}",
        type=row["type"],
        time=row["published_at"],
        key=row["key"],
        sequence=row["seq"],
        trace=row["trace"],
    )
    return Message(row["topic"], row["key"].encode(), row["data"].encode(), headers)


async def status(connection: asyncpg.Connection) -> dict[str, int | float]:
    """Return how many rows wait and how old the oldest is, in seconds."""
    row = await connection.fetchrow(
        "SELECT count(*) AS pending, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS age "
        "FROM outbox WHERE sent_at IS NULL"
    )
    return {"pending": row["pending"], "oldest_seconds": row["age"]}


async def republish(connection: asyncpg.Connection, since: object) -> int:
    """Send again all rows written since a wall instant; readers ignore what they have seen. Returns how many."""
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        "WITH again AS (UPDATE outbox SET sent_at = NULL WHERE sent_at IS NOT NULL AND created_at >= $1 RETURNING 1) "
        f"SELECT count(*) AS rows, pg_notify('{CHANNEL}', '') FROM again",
        since,
    )
    return int(rows[0]["rows"])
