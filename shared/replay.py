"""The replay driver (历史回放): two years of history at the speed of the machine, every close and deadline when it is due.

It walks the instants S: 00:30 Asia/Shanghai of every business day and the end of the replay. Before each it opens the accounts
that begin, publishes what was published before S, and waits until all has settled; then it sets the business clock to S,
service by service in the order of the rule (close and re-judging first, then promises and overdue tasks). What the first of
these stages brings about is waited for at once; what the last does settles together with the next window, at the same S.
Services that only show what the others say may follow one window behind (decision 44).
Everything it does may be done twice: after a kill it repeats the last S and publishes the window after it again.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import asyncpg
import structlog

from shared.clock import business_date, wall_now
from shared.consumer import COLLECT_AFTER
from shared.db import Database
from shared.events.fields import FIRST_INSTANT
from shared.history.folder import History
from shared.history.organisation import Account, Unit
from shared.kafka import EndOffsets, Partition, Publisher
from shared.scheduler import CHANNEL, DAILY_AT, daily_instants
from shared.settlement import PartitionStopped, Settlement
from shared.windows import Disturbance, Window

CLOCK_ORDER = (("tiering",), ("customer", "tickets", "retention"))
"""Closes and re-judging are settled before promises and overdue tasks are looked at: a withdrawn movement cancels its task."""
FOLLOWERS = frozenset({"customer"})
"""They show what the others say, and of what they read they say nothing but which accounts are new. Where each account is opened
before an event names it, the clocks do not wait for them: they may be one window behind."""
STALLED_SECONDS = 60
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.002, 0.015
"""A quiet day settles in milliseconds; while a busy one does, asking often would only take its processor time."""
CHUNK = 20_000
"""Records sent at once: every sending has its time limit."""
SURE_SHARE = 0.5
"""So much of what a wait took of late nobody asks: the answer would be no, and asking takes the services' processor time."""
QUIET_SECONDS = 0.3
"""Nothing has moved for so long: time to look at everything, also for what has stopped."""
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
        self._unsettled = True
        self._ahead: Window | None = None

    async def run(self, catch_up: bool = False) -> None:
        """Replay from where the clock stands to the end, then let the clock go on: from the end, or caught up to the real one.

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
            if done:
                await self._set_clock(done[-1])
            previous = done[-1] if done else FIRST_INSTANT
            coming = instants[len(done) :]
            for number, instant in enumerate(coming):
                following = coming[number + 1] if number + 1 < len(coming) else None
                await self._step(previous, instant, following)
                previous = instant
                self._progress(Progress(instant, len(done) + number + 1, len(instants)))
            self._followers = {}
            await self._settle(previous)
            await self._again(self._release, wall_now() if catch_up else self._history.end)
        except PartitionStopped as stopped:
            raise ReplayError(str(stopped)) from None
        finally:
            await self._close()

    async def _step(self, previous: datetime, instant: datetime, following: datetime | None) -> None:
        """Publish what is published from one instant to the next, wait for it, and set the clock to the next."""
        first = previous == FIRST_INSTANT
        since, until = business_date(previous), business_date(instant)
        accounts = [a for a in self._history.accounts if a.must_open_by <= until and (first or a.must_open_by > since)]
        if accounts:
            await self._again(self._doors.put_accounts, accounts)
        if not self._history.strangers:
            self._followers = {service: dict(self._ends) for service in FOLLOWERS}
        records = (self._ahead or self._window(previous, instant)).records()
        for start in range(0, len(records), CHUNK):
            turn = business_date(instant).toordinal()
            self._ends |= await self._again(self._publisher.send, records[start : start + CHUNK], turn)
        self._ahead = self._window(instant, following) if following is not None else None
        if accounts or records or self._unsettled:
            await self._settle(previous)
        await self._set_clock(instant)

    def _window(self, since: datetime, until: datetime) -> Window:
        return Window(self._history.window(since, until), self._disturb)

    async def _set_clock(self, instant: datetime) -> None:
        """Set the clock to S in each service, and wait until what follows has settled; where nothing follows, nothing waits.

        What the last services do is settled with the next window: it comes at the same business time, and nothing that reads it
        publishes anything.
        """
        for services in CLOCK_ORDER:
            await self._again(self._write_clock, services, instant)
            async with self._waiting(f"clock of {services[0]}"):
                ran = await self._again(self.settlement.ran_through, services)
                while min(ran.values()) < instant:
                    await self._wait(ran)
                    ran = await self._again(self.settlement.ran_through, services)
            seen = await self._again(self.settlement.glance, services)
            if any(row["unsent"] or row["written"] != self._written.get(service) for service, row in seen.items()):
                self._unsettled = True
                if services != CLOCK_ORDER[-1]:
                    await self._settle(instant, services)

    async def _settle(self, instant: datetime, services: Sequence[str] = ()) -> None:
        """Wait until all has settled.

        Glances at those who have not read as far as the logs are known to go; the full reading, which alone has the say, is taken
        when there are none left, or when nothing has moved for a while.
        """
        async with self._waiting("the clock's effects" if services else "a window"):
            behind = tuple(self._databases)
            while True:
                seen = await self._again(self.settlement.glance, behind)
                behind = tuple(service for service in behind if self._is_behind(service, seen[service]))
                if not behind or (seen == self._seen and time.monotonic() - self._moved_at > QUIET_SECONDS):
                    reading = await self._again(self.settlement.read)
                    self._ends = reading.ends
                    if self.settlement.is_settled(reading, instant, services, self._followers):
                        self._written, self._unsettled = reading.written, False
                        return
                    behind = tuple(self._databases)
                await self._wait(seen)

    def _is_behind(self, service: str, seen: asyncpg.Record) -> bool:
        ends, topics = self._followers.get(service, self._ends), self._subscribed[service]
        return bool(seen["unsent"] or seen["consumed"] < sum(end for (topic, _), end in ends.items() if topic in topics))

    @asynccontextmanager
    async def _waiting(self, what: str) -> AsyncIterator[None]:
        """Begin a wait: rest for a share of what it took of late, and note what it takes now."""
        began, took = time.monotonic(), self._took.get(what, 0.0)
        self._pause = POLL_SECONDS
        await self._rest(SURE_SHARE * took)
        yield
        self._took[what] = took + (time.monotonic() - began - took) / 4

    async def _rest(self, seconds: float) -> None:
        """Make the coming window, and sleep for what is left of the time."""
        until = time.monotonic() + seconds
        if self._ahead is not None:
            self._ahead.work(seconds)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def _wait(self, seen: object) -> None:
        """Wait a little; end the replay when nothing at all has moved for a minute."""
        if seen != self._seen:
            self._seen, self._moved_at = seen, time.monotonic()
        elif time.monotonic() - self._moved_at > STALLED_SECONDS:
            raise ReplayError(
                f"the replay has not moved for {STALLED_SECONDS} s (see the logs under .local/); start again to go on from there"
            )
        await self._rest(self._pause)
        self._pause = min(self._pause * 1.5, LONGEST_POLL_SECONDS)

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
            await connection.execute(_SET_CLOCK, instant)

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
WITH clock AS (UPDATE business_clock SET at = $1 WHERE driven AND at < $1) SELECT pg_notify('{CHANNEL}', '')"""
_READ_CLOCK = "SELECT at, driven FROM business_clock"
_RELEASE = f"""
WITH clock AS (UPDATE business_clock SET at = $1, wall_at = clock_timestamp(), driven = false WHERE driven)
SELECT pg_notify('{CHANNEL}', '')"""
