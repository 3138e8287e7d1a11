"""The replay as the person at the terminal sees it: a bar with the business day and the findings, then a summary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.suite import findings
from services.suite.doors import HttpDoors
from services.suite.history import Choice, kept, origin, simulate
from shared.clock import shanghai
from shared.db import Database
from shared.history.csv_files import HistoryError
from shared.history.folder import History, read_history
from shared.identity import make_token
from shared.local.workplace import Workplace
from shared.months import business_month, month_text
from shared.replay import Progress as Step
from shared.replay import Replay, begin
from shared.settings import SERVICES, Settings

FINDINGS_SECONDS = 1.0


def take_up(place: Workplace, chosen: Choice | None) -> tuple[Choice, History | None]:
    """Simulate a history where none was chosen, and read it where it is new here: while the servers start, not after."""
    new = kept(place) is None
    chosen = chosen or simulate(place)
    return chosen, read_history(Path(chosen.folder), place.rejected) if new else None


async def prepare(settings: Settings, place: Workplace, chosen: Choice, read: History | None = None) -> Replaying:
    """Read what is still to be replayed, unless it was read, and set the first clock row, before any worker starts.

    Raises HistoryError where the folder cannot be used or the databases live on another history.
    """
    databases = {name: Database(name, settings.database_url(name), "worker", 1) for name in SERVICES}
    history: History | None = None
    if await _is_unfinished(databases, chosen):
        history = read if read is not None else await asyncio.to_thread(read_history, Path(chosen.folder), place.rejected)
        if history.digest != chosen.digest:
            raise HistoryError(f"{chosen.folder} has changed since its replay began: add RESET=1 to begin afresh with it.")
        await begin(databases, history)
    return Replaying(settings, chosen, databases, history)


async def _is_unfinished(databases: dict[str, Database], chosen: Choice) -> bool:
    unfinished = False
    for name, database in databases.items():
        connection = await database.connect()
        try:
            clock = await connection.fetchrow("SELECT driven, history FROM business_clock")
        finally:
            await connection.close()
        if clock is not None and clock["history"] != chosen.digest:
            raise HistoryError(f"The database of {name} lives on another history than {chosen.folder}: empty it first.")
        unfinished = unfinished or clock is None or clock["driven"]
    return unfinished


@dataclass(slots=True)
class Replaying:
    """A replay that is ready to run; `history` is None where all of it was replayed before."""

    settings: Settings
    chosen: Choice
    databases: dict[str, Database]
    history: History | None
    found: dict[str, int] = field(default_factory=dict)

    async def run(self, console: Console, url: str) -> None:
        """Replay what is left, with a progress bar. Raises ReplayError with one sentence where it cannot go on."""
        if self.history is not None:
            with _bar(console) as bar:
                task = bar.add_task("starting", total=None, found="")
                async with self._watching(bar, task):
                    await self._replay(console, url, bar, task)

    async def summary(self) -> dict[str, int]:
        """Return how much of everything there is now, in the order in which it is shown."""
        return await findings.count_all(self.databases)

    async def close(self) -> None:
        """Close all connections."""
        for database in self.databases.values():
            await database.close()

    async def _replay(self, console: Console, url: str, bar: Progress, task: TaskID) -> None:
        assert self.history is not None
        shown = ""

        def show(step: Step) -> None:
            nonlocal shown
            day = shanghai(step.instant).date()
            bar.update(task, completed=step.done, total=step.total, description=f"business day {day}")
            month = month_text(business_month(step.instant))
            if month != shown and not console.is_terminal:
                shown = month
                console.print(f"business day {day}  {findings.sentence(self.found)}", highlight=False)

        root = next(unit.unit_code for unit in self.history.units if unit.kind == "hq")
        async with HttpDoors(url, make_token(self.settings, "ops_hq", root)) as doors:
            replay = Replay(self.databases, self.settings.bootstrap(), self.history, doors, subscribed(), show)
            await replay.run(catch_up=self.chosen.simulated)

    @asynccontextmanager
    async def _watching(self, bar: Progress, task: TaskID) -> AsyncIterator[None]:
        """Count the findings every few seconds while the block runs."""
        kept: dict[str, asyncpg.Connection] = {}

        async def watch() -> None:
            while True:
                self.found = await findings.count_main(self.databases, kept)
                bar.update(task, found=findings.sentence(self.found))
                await asyncio.sleep(FINDINGS_SECONDS)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            findings.forget(kept)


def subscribed() -> dict[str, list[str]]:
    """Return the topics that each service reads."""
    topics = {}
    for name in SERVICES:
        subscriptions = import_module(f"services.{name}.subscriptions").SUBSCRIPTIONS
        topics[name] = sorted({subscription.event.TOPIC for subscription in subscriptions})
    return topics


def show(console: Console, summary: dict[str, int], chosen: Choice, seconds: float) -> None:
    """Print the summary table."""
    console.print(origin(chosen), markup=False, highlight=False)
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in summary.items():
        table.add_row(name, f"{number:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    console.print(table)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[found]}"),
        console=console,
        disable=not console.is_terminal,
    )
