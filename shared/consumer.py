"""The consumer: Kafka to a service's rooms, with an exactly-once effect.

One loop per partition. One transaction per batch holds the effects, the follow-up events, the parked events and the partition's
next offset in our own table, the fence: `SELECT ... FOR UPDATE`, skip what is behind it. So a batch is applied wholly or not at
all, and a second owner of the partition applies nothing twice. Kafka's own offsets are for lag monitors only.
"""

import asyncio
import faulthandler
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Database, driver, is_infrastructure, patiently
from shared.events.envelope import INBOUND_TOPICS, Delivery, Event, Rejected, Skipped, Unreadable, decode
from shared.kafka import Partition, Reader
from shared.observability import (
    EVENTS,
    EVENTS_SKIPPED,
    HANDLER_BATCH,
    HANDLER_SECONDS,
    PARKED_TOTAL,
    TRACE_HEADER,
    traced,
)
from shared.parked import park

BATCH = 2000
WAIT_MS = 1000
PARKED_IN_A_ROW = 100
WINDOW = 10_000
WINDOW_PARKED = WINDOW // 100
TRIES = 5
"""An error that is neither an outage nor bad data is tried this often before the event that causes it is parked."""
STUCK_SECONDS = 120

Handler = Callable[[AsyncSession, Sequence[Delivery[Any]]], Awaitable[Sequence[Rejected] | None]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which handler takes which type of event, in batches."""

    event: type[Event]
    handler: Handler


class OutOfPlaceError(Exception):
    """A batch begins after the fence: the seek on assignment was lost."""


class PartitionStoppedError(Exception):
    """Too many events were parked; the partition waits for a person."""


class CutError(Exception):
    """The breaker trips inside a batch: only its first `count` records may be applied."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class Breaker:
    """Counts parked events of one partition, so that a broken publisher does not park everything."""

    def __init__(self, in_a_row: int = 0, window: Sequence[bool] = ()) -> None:
        self._in_a_row = in_a_row
        self._window = deque(window, WINDOW)
        self._parked = sum(self._window)

    def after(self, parked: Sequence[bool]) -> tuple["Breaker", int, str | None]:
        """Return the breaker after these events, how many of them count, and why the partition stops there, or None."""
        later = Breaker(self._in_a_row, self._window)
        for count, flag in enumerate(parked, 1):
            reason = later._note(flag)
            if reason is not None:
                return later, count, reason
        return later, len(parked), None

    def _note(self, parked: bool) -> str | None:
        self._in_a_row = self._in_a_row + 1 if parked else 0
        if len(self._window) == WINDOW:
            self._parked -= self._window[0]
        self._window.append(parked)
        self._parked += parked
        if self._in_a_row >= PARKED_IN_A_ROW:
            return f"{PARKED_IN_A_ROW} events in a row were parked"
        if len(self._window) == WINDOW and self._parked >= WINDOW_PARKED:
            return f"{self._parked} of the last {WINDOW} events were parked"
        return None


@dataclass(slots=True)
class Batch:
    """Records of one partition, read: what to handle, and what cannot be read with the reason."""

    records: Sequence[Any]
    deliveries: list[Delivery[Any]]
    unreadable: dict[int, str]
    """Reason by offset."""

    def upto(self, count: int) -> "Batch":
        """Return the batch of the first `count` records."""
        records = self.records[:count]
        end = records[-1].offset
        return Batch(
            records,
            [delivery for delivery in self.deliveries if delivery.offset <= end],
            {offset: reason for offset, reason in self.unreadable.items() if offset <= end},
        )

    def after(self, fence: int) -> "Batch":
        """Return the batch without the records behind the fence."""
        if self.records[0].offset >= fence:
            return self
        return Batch(
            [record for record in self.records if record.offset >= fence],
            [delivery for delivery in self.deliveries if delivery.offset >= fence],
            {offset: reason for offset, reason in self.unreadable.items() if offset >= fence},
        )


def read_batch(records: Sequence[Any], types: Mapping[str, type[Event]], service: str) -> Batch:
    """Decode records; on our own topics a type without subscription is skipped and counted."""
    skipped: Counter[str] = Counter()
    deliveries: list[Delivery[Any]] = []
    unreadable: dict[int, str] = {}
    for record in records:
        try:
            decoded = decode(record, types, inbound=record.topic in INBOUND_TOPICS)
        except Unreadable as error:
            unreadable[record.offset] = str(error)
            continue
        if isinstance(decoded, Skipped):
            skipped[decoded.type] += 1
        else:
            deliveries.append(decoded)
    for kind, count in skipped.items():
        EVENTS_SKIPPED.labels(service, kind).inc(count)
    return Batch(records, deliveries, unreadable)


class Dispatcher:
    """Hands events to the handlers of a service, inside a transaction."""

    def __init__(self, service: str, subscriptions: Sequence[Subscription]) -> None:
        self._service = service
        self.types: dict[str, type[Event]] = {subscription.event.TYPE: subscription.event for subscription in subscriptions}
        self.topics = sorted({subscription.event.TOPIC for subscription in subscriptions})
        self._handlers = {subscription.event.TYPE: subscription.handler for subscription in subscriptions}

    async def handle(self, session: AsyncSession, deliveries: Sequence[Delivery[Any]]) -> list[Rejected]:
        """Hand runs of one type to its handler, in the order of the log; returns what was rejected."""
        rejected: list[Rejected] = []
        start = 0
        while start < len(deliveries):
            kind = deliveries[start].event.TYPE
            end = start + 1
            while end < len(deliveries) and kind == deliveries[end].event.TYPE:
                end += 1
            with HANDLER_SECONDS.labels(self._service, kind).time():
                rejected += await self._handlers[kind](session, deliveries[start:end]) or ()
            HANDLER_BATCH.labels(self._service, kind).observe(end - start)
            EVENTS.labels(self._service, kind).inc(end - start)
            start = end
        return rejected

    async def handle_each(self, session: AsyncSession, deliveries: Sequence[Delivery[Any]]) -> list[Rejected]:
        """Hand over one event at a time, each in a savepoint, so that one bad event is rejected alone."""
        rejected: list[Rejected] = []
        for delivery in deliveries:
            try:
                async with session.begin_nested():
                    rejected += await self.handle(session, [delivery])
            except Exception as error:
                if is_infrastructure(error):
                    raise
                rejected.append(Rejected(delivery, reason_of(error)))
        return rejected


def reason_of(error: BaseException) -> str:
    """Return one line that says what went wrong, without the values of the event."""
    cause = getattr(error, "orig", None) or error
    cause = cause.__cause__ or cause
    sqlstate = getattr(cause, "sqlstate", None)
    line = str(cause).splitlines()[0] if str(cause) else ""
    return f"{type(cause).__name__}{f' {sqlstate}' if sqlstate else ''}: {line}"


class PartitionLoop:
    """Applies the records of one partition, batch after batch."""

    def __init__(self, database: Database, dispatcher: Dispatcher, reader: Reader, partition: Partition) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._reader = reader
        self.partition = partition
        self._breaker = Breaker()
        self._sought = False
        self.next_offset: int | None = None
        self.stopped = False
        self.alive_at = time.monotonic()

    async def run(self) -> None:
        """Read and apply while the partition is ours."""
        while self.partition in self._reader.assigned:
            self.alive_at = time.monotonic()
            records = await self._reader.fetch(self.partition, BATCH, WAIT_MS)
            if records:
                batch = read_batch(records, self._dispatcher.types, self._database.service)
                await self._apply_until_done(batch)

    async def _apply_until_done(self, batch: Batch) -> None:
        """Apply a batch; outages are waited out, other errors end in the parking of the event that causes them."""
        tries, delay, one_by_one = 0, 0.05, False
        while True:
            self.alive_at = time.monotonic()
            try:
                with traced(_trace_of(batch.records[0])):
                    await self._apply(batch, one_by_one)
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
            fence = await connection.fetchval(_FENCE, topic, number)
            await self._check_place(batch.records[0].offset, fence)
            batch = batch.after(fence)
            if not batch.records:
                return
            handle = self._dispatcher.handle_each if one_by_one else self._dispatcher.handle
            rejected = await handle(session, batch.deliveries)
            refused = {**batch.unreadable, **{r.delivery.offset: r.reason for r in rejected}}
            breaker, count, stopped = self._breaker.after([record.offset in refused for record in batch.records])
            if count < len(batch.records):
                raise CutError(count)
            await park(session, [(record, refused[record.offset]) for record in batch.records if record.offset in refused])
            self.next_offset = batch.records[-1].offset + 1
            await connection.execute(_MOVE_FENCE, topic, number, self.next_offset, stopped)
        self._breaker = breaker
        self._sought = False
        if refused:
            PARKED_TOTAL.labels(self._database.service, topic).inc(len(refused))
        if stopped is not None:
            raise PartitionStoppedError(stopped)

    async def mark_stopped(self, reason: str) -> None:
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


_FENCE = "SELECT next_offset FROM consumer_offsets WHERE topic = $1 AND partition = $2 FOR UPDATE"
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


async def consume(database: Database, dispatcher: Dispatcher, bootstrap: str, slot: str) -> None:
    """Consume the service's topics until cancelled: one loop for each partition that is ours."""

    async def seek(partitions: Sequence[Partition]) -> dict[Partition, int]:
        return await patiently(lambda: start_offsets(database, reader, partitions))

    async def forget_stops() -> None:
        async with database.transaction() as session:
            await session.execute(text("UPDATE consumer_offsets SET stopped_reason = NULL WHERE stopped_reason IS NOT NULL"))

    await patiently(forget_stops)
    reader = Reader(bootstrap, database.service, slot, dispatcher.topics, seek)
    await reader.start()
    loops: dict[Partition, tuple[PartitionLoop, asyncio.Task[None]]] = {}
    try:
        while True:
            for partition in reader.assigned - loops.keys():
                loop = PartitionLoop(database, dispatcher, reader, partition)
                loops[partition] = loop, asyncio.create_task(_guarded(loop), name=f"{partition[0]}-{partition[1]}")
            for partition in loops.keys() - reader.assigned:
                loops.pop(partition)[1].cancel()
            _check(loops)
            offsets = {p: loop.next_offset for p, (loop, _) in loops.items() if loop.next_offset is not None}
            if offsets:
                await reader.commit(offsets)
            await _changed(reader)
    finally:
        for _, task in loops.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in loops.values()), return_exceptions=True)
        await reader.stop()


async def _guarded(loop: PartitionLoop) -> None:
    """Run a loop; a stopped partition rests and says so, the others go on."""
    try:
        await loop.run()
    except PartitionStoppedError as stop:
        topic, number = loop.partition
        log.error("partition_stopped", topic=topic, partition=number, reason=str(stop))
        await patiently(lambda: loop.mark_stopped(str(stop)))
        await asyncio.Event().wait()


def _check(loops: Mapping[Partition, tuple[PartitionLoop, asyncio.Task[None]]]) -> None:
    """End the process when a loop has ended or hangs: the supervisor starts it afresh."""
    for partition, (loop, task) in loops.items():
        if task.done():
            task.result()
            raise RuntimeError(f"the loop of {partition} ended")
        if not loop.stopped and time.monotonic() - loop.alive_at > STUCK_SECONDS:
            faulthandler.dump_traceback()
            raise RuntimeError(f"the loop of {partition} has not moved for {STUCK_SECONDS} s")


async def _changed(reader: Reader) -> None:
    """Wait for a change of the assignment, at most a second."""
    try:
        async with asyncio.timeout(1):
            await reader.changed.wait()
    except TimeoutError:
        return
    reader.changed.clear()
