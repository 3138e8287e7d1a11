"""Live: what standings and radar cost the ingest, all accounts in one branch; and that every rank equals a recount."""

from __future__ import annotations

import random
import time
from datetime import date
from statistics import median
from typing import Any

import asyncpg

from bench.charges import TOPIC, Segment, check_ledger, empty_ledger, make_charges, publish
from bench.measuring import PAIRS, QUICK_PAIRS, Figure, Program, Run, alternate, cpu_by_process, cpu_of, expect, ratios
from bench.programs import measure
from bench.servers import PARTITIONS, Bench

GOAL = 0.8
MILLION = 1e6
QUARTER, LAST_DAY = date(2026, 1, 1), date(2026, 3, 31)
VIP_N, KEY_N = 10, 12
ASKED = 200


async def run(bench: Bench) -> list[Figure]:
    """Measure the ingest with standings and radar against the ingest without, in turn."""
    count, accounts = (30_000, 3_000) if bench.quick else (200_000, 20_000)
    (segment,) = await publish(bench.bootstrap, make_charges(count, accounts, days=90, seed=1))
    job = {
        "url": bench.url("tiering"),
        "bootstrap": bench.bootstrap,
        "topic": TOPIC,
        "partitions": PARTITIONS,
        "totals": [segment.total],
        "ends": segment.ends,
        "loops": PARTITIONS,
    }
    asked: list[float] = []
    async with bench.admin("tiering") as connection:
        await _organisation(connection, accounts)
        programs = {
            "with": _program(connection, "bench.ingest_live", job, segment, asked),
            "without": _program(connection, "bench.ingest_without_live", job, segment, None),
        }
        runs = await alternate(programs, QUICK_PAIRS if bench.quick else PAIRS)
        for table in ("accounts", "unit_ancestors", "units"):
            await connection.execute(f"DELETE FROM {table}")
    notes: dict[str, Any] = {
        "best_per_second": {name: round(max(run.rate for run in of_one)) for name, of_one in runs.items()},
        "cpu_seconds_are": "per million events",
        "cpu_by_process": cpu_by_process(runs, per=MILLION),
        "accounts_in_the_branch": accounts,
        "standing_ms": {"median": round(median(asked), 2), "max": round(max(asked), 2)},
    }
    against = "the same ingest without the look at where an account is, without the standings' index and without the radar"
    return [Figure("live", against, GOAL, "higher", ratios(runs["with"], runs["without"]), cpu_of(runs, per=MILLION), notes)]


async def _organisation(connection: asyncpg.Connection, accounts: int) -> None:
    """Put all accounts into one branch, the worst case, half of them opened on one day so that tenure does not settle a tie."""
    await connection.execute(
        "INSERT INTO units VALUES ('HQ', 'hq', NULL, 1), ('D', 'district', 'HQ', 1), ('B', 'branch', 'D', 1)"
    )
    await connection.execute(
        "INSERT INTO unit_ancestors VALUES ('HQ', 'HQ', 0), ('D', 'D', 0), ('D', 'HQ', 1), ('B', 'B', 0), ('B', 'D', 1), "
        "('B', 'HQ', 2)"
    )
    await connection.execute(
        "INSERT INTO accounts "
        "SELECT 'A' || lpad(n::text, 8, '0'), 'B', 'B', NULL, 'D', DATE '2020-01-01' + n % 2, 'open', false, 1 "
        "FROM generate_series(0, $1 - 1) AS n",
        accounts,
    )


def _program(
    connection: asyncpg.Connection, module: str, job: dict[str, Any], segment: Segment, asked: list[float] | None
) -> Program:
    async def program() -> Run:
        await connection.execute("TRUNCATE branch_paces, branch_seasons, month_paces, month_baselines, radar_alerts")
        await connection.execute("TRUNCATE radar_months")
        await connection.execute("DROP INDEX IF EXISTS charges_of_months, quarter_sums_ranked")
        if asked is not None:
            await connection.execute("CREATE INDEX quarter_sums_ranked ON quarter_sums (branch_code, quarter, magnitude)")
            await connection.execute(
                "CREATE INDEX charges_of_months ON charges USING brin (month) WITH (pages_per_range = 32, autosummarize = on)"
            )
        await empty_ledger(connection)
        run, _ = await measure(module, job)
        expect("events consumed", run.amount, segment.ledger.charges)
        await check_ledger(connection, segment)
        if asked is not None:
            await _check_ranks(connection, segment, asked)
        return run

    return program


async def _check_ranks(connection: asyncpg.Connection, segment: Segment, asked: list[float]) -> None:
    """Compare the standing of many accounts with a recount of the charges by plain arithmetic."""
    sums: dict[str, int] = {}
    for (account, month), (fen, _) in segment.ledger.months.items():
        if QUARTER <= month <= LAST_DAY:
            sums[account] = sums.get(account, 0) + fen
    order = sorted(sums, key=lambda name: (-sums[name], int(name[1:]) % 2, name))
    chosen = {*order[:30], *random.Random(1).sample(order, ASKED)}
    for place, account in enumerate(order, 1):
        if account in chosen:
            began = time.perf_counter()
            row = await connection.fetchrow(_ASK, account, QUARTER, LAST_DAY, VIP_N, KEY_N)
            asked.append((time.perf_counter() - began) * 1000)
            rank = place if place <= VIP_N else place - VIP_N
            tier = "vip" if place <= VIP_N else "key" if rank <= KEY_N else "general"
            expect(f"standing of {account}", tuple(row), (tier, rank, sums[account]))


_ASK = """
SELECT service_tier, place, sum_fen FROM set_config('crm.everything', 'on', false), live_standing($1, $2, $3, $4, $5, NULL)"""
