"""What runs at an instant, in which transactions, and who is told."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import SHANGHAI
from shared.db import Database
from shared.rounds import Rounds
from shared.scheduler import CHANNEL, ROUNDS_CHANNEL, SCHEDULER_LOCK, UNHURRIED, Schedule, Scheduler

START = datetime(2018, 3, 5, 0, 30, tzinfo=SHANGHAI)
DAY = timedelta(days=1)
_END_LISTENER = """
SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND l.objid = $1 AND d.datname = current_database()"""
Run = Callable[[AsyncSession, datetime], Awaitable[None]]


@pytest.fixture
async def driven(kernel_db: Database) -> Database:
    """A database whose clock stands a day after the last instant whose schedules have run."""
    async with kernel_db.transaction() as session:
        await session.execute(
            text("INSERT INTO business_clock (at, driven, history) VALUES (:at, true, 'h')"), {"at": START + DAY}
        )
        await session.execute(text("INSERT INTO schedule_state (through) VALUES (:at)"), {"at": START})
    return kernel_db


async def through(database: Database) -> datetime:
    async with database.transaction() as session:
        found: datetime = (await session.execute(text("SELECT through FROM schedule_state"))).scalar_one()
    return found


async def noted(database: Database) -> list[str]:
    async with database.transaction() as session:
        return list((await session.execute(text("SELECT waybill_no FROM arrivals ORDER BY waybill_no"))).scalars())


def note(name: str, first: Run | None = None) -> Schedule:
    async def run(session: AsyncSession, instant: datetime) -> None:
        await session.execute(text("INSERT INTO arrivals (waybill_no) VALUES (:name)"), {"name": name})
        if first is not None:
            await first(session, instant)

    return Schedule(name, run)


async def test_a_schedule_beside_the_others_runs_at_the_same_time(driven: Database) -> None:
    """Each waits for what the other does: one after the other would wait for ever."""
    begun, done = asyncio.Event(), asyncio.Event()

    async def waits(session: AsyncSession, instant: datetime) -> None:
        begun.set()
        await done.wait()

    async def answers(session: AsyncSession, instant: datetime) -> None:
        await begun.wait()
        done.set()

    schedules = (note("first"), note("main", waits), Schedule("radar", answers, beside=True), note("last"))
    async with asyncio.timeout(20):
        await Scheduler(driven, schedules, Rounds()).run_due()
    assert await noted(driven) == ["first", "last", "main"]
    assert await through(driven) == START + DAY


@pytest.mark.parametrize("broken", ["main", "beside"])
async def test_an_instant_is_over_when_all_have_run_and_none_runs_twice(driven: Database, broken: str) -> None:
    tries: list[str] = []

    def fails_once(name: str) -> Run:
        async def run(session: AsyncSession, instant: datetime) -> None:
            tries.append(name)
            if name == broken and tries.count(name) == 1:
                raise ZeroDivisionError("a bug of ours")

        return run

    beside = note("beside", fails_once("beside"))
    schedules = (note("main", fails_once("main")), Schedule(beside.name, beside.run, beside=True))
    scheduler = Scheduler(driven, schedules, Rounds())
    with pytest.raises(ExceptionGroup):
        await scheduler.run_due()
    assert await through(driven) == START
    assert broken not in await noted(driven), "what it had done is taken back"
    await scheduler.run_due()
    await scheduler.run_due()
    assert await noted(driven) == ["beside", "main"]
    assert await through(driven) == START + DAY


async def test_the_driver_is_told_when_a_round_has_ended(driven: Database) -> None:
    connection, told = await driven.connect(), asyncio.Event()
    await connection.add_listener(ROUNDS_CHANNEL, lambda *_: told.set())
    try:
        await Scheduler(driven, (note("only"),), Rounds()).run_due()
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        await connection.close()
    assert await through(driven) == START + DAY


async def test_the_consumer_is_told_whether_somebody_waits(driven: Database) -> None:
    rounds = Rounds()
    connection = await driven.connect()

    async def until(awaited: bool) -> None:
        async with asyncio.timeout(10):
            while rounds.awaited().is_set() != awaited:  # noqa: ASYNC110 - the scheduler's listener sets it
                await asyncio.sleep(0.01)

    scheduling = asyncio.create_task(Scheduler(driven, (note("only"),), rounds).run())
    try:
        async with asyncio.timeout(10):
            while await through(driven) == START:  # noqa: ASYNC110 - the scheduler listens before it runs anything
                await asyncio.sleep(0.01)
        assert rounds.awaited().is_set(), "as a rule somebody waits"
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, UNHURRIED)
        await until(awaited=False)
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
        await until(awaited=True)
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, UNHURRIED)
        await until(awaited=False)
        await connection.execute("SET ROLE NONE")
        assert await connection.fetchval(_END_LISTENER, SCHEDULER_LOCK), "who no longer hears anything hurries"
        await until(awaited=True)
    finally:
        scheduling.cancel()
        await asyncio.gather(scheduling, return_exceptions=True)
        await connection.close()
