"""Keeps a set of processes alive: a dead one is started again, without end; at the end all are ended, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.local.children import StartFailedError

LONGEST_DELAY = 5.0
FRESH_AFTER = 30.0
"""Seconds of life after which a process counts as healthy again."""
POLL_SECONDS = 0.1


class Process(Protocol):
    """What is supervised: a `subprocess.Popen`, or something like it."""

    pid: int
    returncode: Any

    def poll(self) -> int | None:
        """Return the exit code once it has ended."""

    def wait(self) -> int:
        """Wait for its end."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


@dataclass(slots=True)
class Backoff:
    """How long to wait before a process is started again: 0.1 s, doubled at each early death, 5 s at most."""

    delay: float = 0.0

    def after(self, life: float) -> float:
        """Seconds to wait after a life of so many seconds."""
        self.delay = 0.1 if self.delay == 0.0 or life > FRESH_AFTER else min(self.delay * 2, LONGEST_DELAY)
        return self.delay


@dataclass(slots=True)
class Job:
    """One process to keep alive.

    `launch` starts it and may take its time where `in_thread` says so (servers, which watch our process; our own
    workers watch the thread that started them and are started by the main one). Jobs of a higher `rank` are ended
    first, those of one rank together, killed after `patience` seconds.
    """

    name: str
    launch: Callable[[], Process]
    rank: int
    patience: float
    in_thread: bool = False
    process: Process | None = None
    restarts: int = 0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Starts jobs, watches them, and ends them.

    `report(name, sentence)` is told of every death, `changed()` after every start.
    """

    def __init__(self, report: Callable[[str, str], None], changed: Callable[[], None]) -> None:
        self.jobs: list[Job] = []
        self._report = report
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, jobs: Sequence[Job]) -> None:
        """Start these jobs for the first time, all at once; the first failure is raised as StartFailedError."""
        self.jobs += jobs
        await asyncio.gather(*(self._launch(job) for job in jobs))
        self._tasks += [asyncio.create_task(self._keep(job), name=job.name) for job in jobs]

    async def stop(self) -> None:
        """End everything, highest rank first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for rank in sorted({job.rank for job in self.jobs}, reverse=True):
            await asyncio.gather(*(_end(job) for job in self.jobs if job.rank == rank))

    def pids(self) -> dict[str, int]:
        """The process of every job that has one."""
        return {job.name: job.process.pid for job in self.jobs if job.process is not None}

    async def _launch(self, job: Job) -> None:
        if not job.in_thread:
            job.process = job.launch()
            self._changed()
            return
        launching = asyncio.create_task(asyncio.to_thread(job.launch))
        try:
            job.process = await asyncio.shield(launching)
            self._changed()
        except asyncio.CancelledError:
            job.process = await launching  # a thread cannot be cancelled, and what it starts must be ended
            raise

    async def _keep(self, job: Job) -> None:
        while True:
            born = time.monotonic()
            while job.process is not None and job.process.poll() is None:  # noqa: ASYNC110 - a process tells nobody
                await asyncio.sleep(POLL_SECONDS)
            code = job.process.returncode if job.process is not None else None
            delay = job.backoff.after(time.monotonic() - born)
            self._report(job.name, f"{_how_it_ended(code)}, starts again in {delay:.1f} s")
            await asyncio.sleep(delay)
            job.restarts += 1
            try:
                await self._launch(job)
            except (StartFailedError, OSError) as problem:
                job.process = None
                self._report(job.name, str(problem))


async def _end(job: Job) -> None:
    process = job.process
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
    deadline = time.monotonic() + job.patience
    while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)
    if process.poll() is None:
        process.kill()
        await asyncio.to_thread(process.wait)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "did not start"
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
