"""The third door's engine: runs a service's schedules when business time passes.

Instants S are 00:30 Asia/Shanghai of every business day, missed ones included, in order; while a replay drives the clock, each
instant it sets. A run and the record that it ran are one transaction, so a repeated S does nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import SHANGHAI, shanghai
from shared.db import Database, driver
from shared.rounds import Rounds

CHANNEL = "crm_clock"
"""The replay driver notifies it after it has set the clock."""
UNHURRIED = "unhurried"
"""What it says with it to a service for whose reading of events it does not wait."""
ROUNDS_CHANNEL = "crm_rounds"
"""The scheduler notifies it when all has run that was due at an instant."""
DAILY_AT = time(0, 30, tzinfo=SHANGHAI)
POLL_SECONDS = 1.0
SCHEDULER_LOCK = 7413
"""Session-level advisory lock: one active scheduler per service."""

Record = Callable[[AsyncSession], Awaitable[bool]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a service does at an instant S.

    `run(session, instant)` is part of one transaction, whose `session.info["instant"]` says so; `beside` the others where it
    neither reads nor writes what they write: then it has a transaction of its own at the same time. `run_alone(database,
    instant, record)` opens its own before all these and calls `await record(session)` in the one that holds its effects
    (False: it ran already); it is called only where `due(session, instant)`.
    """

    name: str
    run: Callable[[AsyncSession, datetime], Awaitable[None]] | None = None
    run_alone: Callable[[Database, datetime, Record], Awaitable[None]] | None = None
    due: Callable[[AsyncSession, datetime], Awaitable[bool]] | None = None
    beside: bool = False


def daily_instants(after: datetime, until: datetime) -> list[datetime]:
    """Return 00:30 Asia/Shanghai of each day, later than `after` and not later than `until`."""
    instant = datetime.combine(shanghai(after).date(), DAILY_AT)
    found = []
    while instant <= until:
        if instant > after:
            found.append(instant)
        instant += timedelta(days=1)
    return found


class Scheduler:
    """Runs the schedules of one service, in their order, at each instant."""

    def __init__(self, database: Database, schedules: Sequence[Schedule], rounds: Rounds) -> None:
        self._database = database
        self._schedules = schedules
        self._rounds = rounds
        self._woken = asyncio.Event()
        self._listener: asyncpg.Connection | None = None
        self._holds = False

    async def run(self) -> None:
        """Run what is due, for ever; outages are waited out, and a run that fails is tried again."""
        delay = 0.05
        try:
            while True:
                try:
                    if await self._active():
                        await self.run_due()
                    delay = 0.05
                    await self._sleep()
                except Exception as error:
                    log.error("schedule_interrupted", service=self._database.service, error=repr(error), exc_info=error)
                    await asyncio.sleep(random.uniform(0.02, delay))  # noqa: S311 - jitter, not a secret
                    delay = min(2.0, delay * 2)
        finally:
            if self._listener is not None:
                self._listener.terminate()

    async def run_due(self) -> None:
        """Run all instants that have come and were not run, oldest first."""
        async with self._database.transaction() as session:
            row = await (await driver(session)).fetchrow(_CLOCK)
        for instant in [row["at"]] if row["driven"] else daily_instants(row["through"], row["now"]):
            if instant > row["through"]:
                await self._run_at(shanghai(instant))
                self._rounds.end()

    async def _run_at(self, instant: datetime) -> None:
        waiting = [schedule for schedule in self._schedules if schedule.run_alone is not None]
        while waiting:
            async with self._database.transaction() as session:
                while waiting and not await _is_due(waiting[0], session, instant):
                    del waiting[0]
            if waiting:
                await self._run_alone(waiting.pop(0), instant)
        together = [schedule for schedule in self._schedules if schedule.run is not None]
        beside = [schedule for schedule in together if schedule.beside]
        if beside:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run([schedule for schedule in together if not schedule.beside], instant))
                for schedule in beside:
                    group.create_task(self._run([schedule], instant))
        async with self._database.transaction() as session:
            await _run_new(session, [] if beside else together, instant)
            await (await driver(session)).execute(_THROUGH, instant)

    async def _run(self, schedules: Sequence[Schedule], instant: datetime) -> None:
        async with self._database.transaction() as session:
            await _run_new(session, schedules, instant)

    async def _run_alone(self, schedule: Schedule, instant: datetime) -> None:
        async def record(session: AsyncSession) -> bool:
            return await record_run(session, schedule.name, instant)

        assert schedule.run_alone is not None
        await schedule.run_alone(self._database, instant, record)

    async def _active(self) -> bool:
        """Hold the service's scheduler lock on the listening connection, and listen to the clock."""
        if self._listener is None or self._listener.is_closed():
            listener = await self._database.connect()
            await listener.add_listener(CHANNEL, self._hear)
            self._listener, self._holds = listener, False
            self._rounds.hurry(somebody_waits=True)
            async with self._database.transaction() as session:
                await session.execute(text("INSERT INTO schedule_state (through) VALUES (business_now()) ON CONFLICT DO NOTHING"))
        if not self._holds:
            self._holds = await self._listener.fetchval("SELECT pg_try_advisory_lock($1)", SCHEDULER_LOCK)
        return self._holds

    def _hear(self, _connection: object, _pid: int, _channel: str, said: object) -> None:
        self._rounds.hurry(somebody_waits=said != UNHURRIED)
        self._woken.set()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()


async def record_run(session: AsyncSession, name: str, instant: datetime) -> bool:
    """Record that a schedule ran at an instant; False if it had run already."""
    return name in await _record_runs(session, [name], instant)


async def _record_runs(session: AsyncSession, names: Sequence[str], instant: datetime) -> set[str]:
    """Record that schedules ran at an instant; returns those that had not run yet."""
    found = await (await driver(session)).fetch(_RECORD_RUNS, names, instant)
    return {row["schedule"] for row in found}


async def _run_new(session: AsyncSession, schedules: Sequence[Schedule], instant: datetime) -> None:
    """Run those that have not run at an instant, in their order, and record that they ran."""
    session.info["instant"] = instant
    new = await _record_runs(session, [schedule.name for schedule in schedules], instant) if schedules else ()
    for schedule in schedules:
        if schedule.run is not None and schedule.name in new:
            await schedule.run(session, instant)


async def _is_due(schedule: Schedule, session: AsyncSession, instant: datetime) -> bool:
    assert schedule.due is not None
    return await schedule.due(session, instant)


_RECORD_RUNS = (
    "INSERT INTO schedule_runs (schedule, instant) SELECT name, $2 FROM unnest($1::text[]) AS name "
    "ON CONFLICT DO NOTHING RETURNING schedule"
)
_THROUGH = f"WITH state AS (UPDATE schedule_state SET through = $1) SELECT pg_notify('{ROUNDS_CHANNEL}', '')"
_CLOCK = (
    "SELECT coalesce(c.driven, false) AS driven, c.at, business_now() AS now, s.through "
    "FROM schedule_state s LEFT JOIN business_clock c ON true"
)
