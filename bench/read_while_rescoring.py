"""The customer 360 at a constant rate while tiering decides a close on the same server, against the same reads with none."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import psutil

from bench.measuring import Figure, Run, cpu_seconds, expect
from bench.overview_data import BRANCHES, fill
from bench.programs import measure
from bench.read_360 import serving, zipf_requests
from bench.rescore_data import copy_of_template, template
from bench.servers import Bench
from shared.db import Database
from shared.identity import make_token
from shared.settings import load_settings

GOAL = 1.5
RATE = 100.0
"""Requests per second: a fifth of what a node of two cores is to serve."""
CONNECTIONS = 16
PAIRS = 3
QUICK_PAIRS = 1
DATABASE = "customer_reads"
LEAD_SECONDS = 0.5
"""So long the close has been running when the reads begin."""
SOURCE_SECONDS = 5.0
"""So long the source of the reads may take to start and to warm up."""
START_SECONDS = 60.0
"""So long the close's process may take to start, which is no part of what is measured."""
_DECIDING = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND state = 'active' AND ltrim(query, E'\\n ') LIKE 'WITH numbers AS%')"
)
"""Not: whether it has begun to write, which with a million accounts it does after a third of its time."""


async def run(bench: Bench) -> list[Figure]:
    """Read in turn with nothing else going on and with the close being decided over and over, each time taken back."""
    accounts, seconds, count = (2_000, 2.0, QUICK_PAIRS) if bench.quick else (100_000, 15.0, PAIRS)
    await template(bench)
    await bench.fresh("customer", DATABASE)
    url = bench.url("customer", DATABASE)
    database = Database("customer", url, "worker")
    await database.open()
    async with bench.admin(DATABASE) as owner:
        await fill(database, owner, accounts)
    await database.close()
    settings = load_settings(local=bench.place, customer_database_url=url)
    job = {
        "tokens": [make_token(settings, "branch_manager", f"B{number}") for number in range(BRANCHES)],
        "requests": [(f"/v1/accounts/{account}/360", token) for account, token in zipf_requests(accounts, 5_000)],
        **{"rate": RATE, "connections": CONNECTIONS, "seconds": seconds},
    }
    environment = {"CRM_LOCAL": str(bench.place), "CRM_CUSTOMER_DATABASE_URL": url, "CRM_LOG_LEVEL": "WARNING"}
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(copy_of_template(bench, "rescore_beside"))
        job["port"] = await stack.enter_async_context(serving("bench.ours_360", environment))
        pairs = [(await _read(job), await _read_beside(bench, owner, job)) for _ in range(bench.pairs or count)]
    await bench.drop(DATABASE)
    return [_figure(pairs)]


async def _read(job: dict[str, Any]) -> dict[str, Any]:
    used, began = _used(), time.perf_counter()
    run, answer = await measure("bench.http_rate", job)
    others = [after - before for before, after in zip(used, _used(), strict=True)]
    expect("answers that were not 200", answer["other"], {})
    expect("answers", answer["amount"], answer["asked"])
    cores = max(others[0] - others[1], 0.0) / (time.perf_counter() - began)
    return {**answer["milliseconds"], "cores_of_others": round(cores, 2), "run": run}


def _used() -> tuple[float, float]:
    """Return the seconds of processor that the whole machine has used, and those that the bench has: others wait in both."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0), sum(cpu_seconds().values())


async def _read_beside(bench: Bench, owner: asyncpg.Connection, job: dict[str, Any]) -> dict[str, Any]:
    rescore = {
        "url": bench.url("tiering", "rescore_beside"),
        "what": "repeat",
        "seconds": job["seconds"] + LEAD_SECONDS + SOURCE_SECONDS,
    }
    deciding = asyncio.create_task(measure("bench.rescore_ours", rescore))
    async with asyncio.timeout(START_SECONDS):
        while not await owner.fetchval(_DECIDING):  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.05)
    await asyncio.sleep(LEAD_SECONDS)
    read = await _read(job)
    expect("whether the re-score outlasted the reads", deciding.done(), False)
    await deciding
    return read


def _figure(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> Figure:
    runs: dict[str, list[Run]] = {"idle": [idle["run"] for idle, _ in pairs], "beside": [beside["run"] for _, beside in pairs]}
    notes = {
        "requests_per_second": RATE,
        "milliseconds": {
            name: [{key: value for key, value in one.items() if key != "run"} for one in of_one]
            for name, of_one in (("idle", [idle for idle, _ in pairs]), ("while_rescoring", [beside for _, beside in pairs]))
        },
    }
    ratios = [beside["p99"] / idle["p99"] for idle, beside in pairs]
    cpu = {name: sum(sum(run.cpu.values()) for run in of_one) / len(of_one) for name, of_one in runs.items()}
    return Figure("read_while_rescoring", "the same reads, p99, with no re-score going on", GOAL, "lower", ratios, cpu, notes)
