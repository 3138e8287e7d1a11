"""Ingest: charges from `freight.events` to committed versions, standing charges and monthly totals, behind gate and fence."""

from __future__ import annotations

from typing import Any

import asyncpg

from bench import ingest_l3
from bench.charges import TOPIC, Segment, check_ledger, empty_ledger, make_charges, publish
from bench.measuring import PAIRS, QUICK_PAIRS, Figure, Program, Run, alternate, cpu_by_process, cpu_of, expect, ratios
from bench.programs import measure
from bench.servers import PARTITIONS, Bench

GOAL = 0.65
FLOOR = 0.50
GOAL_NAIVE = 15.0
MILLION = 1e6


async def run(bench: Bench) -> list[Figure]:
    """Measure ours against L3 and against one message at a time, in turns of three."""
    count, accounts, messages = (30_000, 3_000, 300) if bench.quick else (200_000, 20_000, 3_000)
    (segment,) = await publish(bench.bootstrap, make_charges(count, accounts, days=90, seed=1))
    job = {
        "url": bench.url("tiering"),
        "bootstrap": bench.bootstrap,
        "topic": TOPIC,
        "partitions": PARTITIONS,
        "totals": [segment.total],
        "ends": segment.ends,
        "loops": PARTITIONS,
        "messages": messages,
    }
    owner = {**job, "url": bench.postgres.url("tiering_owner", "tiering")}
    async with bench.admin("tiering") as connection:
        await connection.execute(ingest_l3.TABLE)
        await connection.execute("ALTER TABLE l3_charges OWNER TO tiering_owner")
        programs = {
            "l3": _other(connection, "bench.ingest_l3", owner, segment.ledger.charges),
            "ours": _ours(connection, job, segment),
            "naive": _other(connection, "bench.ingest_one_by_one", owner, messages),
        }
        if not bench.quick:
            programs["l3_one_loop"] = _other(connection, "bench.ingest_l3", owner | {"loops": 1}, segment.ledger.charges)
        runs = await alternate(programs, QUICK_PAIRS if bench.quick else PAIRS)
        await connection.execute("DROP TABLE l3_charges")
    rates = {name: round(max(run.rate for run in of_one)) for name, of_one in runs.items()}
    cpu = cpu_of(runs, per=MILLION)
    by_process = cpu_by_process(runs, per=MILLION)
    notes: dict[str, Any] = {
        "floor": FLOOR,
        "best_per_second": rates,
        "cpu_seconds_are": "per million events",
        "cpu_by_process": {name: by_process[name] for name in runs},
    }
    if "l3_one_loop" in runs:
        notes["against_l3_in_one_loop"] = Figure("", "", GOAL, "higher", ratios(runs["ours"], runs["l3_one_loop"])).as_dict()[
            "ratio"
        ]
    return [
        Figure(
            "ingest",
            "L3: aiokafka getmany, msgspec, one idempotent INSERT per batch, one loop per partition",
            GOAL,
            "higher",
            ratios(runs["ours"], runs["l3"]),
            {name: cpu[name] for name in ("ours", "l3")},
            notes,
        ),
        Figure(
            "ingest_naive",
            "one message, one SQLAlchemy upsert, one commit",
            GOAL_NAIVE,
            "higher",
            ratios(runs["ours"], runs["naive"]),
            {name: cpu[name] for name in ("ours", "naive")},
            {"messages": messages, "best_per_second": rates, "cpu_seconds_are": "per million events"},
        ),
    ]


def _ours(connection: asyncpg.Connection, job: dict[str, Any], segment: Segment) -> Program:
    async def program() -> Run:
        await empty_ledger(connection)
        run, _ = await measure("bench.ingest_ours", job)
        expect("events consumed", run.amount, segment.ledger.charges)
        await check_ledger(connection, segment)
        return run

    return program


def _other(connection: asyncpg.Connection, module: str, job: dict[str, Any], rows: int) -> Program:
    async def program() -> Run:
        await connection.execute("TRUNCATE l3_charges")
        await connection.execute("CHECKPOINT")
        run, _ = await measure(module, job)
        expect(f"rows of {module}", await connection.fetchval("SELECT count(*) FROM l3_charges"), rows)
        return run

    return program
