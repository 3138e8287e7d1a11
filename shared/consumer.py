"""The consumer: Kafka to a service's rooms, with an exactly-once effect.

One batch per partition at a time, in one transaction that holds the effects, the follow-up events, the parked events and the
partition's next offset in our own table, the fence: `SELECT ... FOR UPDATE`, skip what is behind it. So a batch is applied
wholly or not at all, and a second owner of the partition applies nothing twice. Kafka's own offsets are for lag monitors only.
"""

import asyncio
import faulthandler
import gc
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import outbox, parked
from shared.batches import Batch, Breaker, CutError, read_batch
from shared.db import Database, driver, is_infrastructure, patiently
from shared.events.envelope import Delivery, Event, Rejected
from shared.kafka import Partition, Reader
from shared.observability import (
    CONSUMER_LAG,
    CONSUMER_STOPPED,
    EVENTS,
    HANDLER_BATCH,
    HANDLER_SECONDS,
    PARKED,
    PARKED_TOTAL,
    TRACE_HEADER,
    traced,
)
from shared.rounds import Rounds

BATCH = 2000
WAIT_MS = 1000
TRIES = 5
"""An error that is neither an outage nor bad data is tried this often before the event that causes it is parked."""
STUCK_SECONDS = 120
PARKED_EVERY = 10
HELD_SECONDS = 0.5
"""The scheduler may run in another process, which tells nobody when it is done."""
GATHER_SECONDS = 1.0
COLLECT_AFTER = 50_000
"""Objects after which Python looks for cycles: a batch is some 25,000 that live and die together, and none is in a cycle."""

Handler = Callable[[AsyncSession, Sequence[Delivery[Any]]], Awaitable[Sequence[Rejected[Any]] | None]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which handler takes which type of event, in batches."""

    event: type[Event]
    handler: Handler


class OutOfPlaceError(Exception):
    """A batch begins after the fence: the seek on assignment was lost."""


class HeldError(Exception):
    """A replay's clock stands at an instant whose schedules have not run: they must not see what was published after it."""


class PartitionStoppedError(Exception):
    """Too many events were parked; the partition waits for a person."""


class Dispatcher:
    """Hands events to the handlers of a service, inside a transaction."""

    def __init__(self, service: str, subscriptions: Sequence[Subscription]) -> None:
        self._service = service
        self.types: dict[str, type[Event]] = {subscription.event.TYPE: subscription.event for subscription in subscriptions}
        self.topics = sorted({subscription.event.TOPIC for subscription in subscriptions})
        self._handlers = {subscription.event.TYPE: subscription.handler for subscription in subscriptions}

    async def handle(self, session: AsyncSession, deliveries: Sequence[Delivery[Any]]) -> list[Rejected[Any]]:
        """Hand runs of one type to its handler, in the order of the log; returns what was rejected."""
        rejected: list[Rejected[Any]] = []
        start = 0
        while start < len(deliveries):
            model = deliveries[start].model
            end = start + 1
            while end < len(deliveries) and deliveries[end].model is model:
                end += 1
            kind = model.TYPE
            with HANDLER_SECONDS.labels(self._service, kind).time():
                rejected += await self._handlers[kind](session, deliveries[start:end]) or ()
            HANDLER_BATCH.labels(self._service, kind).observe(end - start)
            EVENTS.labels(self._service, kind).inc(end - start)
            start = end
        return rejected

    async def handle_each(self, session: AsyncSession, deliveries: Sequence[Delivery[Any]]) -> list[Rejected[Any]]:
        """Hand over one event at a time, each in a savepoint, so that one bad event is rejected alone."""
        rejected: list[Rejected[Any]] = []
        for delivery in deliveries:
            published = outbox.collected(session)
            try:
                async with session.begin_nested():
                    rejected += await self.handle(session, [delivery])
            except Exception as error:
                if is_infrastructure(error):
                    raise
                outbox.take_back(session, published)
                rejected.append(Rejected(delivery, reason_of(error)))
        return rejected


def reason_of(error: BaseException) -> str:
    """Return one line that says what went wrong, without the values of the event."""
    cause = getattr(error, "orig", None) or error
    cause = cause.__cause__ or cause
    sqlstate = getattr(cause, "sqlstate", None)
    line = str(cause).splitlines()[0] if str(cause) else ""
    return f"{type(cause).__name__}{f' {sqlstate}' if sqlstate else ''}: {line}"


class Applier:
    """Applies the records of one partition, one batch at a time."""

    def __init__(self, database: Database, dispatcher: Dispatcher, reader: Reader, partition: Partition, rounds: Rounds) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._reader = reader
        self._rounds = rounds
        self.partition = partition
        self._breaker = Breaker()
        self._sought = False
        self.next_offset: int | None = None
        self.stopped = False
        self.alive_at = time.monotonic()

    async def apply(self, records: Sequence[Any]) -> None:
        """Apply records; returns when their effects are committed, or when the partition has stopped."""
        batch = read_batch(records, self._dispatcher.types, self._database.service)
        try:
            await self._apply_until_done(batch)
        except PartitionStoppedError as stop:
            reason = str(stop)
            log.error("partition_stopped", topic=self.partition[0], partition=self.partition[1], reason=reason)
            await patiently(lambda: self._mark_stopped(reason))

    async def _apply_until_done(self, batch: Batch) -> None:
        """Apply a batch; outages are waited out, other errors end in the parking of the event that causes them."""
        tries, delay, one_by_one = 0, 0.05, False
        while True:
            self.alive_at = time.monotonic()
            running = self._rounds.running()
            try:
                with traced(_trace_of(batch.records[0])):
                    await self._apply(batch, one_by_one)
            except HeldError:
                with suppress(TimeoutError):
                    await asyncio.wait_for(running.wait(), HELD_SECONDS)
            except OutOfPlaceError:
                self._sought = True
                await self._reader.seek([self.partition])
                return
            except PartitionStoppedError:
                raise
            except CutError as cut:
                batch = batch.upto(cut.count)
            except Exception as error:
                if not is_infrastructure(error):
                    tries += 1
                    one_by_one = tries >= TRIES or _is_bad_data(error)
                    log.error("batch_failed", partition=self.partition, error=reason_of(error), tries=tries, exc_info=error)
                else:
                    log.warning("batch_waits", partition=self.partition, error=reason_of(error))
                await asyncio.sleep(random.uniform(0.02, delay))  # noqa: S311 - jitter, not a secret
                delay = min(2.0, delay * 2)
            else:
                return

    async def _apply(self, batch: Batch, one_by_one: bool) -> None:
        topic, number = self.partition
        async with self._database.transaction() as session:
            connection = await driver(session)
            fence, held = await connection.fetchrow(_FENCE, topic, number)
            if held:
                raise HeldError
            await self._check_place(batch.records[0].offset, fence)
            batch = batch.after(fence)
            if not batch.records:
                return
            handle = self._dispatcher.handle_each if one_by_one else self._dispatcher.handle
            rejected = await handle(session, batch.deliveries)
            refused = {**batch.unreadable, **{r.delivery.offset: r.reason for r in rejected}}
            are_refused = [record.offset in refused for record in batch.records] if refused else [False] * len(batch.records)
            breaker, count, stopped = self._breaker.after(are_refused)
            if count < len(batch.records):
                raise CutError(count)
            if refused:
                await parked.park(session, [(r, refused[r.offset]) for r in batch.records if r.offset in refused])
            self.next_offset = batch.records[-1].offset + 1
            await connection.execute(_MOVE_FENCE, topic, number, self.next_offset, stopped)
        self._breaker = breaker
        self._sought = False
        if refused:
            PARKED_TOTAL.labels(self._database.service, topic).inc(len(refused))
        if stopped is not None:
            raise PartitionStoppedError(stopped)

    async def _mark_stopped(self, reason: str) -> None:
        """Leave word in the database that this partition waits for a person."""
        self.stopped = True
        async with self._database.transaction() as session:
            connection = await driver(session)
            await connection.execute(
                "UPDATE consumer_offsets SET stopped_reason = $3 WHERE topic = $1 AND partition = $2", *self.partition, reason
            )

    async def _check_place(self, first_offset: int, fence: int) -> None:
        """Refuse a batch that begins after the fence, unless the log itself has a gap there.

        aiokafka swallows what the assignment listener raises and reads on from elsewhere. After a seek to the fence the next
        batch may still begin later (markers of a publisher's transactions lie between); but where the broker has deleted
        what we have not read, nobody may jump.
        """
        if first_offset <= fence:
            return
        if not self._sought:
            raise OutOfPlaceError
        if await self._reader.log_start(self.partition) > fence:
            raise PartitionStoppedError(f"the broker no longer has the offsets from {fence} on")


def _trace_of(record: Any) -> str | None:
    """Return the trace that a record carries: a batch goes on in the trace of its first event."""
    for name, value in record.headers:
        if name == TRACE_HEADER and value is not None:
            return str(value, errors="replace")
    return None


# Whoever drives a clock publishes what comes after S when S is written: such an event never meets a look at an older clock.
_FENCE = """
SELECT next_offset, (SELECT c.at > s.through FROM business_clock c, schedule_state s WHERE c.driven) AS held
FROM consumer_offsets WHERE topic = $1 AND partition = $2 FOR UPDATE"""
_MOVE_FENCE = "UPDATE consumer_offsets SET next_offset = $3, stopped_reason = $4 WHERE topic = $1 AND partition = $2"


def _is_bad_data(error: BaseException) -> bool:
    """Say whether PostgreSQL refused the data (SQLSTATE 22xxx, 23xxx): trying again will not help."""
    cause = getattr(error, "orig", None) or error
    sqlstate = str(getattr(cause, "sqlstate", None) or getattr(cause.__cause__, "sqlstate", None) or "")
    return sqlstate[:2] in {"22", "23"}


async def start_offsets(database: Database, reader: Reader, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Return the offsets of record; where none is stored, the start of the log, stored first."""
    found: dict[Partition, int] = {}
    for topic, number in partitions:
        async with database.transaction() as session:
            connection = await driver(session)
            offset = await connection.fetchval(_FENCE, topic, number)
            if offset is None:
                offset = await connection.fetchval(
                    "INSERT INTO consumer_offsets (topic, partition, next_offset) VALUES ($1, $2, $3) "
                    "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = consumer_offsets.next_offset "
                    "RETURNING next_offset",
                    topic,
                    number,
                    await reader.log_start((topic, number)),
                )
            found[topic, number] = offset
    return found


class Consumer:
    """Fetches from all partitions that are ours and applies each partition's batches one after the other."""

    def __init__(self, database: Database, dispatcher: Dispatcher, bootstrap: str, slot: str, rounds: Rounds) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._rounds = rounds
        self._reader = Reader(bootstrap, database.service, slot, dispatcher.topics, self._seek)
        self._appliers: dict[Partition, Applier] = {}
        self._applying: dict[Partition, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        """Held by the batch that is applied while nobody waits: one at a time, and the other processor is for the others."""
        self._more = False
        """The last fetch was full: there is more where it came from."""

    async def run(self) -> None:
        """Consume until cancelled; the process is set up for objects that come and go in batches."""
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
        await patiently(self._forget_stops)
        await self._reader.start()
        monitors = asyncio.create_task(self._tell_monitors(), name="monitors")
        try:
            while True:
                await self._gather()
                await self._fetch()
        finally:
            tasks = [monitors, *self._applying.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reader.stop()

    async def _gather(self) -> None:
        """Let events gather as long as nobody waits: a few large batches cost less than many small ones."""
        awaited = self._rounds.awaited()
        if self._more or awaited.is_set():
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(awaited.wait(), GATHER_SECONDS)
        self._forget_applied()

    async def _fetch(self) -> None:
        """Fetch once from the partitions that are not being applied; ends early when one of those is done."""
        idle = [p for p in self._reader.assigned if p not in self._applying and not self._applier(p).stopped]
        fetching = asyncio.create_task(self._reader.fetch(idle, BATCH, WAIT_MS))
        try:
            await asyncio.wait([fetching, *self._applying.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            fetching.cancel()  # nothing is lost: records leave the client only when it answers
        await asyncio.wait([fetching])
        self._forget_applied()
        if not fetching.cancelled():
            self._more = sum(map(len, fetching.result().values())) >= BATCH
            for partition, records in fetching.result().items():
                applying = self._apply(self._applier(partition), records)
                self._applying[partition] = asyncio.create_task(applying, name=str(partition))

    async def _apply(self, applier: Applier, records: Sequence[Any]) -> None:
        applier.alive_at = math.inf  # whoever waits for a turn does not hang
        async with nullcontext() if self._rounds.awaited().is_set() else self._turn:
            await applier.apply(records)

    def _forget_applied(self) -> None:
        """Make way for the next batch where one is done; end the process where one hangs."""
        for partition, task in list(self._applying.items()):
            if task.done():
                del self._applying[partition]
                task.result()
            elif time.monotonic() - self._appliers[partition].alive_at > STUCK_SECONDS:
                faulthandler.dump_traceback()
                raise RuntimeError(f"a batch of {partition} has not moved for {STUCK_SECONDS} s")

    def _applier(self, partition: Partition) -> Applier:
        if partition not in self._appliers:
            self._appliers[partition] = Applier(self._database, self._dispatcher, self._reader, partition, self._rounds)
        return self._appliers[partition]

    async def _seek(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return await patiently(lambda: start_offsets(self._database, self._reader, partitions))

    async def _forget_stops(self) -> None:
        async with self._database.transaction() as session:
            await session.execute(text("UPDATE consumer_offsets SET stopped_reason = NULL WHERE stopped_reason IS NOT NULL"))

    async def _count_parked(self) -> int:
        async with self._database.transaction() as session:
            return await parked.count_parked(session)

    async def _tell_monitors(self) -> None:
        """Tell Kafka and Prometheus once a second how far we are, and every ten seconds how much is parked."""
        for tick in count():
            await asyncio.sleep(1)
            if tick % PARKED_EVERY == 0:
                PARKED.labels(self._database.service).set(await patiently(self._count_parked))
            for partition, applier in self._appliers.items():
                labels = (self._database.service, partition[0], str(partition[1]))
                end = self._reader.end(partition) if partition in self._reader.assigned else None
                CONSUMER_LAG.labels(*labels).set(max(0, end - applier.next_offset) if end and applier.next_offset else 0)
                CONSUMER_STOPPED.labels(*labels).set(applier.stopped)
            offsets = {p: a.next_offset for p, a in self._appliers.items() if a.next_offset is not None}
            if offsets:
                await self._reader.commit(offsets)


async def retry(session: AsyncSession, dispatcher: Dispatcher, parked_id: int) -> str | None:
    """Hand a parked event to its handler again; returns why it stays parked, or None when its effects are in."""
    row = await parked.read(session, parked_id)
    if row is None or row["state"] != "parked":
        return "it is not parked any more"
    batch = read_batch([parked.record_of(row)], dispatcher.types, "")
    for reason in batch.unreadable.values():
        return reason
    for rejected in await dispatcher.handle_each(session, batch.deliveries):
        return rejected.reason
    await parked.resolve(session, parked_id, "retried", None)
    return None
