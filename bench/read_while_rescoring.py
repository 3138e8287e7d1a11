"""The customer 360 at a constant rate while tiering decides a close on the same server, against the same reads with none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from bench.measuring import Figure, Run, expect
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
LEAD_SECONDS = 1.5
"""So long the close has been running when the reads begin."""


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
        await stack.enter_async_context(copy_of_template(bench, "rescore_beside"))
        job["port"] = await stack.enter_async_context(serving("bench.ours_360", environment))
        pairs = [(await _read(job), await _read_beside(bench, job)) for _ in range(bench.pairs or count)]
    await bench.drop(DATABASE)
    return [_figure(pairs)]


async def _read(job: dict[str, Any]) -> dict[str, Any]:
    run, answer = await measure("bench.http_rate", job)
    expect("answers that were not 200", answer["other"], {})
    expect("answers", answer["amount"], answer["asked"])
    return {**answer["milliseconds"], "run": run}


async def _read_beside(bench: Bench, job: dict[str, Any]) -> dict[str, Any]:
    rescore = {"url": bench.url("tiering", "rescore_beside"), "what": "repeat", "seconds": job["seconds"] + 2 * LEAD_SECONDS}
    deciding = asyncio.create_task(measure("bench.rescore_ours", rescore))
    await asyncio.sleep(2 * LEAD_SECONDS)  # half of it for the start of the process
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
