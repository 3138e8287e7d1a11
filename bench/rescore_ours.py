"""The suite's own re-score in a process of its own, as the worker runs it: a quarter's close, a re-judging, or closes on end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.programs import highest_memory_bytes, ready, run_program
from bench.rescore_data import INSTANT, MONTH, decide
from services.tiering import closing, restatement
from shared.db import Database
from shared.scheduler import record_run


class _UndoError(Exception):
    """Takes back what a close decided, so that it can be decided again."""


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Do what `job` names (decide, close, rejudge, repeat), once it may go; answers seconds and the highest memory in bytes."""
    database = Database("tiering", job["url"], "worker")
    await database.open()
    before = highest_memory_bytes()
    await ready()
    began = time.perf_counter()
    amount = await _WHAT[job["what"]](database, job)
    seconds = time.perf_counter() - began
    await database.close()
    return {"amount": amount, "seconds": seconds, "rss_bytes": highest_memory_bytes(), "rss_before_bytes": before}


async def _decide(database: Database, _job: dict[str, Any]) -> int:
    return await decide(database, MONTH, INSTANT)


async def _close(database: Database, _job: dict[str, Any]) -> int:
    """Close as the schedule does: behind the gate, and with all that is published."""
    await closing.close_months(database, INSTANT, lambda session: record_run(session, "close", INSTANT))
    return 1


async def _rejudge(database: Database, job: dict[str, Any]) -> int:
    async with database.transaction() as session:
        await restatement.rejudge(session, INSTANT)
    return int(job["accounts"])


async def _repeat(database: Database, job: dict[str, Any]) -> int:
    """Decide again and again for so many seconds, each time taken back; returns how often it got to the end."""
    times = 0
    deadline = time.perf_counter() + job["seconds"]
    while time.perf_counter() < deadline:
        try:
            async with asyncio.timeout(max(deadline - time.perf_counter(), 0.01)):
                await decide(database, MONTH, INSTANT, finish=_undo)
        except (_UndoError, TimeoutError) as ended:
            times += isinstance(ended, _UndoError)
    return times + 1


async def _undo() -> None:
    raise _UndoError


_WHAT = {"decide": _decide, "close": _close, "rejudge": _rejudge, "repeat": _repeat}

if __name__ == "__main__":
    run_program(main)
