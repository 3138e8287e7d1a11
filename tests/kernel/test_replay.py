"""The driver of a replay, with schedulers of their own in place of the services."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import wall_now
from shared.db import Database
from shared.history.folder import History, read_history
from shared.history.organisation import Account, Unit
from shared.replay import Progress, Replay, begin, instants_of
from shared.rounds import Rounds
from shared.scheduler import CHANNEL, UNHURRIED, Schedule, Scheduler, daily_instants
from tests.history.conftest import GOOD_ROW, HEADERS

SERVICES = ("customer", "tiering", "retention", "tickets")


class Doors:
    """Takes units and accounts, and keeps what it took."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.accounts: list[Account] = []

    async def put_units(self, units: Sequence[Unit]) -> None:
        self.units += units

    async def put_accounts(self, accounts: Sequence[Account]) -> None:
        self.accounts += accounts


@pytest.fixture
def history(tmp_path: Path) -> History:
    """One parcel of the beginning of March 2018: a history of a month."""
    folder = tmp_path / "history"
    folder.mkdir()
    (folder / "shipments.csv").write_text(f"{HEADERS['shipments.csv']}\n{GOOD_ROW}\n")
    return read_history(folder, tmp_path / "rejected")


async def test_a_replay_that_catches_up_ends_when_what_was_missed_has_run(
    kernel_db: Database, kafka: str, history: History
) -> None:
    """The summary of a simulated history counts what fell due since its end; here that is years."""
    databases, ran = dict.fromkeys(SERVICES, kernel_db), list[datetime]()

    async def note(session: AsyncSession, instant: datetime) -> None:
        ran.append(instant)

    await begin(databases, history)
    scheduling = asyncio.create_task(Scheduler(kernel_db, (Schedule("note", note),), Rounds()).run())
    before = wall_now()
    try:
        async with asyncio.timeout(120):
            await Replay(databases, kafka, history, Doors(), dict.fromkeys(SERVICES, ())).run(catch_up=True)
        missed = daily_instants(history.end, before)
        assert len(missed) > 365
        assert set(missed) <= set(ran)
    finally:
        scheduling.cancel()
        with suppress(asyncio.CancelledError):
            await scheduling
        history.close()


@pytest.mark.parametrize("stranger", [False, True], ids=["all are known", "a stranger"])
async def test_nobody_waits_for_pages_until_the_last_window(
    kernel_db: Database, kafka: str, history: History, stranger: bool
) -> None:
    """Customer is told at each instant whether it may let events gather. All services share a database here."""
    history = replace(history, strangers=frozenset({"A9"} if stranger else ()))
    databases, doors, heard, seen = dict.fromkeys(SERVICES, kernel_db), Doors(), list[Any](), list[Progress]()
    await begin(databases, history)
    listener = await kernel_db.connect()
    await listener.add_listener(CHANNEL, lambda _connection, _pid, _channel, said: heard.append(said))
    scheduling = asyncio.create_task(Scheduler(kernel_db, (), Rounds()).run())
    try:
        async with asyncio.timeout(60):
            await Replay(databases, kafka, history, doors, dict.fromkeys(SERVICES, ()), seen.append).run()
        await listener.fetchval("SELECT 1")  # what was said before it has been heard
    finally:
        scheduling.cancel()
        with suppress(asyncio.CancelledError):
            await scheduling
        await listener.close()
        history.close()
    instants = instants_of(history)
    assert [progress.instant for progress in seen] == instants
    assert instants[-1] - instants[0] > timedelta(days=30)
    assert [account.account_no for account in doors.accounts] == ["A1"]
    unhurried = [at for at, said in enumerate(heard) if said == UNHURRIED]
    if stranger:
        assert not unhurried
    else:
        assert len(unhurried) == len(instants) - 1, "told at each instant, but the last"
        assert max(unhurried) < len(heard) - 2
