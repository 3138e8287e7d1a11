"""The replay driver (历史回放): two years of history at the speed of the machine, every close and deadline when it is due.

It walks the instants S: 00:30 Asia/Shanghai of every business day and the end of the replay. Before each it opens the accounts
that begin, publishes what was published before S, and waits until all has settled; then it sets the business clock to S,
service by service in the order of the rule: close and re-judging, promises, and overdue tasks when retention has read what
tiering's schedules brought about. The window after S is published as soon as the first clocks stand at S: consumers hold it back
until their own schedules of S have run (decision 45), so that the services work at the same time.
Services that only show what the others say may follow some windows behind (decision 44).
Everything it does may be done twice: after a kill it repeats the last S and publishes the window after it again.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import asyncpg
import structlog

from shared.clock import wall_now
from shared.consumer import COLLECT_AFTER
from shared.db import Database
from shared.events.fields import FIRST_INSTANT
from shared.history.folder import History
from shared.history.organisation import Account, Unit
from shared.kafka import EndOffsets, Partition, Publisher
from shared.scheduler import CHANNEL, DAILY_AT, ROUNDS_CHANNEL, UNHURRIED, daily_instants
from shared.settlement import PartitionStopped, Reading, Settlement
from shared.windows import Disturbance, Window

JUDGES, KEEPS_TASKS = "tiering", "retention"
"""What closes and re-judging bring about is read before overdue tasks are looked at: a withdrawn movement cancels its task."""
BESIDE = ("customer", "tickets")
"""Their schedules rest on nothing that those of the others bring about; what theirs do, the consumers of the others hold back."""
FOLLOWERS = frozenset({"customer"})
"""They show what the others say, and of what they read they say nothing but which accounts are new. Where each account is opened
before an event names it, the clocks do not wait for them until they are so many windows behind."""
WINDOWS_BEHIND = 40
"""They read in large batches; who looks during a replay sees the page of some weeks ago at most, and usually of ten days."""
STALLED_SECONDS = 60
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.002, 0.015
"""A quiet day settles in milliseconds; while a busy one does, asking often would only take its processor time."""
TOLD_SECONDS = 0.2
"""Schedulers say when they are done; asking is for what an outage has swallowed."""
SLICE_SECONDS = 0.002
"""So long the coming window is made before anybody is listened to."""
CHUNK = 20_000
"""Records sent at once: every sending has its time limit."""
SURE_SHARE = 0.5
"""So much of the shortest wait of late nobody asks: the answer would be no, and asking takes the services' processor time."""
FORGETS = 16
"""A longer wait moves what is thought the shortest by so small a part: a close takes seconds, the day after it does not."""
QUIET_SECONDS = 0.3
"""Nothing has moved for so long: time to look at everything, also for what has stopped."""
Followers = Mapping[str, Mapping[Partition, int]]
"""Services that need not have read all, and how far they must have."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


class ReplayError(Exception):
    """The replay cannot go on; the text is one sentence for the person who started it."""


class Doors(Protocol):
    """The HTTP doors of the customer service that the replay knocks at; both may be repeated."""

    async def put_units(self, units: Sequence[Unit]) -> None:
        """Create or change units."""

    async def put_accounts(self, accounts: Sequence[Account]) -> None:
        """Open accounts."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the replay stands: the instant that the clocks have reached, and how many of all instants."""

    instant: datetime
    done: int
    total: int


def instants_of(history: History) -> list[datetime]:
    """Return the instants S of a history, the end last."""
    begin = datetime.combine(history.start, DAILY_AT) - timedelta(minutes=30)
    daily = daily_instants(begin, history.end)
    return daily if daily and daily[-1] == history.end else [*daily, history.end]


async def begin(databases: Mapping[str, Database], history: History) -> None:
    """Set the clock of every service to the first day, before any worker starts. Repeats do nothing."""
    at = datetime.combine(history.start, DAILY_AT) - timedelta(minutes=30)
    for database in databases.values():
        connection = await database.connect()
        try:
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO business_clock (at, driven, history) VALUES ($1, true, $2) ON CONFLICT DO NOTHING",
                    at,
                    history.digest,
                )
                await connection.execute("INSERT INTO schedule_state (through) VALUES ($1) ON CONFLICT DO NOTHING", at)
        finally:
            await connection.close()


class Replay:
    """One replay of a history into running services."""

    def __init__(
        self,
        databases: Mapping[str, Database],
        bootstrap: str,
        history: History,
        doors: Doors,
        subscribed: Mapping[str, Sequence[str]],
        progress: Callable[[Progress], None] = lambda _: None,
        disturb: Disturbance = lambda events: events,
    ) -> None:
        self._databases = databases
        self._services = tuple(databases)
        self._bootstrap = bootstrap
        self._history = history
        self._doors = doors
        self._progress = progress
        self._disturb = disturb
        self._subscribed = subscribed
        self._connections: dict[str, asyncpg.Connection] = {}
        self._asks_ends: EndOffsets | None = None
        self._publisher = Publisher(bootstrap)
        self.settlement = Settlement({service: self._connector(service) for service in databases}, self._end_offsets, subscribed)
        self._moved_at = time.monotonic()
        self._written: dict[str, int] = {}
        self._seen: object = None
        self._pause = POLL_SECONDS
        self._took: dict[str, float] = {}
        self._ends: dict[Partition, int] = {}
        """Where the logs are known to end, at the least."""
        self._followers: dict[str, dict[Partition, int]] = {}
        """How far those must have read who need not have read all."""
        self._ends_of_windows: deque[dict[Partition, int]] = deque(maxlen=WINDOWS_BEHIND)
        self._ran = asyncio.Event()
        """Some scheduler has said that it is done."""
        self._instant = FIRST_INSTANT
        """Where the clocks stand."""
        self._unsettled = True
        self._spans: Iterator[tuple[datetime, datetime]] = iter(())
        self._ahead: Window | None = None

    async def run(self, catch_up: bool = False) -> None:
        """Replay from where the clock stands to the end, then let the clock go on: from the end, or caught up to the real one.

        What fell due up to the real one has run then, too, and has settled.
        Raises ReplayError when nothing moves for 60 s or a partition has stopped; the next run goes on from there. The process is
        set up for events that come and go by the day.
        """
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
        try:
            clock = await self._again(self._read_clock)
            if clock is None:
                return
            instants = instants_of(self._history)
            await self._again(self._doors.put_units, self._history.units)
            done = [instant for instant in instants if instant <= clock]
            coming = instants[len(done) :]
            self._spans = pairwise([done[-1] if done else FIRST_INSTANT, *coming])
            self._look_ahead()
            if done:
                await self._set_clock(done[-1])
            else:
                await self._publish()
            for number, instant in enumerate(coming, len(done) + 1):
                if self._unsettled:
                    await self._settle_all()
                await self._set_clock(instant)
                self._progress(Progress(instant, number, len(instants)))
            self._followers = {}
            await self._settle_all()
            at = wall_now() if catch_up else self._history.end
            await self._again(self._release, at)
            await self._catch_up(at)
        except PartitionStopped as stopped:
            raise ReplayError(str(stopped)) from None
        finally:
            await self._close()

    def _look_ahead(self) -> None:
        span = next(self._spans, None)
        self._ahead = Window(self._history, *span, self._disturb) if span is not None else None

    async def _publish(self) -> None:
        """Open the accounts of the window ahead and publish its events; then the next one is ahead."""
        window = self._ahead
        if window is None:
            return
        if window.accounts:
            await self._again(self._doors.put_accounts, window.accounts)
        if not self._history.strangers:
            self._ends_of_windows.append(dict(self._ends))
            self._followers = dict.fromkeys(FOLLOWERS, self._ends_of_windows[0])
        records = window.records()
        for start in range(0, len(records), CHUNK):
            self._ends |= await self._again(self._publisher.send, records[start : start + CHUNK], window.turn)
        self._unsettled = self._unsettled or bool(window.accounts or records)
        self._look_ahead()

    async def _set_clock(self, instant: datetime) -> None:
        """Set the clock to S in each service, publish the window after S, and wait until all have run what was due at S.

        What the schedules bring about is settled with that window: it comes at the same business time. Where an event may be the
        first to name an account, the window waits until all have run: the account may be moved by it.
        """
        self._instant = instant
        await self._again(self._write_clock, (JUDGES,), instant)
        await self._again(self._write_clock, BESIDE, instant)
        if not self._history.strangers:
            await self._publish()
        await self._wait_until_ran((JUDGES,))
        if await self._has_written((JUDGES,)):
            await self._settle((JUDGES, KEEPS_TASKS), (JUDGES,), {JUDGES: {}})
        await self._again(self._write_clock, (KEEPS_TASKS,), instant)
        await self._wait_until_ran(self._services)
        self._unsettled = self._unsettled or await self._has_written(self._services)
        if self._history.strangers:
            await self._publish()

    async def _catch_up(self, at: datetime) -> None:
        """Wait until what fell due between the end of the history and `at`, which schedulers run by themselves, has settled."""
        missed = daily_instants(self._history.end, at)
        if missed:
            self._instant = missed[-1]
            await self._wait_until_ran(self._services)
            await self._settle_all()

    async def _wait_until_ran(self, services: Sequence[str]) -> None:
        while True:
            self._ran.clear()
            ran = await self._again(self.settlement.ran_through, services)
            if min(ran.values()) >= self._instant:
                return
            self._note(ran)
            await self._rest(TOLD_SECONDS, self._ran)

    async def _has_written(self, services: Sequence[str]) -> bool:
        """Say whether any of them has published anything since all had settled."""
        seen = await self._again(self.settlement.glance, services)
        return any(row["unsent"] or row["written"] != self._written.get(service) for service, row in seen.items())

    async def _settle_all(self) -> None:
        self._written = (await self._settle(self._services, self._services, self._followers)).written
        self._unsettled = False

    async def _settle(self, services: Sequence[str], ran: Sequence[str], followers: Followers) -> Reading:
        """Wait until all has settled among these services, of which some have to have run at the instant of the clock.

        Glances at those who have not read as far as the logs are known to go; the full reading, which alone has the say, is taken
        when there are none left, or when nothing has moved for a while.
        """
        async with self._waiting(f"settling of {len(services)}"):
            behind = services
            while True:
                seen = await self._again(self.settlement.glance, behind)
                behind = [service for service in behind if self._is_behind(service, seen[service], followers)]
                if not behind or (seen == self._seen and time.monotonic() - self._moved_at > QUIET_SECONDS):
                    reading = await self._again(self.settlement.read, services)
                    self._ends = reading.ends
                    if self.settlement.is_settled(reading, self._instant, ran, followers):
                        return reading
                    behind = services
                await self._wait(seen)

    def _is_behind(self, service: str, seen: asyncpg.Record, followers: Followers) -> bool:
        ends, topics = followers.get(service, self._ends), self._subscribed[service]
        return bool(seen["unsent"] or seen["consumed"] < sum(end for (topic, _), end in ends.items() if topic in topics))

    @asynccontextmanager
    async def _waiting(self, what: str) -> AsyncIterator[None]:
        """Begin a wait: rest for a share of what it took at the least of late, and note what it takes now."""
        began, took = time.monotonic(), self._took.get(what, 0.0)
        self._pause = POLL_SECONDS
        await self._rest(SURE_SHARE * took)
        yield
        takes = time.monotonic() - began
        self._took[what] = min(takes, took + (takes - took) / FORGETS)

    async def _rest(self, seconds: float, woken: asyncio.Event | None = None) -> None:
        """Make the coming window, and sleep for what is left of the time, or until woken."""
        until = time.monotonic() + seconds
        while self._ahead is not None and self._ahead.work(min(SLICE_SECONDS, until - time.monotonic())):
            await asyncio.sleep(0)
            if time.monotonic() >= until or (woken is not None and woken.is_set()):
                return
        with suppress(TimeoutError):
            await asyncio.wait_for((woken or asyncio.Event()).wait(), max(0.0, until - time.monotonic()))

    async def _wait(self, seen: object) -> None:
        """Wait a little before it is asked again."""
        self._note(seen)
        await self._rest(self._pause)
        self._pause = min(self._pause * 1.5, LONGEST_POLL_SECONDS)

    def _note(self, seen: object) -> None:
        """Note what was seen; end the replay when nothing at all has moved for a minute."""
        if seen != self._seen:
            self._seen, self._moved_at = seen, time.monotonic()
        elif time.monotonic() - self._moved_at > STALLED_SECONDS:
            raise ReplayError(
                f"the replay has not moved for {STALLED_SECONDS} s (see the logs under .local/); start again to go on from there"
            )

    async def _again(self, ask: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Ask until it is answered: servers and services may be away for a while. Everything asked may be asked twice."""
        while True:
            try:
                return await ask(*args)
            except (PartitionStopped, ReplayError):
                raise
            except Exception as error:
                log.warning("replay_waits", error=repr(error))
                if time.monotonic() - self._moved_at > STALLED_SECONDS:
                    raise ReplayError(f"the replay cannot go on: {error!r}; start again to go on from there") from error
                await self._disconnect()
                await asyncio.sleep(0.1)

    async def _write_clock(self, services: Sequence[str], instant: datetime) -> None:
        async def write(service: str) -> None:
            connection = await self._connected(service)
            await connection.execute(_SET_CLOCK, instant, UNHURRIED if service in FOLLOWERS and unhurried else "")

        unhurried = self._ahead is not None and not self._history.strangers  # after the last window everybody is waited for
        await asyncio.gather(*(write(service) for service in services))

    async def _read_clock(self) -> datetime | None:
        """Return the latest instant that was set, or None where the replay is over."""
        rows = [await (await self._connected(service)).fetchrow(_READ_CLOCK) for service in self._databases]
        if all(not row["driven"] for row in rows):
            return None
        latest: datetime = max(row["at"] for row in rows)
        return latest

    async def _release(self, at: datetime) -> None:
        """Let the clocks go on from `at`."""
        for service in self._databases:
            connection = await self._connected(service)
            await connection.execute(_RELEASE, at)

    def _connector(self, service: str) -> Callable[[], Awaitable[asyncpg.Connection]]:
        async def connected() -> asyncpg.Connection:
            return await self._connected(service)

        return connected

    async def _connected(self, service: str) -> asyncpg.Connection:
        connection = self._connections.get(service)
        if connection is None or connection.is_closed():
            connection = self._connections[service] = await self._databases[service].connect()
            await connection.add_listener(ROUNDS_CHANNEL, lambda *_: self._ran.set())
        return connection

    async def _end_offsets(self) -> EndOffsets:
        if self._asks_ends is None:
            ends = EndOffsets(self._bootstrap)
            await ends.start()
            self._asks_ends = ends
        return self._asks_ends

    async def _disconnect(self) -> None:
        """Forget all connections: which of them an outage has hurt is not worth asking."""
        for connection in self._connections.values():
            connection.terminate()
        self._connections.clear()
        ends, self._asks_ends = self._asks_ends, None
        if ends is not None:
            await ends.stop()

    async def _close(self) -> None:
        await self._disconnect()
        await self._publisher.close()


_SET_CLOCK = f"""
WITH clock AS (UPDATE business_clock SET at = $1 WHERE driven AND at < $1) SELECT pg_notify('{CHANNEL}', $2)"""
_READ_CLOCK = "SELECT at, driven FROM business_clock"
_RELEASE = f"""
WITH clock AS (UPDATE business_clock SET at = $1, wall_at = clock_timestamp(), driven = false WHERE driven)
SELECT pg_notify('{CHANNEL}', '')"""
