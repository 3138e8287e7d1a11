"""Memory of tiering's worker while ten times as many accounts are active: state lives in PostgreSQL, not in the process."""

from __future__ import annotations

from statistics import median
from typing import Any

import asyncpg

from bench.charges import TOPIC, Segment, check_ledger, empty_ledger, make_charges, publish
from bench.measuring import PAIRS, Figure, expect
from bench.programs import measure
from bench.servers import PARTITIONS, Bench

GOAL = 1.10
QUICK_PAIRS = 2


async def run(bench: Bench) -> list[Figure]:
    """Have one worker ingest charges of few accounts, then of ten times as many; compare its highest memory in both parts."""
    few, many = (4_000, 40_000) if bench.quick else (100_000, 1_000_000)
    events = (2 * few, many)
    parts = await publish(
        bench.bootstrap,
        make_charges(events[0], few, days=30, seed=2, prefix="SA"),
        make_charges(events[1], many, days=30, seed=3, prefix="SB"),
    )
    async with bench.admin("tiering") as connection:
        answers = [await _once(bench, connection, parts) for _ in range(bench.pairs or (QUICK_PAIRS if bench.quick else PAIRS))]
    highest = [[part["rss_bytes"] for part in answer["parts"]] for answer in answers]
    cpu = {"ours": median(answer["cpu"] for answer in answers)}
    notes: dict[str, Any] = {
        "accounts": [few, many],
        "megabytes": [[round(size / 1e6, 1) for size in pair] for pair in highest],
    }
    ratios = [pair[1] / pair[0] for pair in highest]
    return [Figure("memory", "itself with a tenth of the accounts", GOAL, "lower", ratios, cpu, notes)]


async def _once(bench: Bench, connection: asyncpg.Connection, parts: list[Segment]) -> dict[str, Any]:
    await empty_ledger(connection)
    job = {
        "url": bench.url("tiering"),
        "bootstrap": bench.bootstrap,
        "topic": TOPIC,
        "partitions": PARTITIONS,
        "totals": [part.total for part in parts],
    }
    run, answer = await measure("bench.ingest_ours", job)
    expect("events consumed", run.amount, parts[-1].ledger.charges)
    await check_ledger(connection, parts[-1])
    return answer | {"cpu": sum(run.cpu.values())}
