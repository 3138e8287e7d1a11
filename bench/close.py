"""The close of a month that ends a quarter, for a million accounts, against one statement that writes the same decisions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench import closing_by_hand
from bench.closing_data import BRANCHES, DIGEST, INSTANT, MONTH, Expected, expect_close, fill
from bench.measuring import (
    PAIRS,
    QUICK_PAIRS,
    Figure,
    Program,
    Run,
    alternate,
    cpu_between,
    cpu_by_process,
    cpu_of,
    cpu_seconds,
    expect,
)
from bench.servers import Bench
from services.tiering import closing
from services.tiering.freight import LEDGER
from shared.db import Database
from shared.scheduler import record_run

GOAL = 1.5
BLOCKED_GOAL = 0.2
TEMPLATE = "closing_template"
PAUSE_SECONDS = 0.005


async def run(bench: Bench) -> list[Figure]:
    """Measure both on copies of one database, each copy used once; an ingest knocks at the gate all the while."""
    accounts = bench.count(15_000, 1_000_000)
    await bench.fresh("tiering", TEMPLATE)
    database = Database("tiering", bench.url("tiering", TEMPLATE), "worker")
    await database.open()
    async with bench.admin(TEMPLATE) as owner:
        await fill(database, owner, accounts)
    await database.close()
    expected = expect_close(accounts)
    rows: set[str] = set()
    waits: list[float] = []
    programs = {"by_hand": _by_hand(bench, expected, rows), "ours": _ours(bench, expected, rows, waits)}
    runs = await alternate(programs, bench.pairs or (QUICK_PAIRS if bench.quick else PAIRS))
    await bench.drop(TEMPLATE)
    seconds = [mine.seconds / other.seconds for mine, other in zip(runs["ours"], runs["by_hand"], strict=True)]
    cpu = cpu_of(runs)
    notes: dict[str, Any] = {
        "accounts": accounts,
        "best_seconds": {name: round(min(run.seconds for run in of_one), 2) for name, of_one in runs.items()},
        "ingest_blocked_seconds": {"max": round(max(waits), 4), "to_reach": BLOCKED_GOAL, "each": [round(w, 4) for w in waits]},
        "cpu_by_process": cpu_by_process(runs),
    }
    against = "one hand-written INSERT ... SELECT of the same decision rows (x its seconds)"
    return [Figure("close", against, GOAL, "lower", seconds, {name: cpu[name] for name in ("ours", "by_hand")}, notes)]


def _by_hand(bench: Bench, expected: Expected, rows: set[str]) -> Program:
    async def program() -> Run:
        async with _copy(bench, "closing_by_hand") as (url, owner):
            connection = await asyncpg.connect(url, server_settings={"role": "tiering_worker"}, ssl=False)
            before, began = cpu_seconds(), time.perf_counter()
            async with connection.transaction():
                await connection.execute("SET LOCAL work_mem = '64MB'")
                await closing_by_hand.decide(connection, MONTH, INSTANT)
            run = Run(1, time.perf_counter() - began, cpu_between(before, cpu_seconds()))
            await connection.close()
            await check_decisions(owner, expected, rows)
        return run

    return program


def _ours(bench: Bench, expected: Expected, rows: set[str], waits: list[float]) -> Program:
    async def program() -> Run:
        async with _copy(bench, "closing_ours") as (url, owner):
            database = Database("tiering", url, "worker")
            await database.open()
            await _connect(database)
            stop = asyncio.Event()
            knocking = asyncio.create_task(_knock(url, stop))
            await asyncio.sleep(0.1)
            before, began = cpu_seconds(), time.perf_counter()
            await closing.close_months(database, INSTANT, lambda session: record_run(session, "close", INSTANT))
            run = Run(1, time.perf_counter() - began, cpu_between(before, cpu_seconds()))
            stop.set()
            waits.append(await knocking)
            await database.close()
            await check_decisions(owner, expected, rows)
            await check_events(owner, expected)
        return run

    return program


async def _connect(database: Database) -> None:
    """Open the three connections that a close takes: a worker that has run for a while has them, as the other program its one."""
    async with database.transaction() as one, database.transaction() as two, database.transaction() as three:
        for session in (one, two, three):
            await session.connection()


async def _knock(url: str, stop: asyncio.Event) -> float:
    """Take the gate as an ingest does, again and again, and return the longest wait for it in seconds."""
    connection = await asyncpg.connect(url, server_settings={"role": "tiering_worker"}, ssl=False)
    longest = 0.0
    while not stop.is_set():
        async with connection.transaction():
            began = time.perf_counter()
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", LEDGER)
            longest = max(longest, time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    await connection.close()
    return longest


@asynccontextmanager
async def _copy(bench: Bench, name: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    await bench.copy("tiering", name, TEMPLATE)
    try:
        async with bench.admin(name) as owner:
            yield bench.url("tiering", name), owner
    finally:
        await bench.drop(name)


async def check_decisions(owner: asyncpg.Connection, expected: Expected, rows: set[str]) -> None:
    """Compare the decisions with the recount, and every column of them with those of the run before. Raises WrongTotalError."""
    counts = await owner.fetchrow(
        "SELECT count(*) AS n, count(*) FILTER (WHERE service_tier = 'vip') AS vips, "
        "count(*) FILTER (WHERE service_tier = 'key') AS keys FROM decisions WHERE month = $1",
        MONTH,
    )
    expect("decisions", (counts["n"], counts["vips"], counts["keys"]), (expected.accounts, expected.vips, expected.keys))
    expect("digest of the decisions", await owner.fetchval(DIGEST, MONTH), expected.digest)
    rows.add(
        await owner.fetchval(
            "SELECT sum(hashtextextended((to_jsonb(d) - 'changed')::text, 0)::numeric)::text FROM decisions d WHERE month = $1",
            MONTH,
        )  # the mark of what is told is ours alone
    )
    expect("different decision tables among the runs of both programs", len(rows), 1)


async def check_events(owner: asyncpg.Connection, expected: Expected) -> None:
    """Compare movements and published events with the recount: what did not change is not published. Raises WrongTotalError."""
    kinds = await owner.fetch("SELECT kind, count(*) AS n FROM movements WHERE month = $1 GROUP BY kind", MONTH)
    half = expected.movers // 2
    expect("movements", {row["kind"]: row["n"] for row in kinds}, {"fall_over_half": half, "zero_month": expected.movers - half})
    decliners = BRANCHES * min(4, expected.movers // BRANCHES)
    kinds = await owner.fetch("SELECT kind, count(*) AS n FROM quarter_movements WHERE detected_at = $1 GROUP BY kind", INSTANT)
    quarterly = {"decliner": decliners, "fall": expected.movers - decliners}
    expect("quarterly movements", {row["kind"]: row["n"] for row in kinds}, {k: n for k, n in quarterly.items() if n})
    found = {row["type"]: row["n"] for row in await owner.fetch("SELECT type, count(*) AS n FROM outbox GROUP BY type")}
    changes = ("tiers-changed", "movement-detected", "quarter-movement-detected")
    events = {"tiering.month-closed.v1": 1} | {f"tiering.{name}.v1": expected.movers for name in changes}
    expect("events", found, events)
    expect("runs recorded", await owner.fetchval("SELECT count(*) FROM schedule_runs"), 1)
