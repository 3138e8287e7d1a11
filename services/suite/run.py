"""One run of the suite, from the lock on its directory to the last server's end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from services.suite import history, processes, replaying
from services.suite.forked import Nursery
from services.suite.servers import Servers
from shared.history.csv_files import HistoryError
from shared.local.children import StartFailedError, open_log
from shared.local.supervisor import Supervisor
from shared.local.workplace import OccupiedError, Workplace
from shared.observability import configure_logging
from shared.replay import ReplayError
from shared.settings import Settings

ERRORS = Console(stderr=True)
PARENT_POLL_SECONDS = 0.4
CANCEL_SECONDS = 1.0
WEB_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of `crm suite` asked for; `detached`: do not end when the process that started us does."""

    history: Path | None
    port: int
    reset: bool = False
    detached: bool = False


class RefusedError(RuntimeError):
    """The suite cannot do what it was asked for; the message is one sentence."""


def run(settings: Settings, options: Options, console: Console) -> int:
    """Run the suite until it is ended and return the exit code.

    0 after Ctrl-C or SIGTERM, 1 when it could not go on, 2 when it was asked for something it cannot do. Each failure
    is one sentence on standard error.
    """
    parent = os.getppid()
    place = Workplace(settings.local)
    try:
        with place.occupied():
            if options.reset:
                place.reset()
            _log_to(place.logs / "suite.log", settings)
            _check_port(options.port)
            chosen = history.choose(place, options.history)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(Suite(settings, options, place, chosen, console).run(parent))
    except (OccupiedError, RefusedError, HistoryError) as refusal:
        ERRORS.print(refusal, markup=False, highlight=False, soft_wrap=True)
        return 2
    except (StartFailedError, ReplayError) as failure:
        ERRORS.print(failure, markup=False, highlight=False, soft_wrap=True)
        return 1


class Suite:
    """One run of everything."""

    def __init__(
        self, settings: Settings, options: Options, place: Workplace, chosen: history.Choice | None, console: Console
    ) -> None:
        self.options = options
        self.place = place
        self.chosen = chosen
        self.console = console
        self.url = f"http://127.0.0.1:{options.port}"
        self.began = time.monotonic()
        self.servers = Servers(settings, place)
        self.nursery = Nursery(place.logs / "nursery.log")
        self.supervisor = Supervisor(self._report, self._note_state)

    async def run(self, parent: int) -> int:
        """Start, replay, serve; end everything on a signal, on failure, or when the parent is gone."""
        ending = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        work = asyncio.create_task(self._work(), name="suite")
        waits: list[asyncio.Task[Any]] = [work, asyncio.create_task(ending.wait())]
        if not self.options.detached:
            waits.append(asyncio.create_task(_parent_gone(parent)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.place.note_ending()
            await _cancel(waits)
            await self.supervisor.stop()
            self.nursery.close()
        if not work.done():
            os._exit(0)  # it waits for a server that is gone
        if not work.cancelled():
            work.result()
        return 0

    async def _work(self) -> None:
        self.nursery.start()
        with self.console.status("Starting PostgreSQL and Kafka"):
            taking_up = asyncio.create_task(asyncio.to_thread(replaying.take_up, self.place, self.chosen))
            await self.supervisor.start(self.servers.jobs())
            await self.servers.prepare()
            settings = self.servers.settings
            chosen, read = await taking_up
            replay = await replaying.prepare(settings, self.place, chosen, read)
            history.keep(self.place, chosen)
            await self.supervisor.start(processes.jobs(self.nursery, settings, self.place, self.options.port))
            await _answers(self.options.port)
        try:
            await replay.run(self.console, self.url)
            summary = await replay.summary()
        finally:
            await replay.close()
        replaying.show(self.console, summary, chosen, time.monotonic() - self.began)
        self.console.print(f"Serving on [bold]{self.url}/[/bold] until Ctrl-C.")
        await asyncio.Event().wait()

    def _report(self, name: str, sentence: str) -> None:
        self.console.print(f"[dim]{name} {sentence}[/dim]", highlight=False)

    def _note_state(self) -> None:
        state = {"http": self.url, **self.servers.describe(), "pids": {"suite": os.getpid(), **self.supervisor.pids()}}
        self.place.write_state(state)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait for them as long as it takes at most."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CANCEL_SECONDS)


async def _parent_gone(parent: int) -> None:
    """Return when the process that started us is gone: `make` was killed, or the terminal closed."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us but the question
        await asyncio.sleep(PARENT_POLL_SECONDS)


def _log_to(path: Path, settings: Settings) -> None:
    """Keep the log out of the progress bar's way."""
    configure_logging(settings.log_level, settings.log_format, "suite")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(TextIOWrapper(open_log(path), line_buffering=True))


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RefusedError(f"Port {port} of 127.0.0.1 is taken by another program: choose one with PORT=.") from None


async def _answers(port: int) -> None:
    """Wait until the web process listens. Raises StartFailedError after 30 s."""
    deadline = time.monotonic() + WEB_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise StartFailedError("The web process did not answer within 30 s; its log is .local/logs/web.log.") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
