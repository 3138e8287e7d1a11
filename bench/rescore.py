"""The re-score of a million accounts with 24 months of totals: a quarter's close by the suite's own code, and 1 % of it again.

Against statements written by hand over the same tables, against DuckDB over the same data in Parquet, and the part against the
whole. Polars recounts it in the same run, and each run must write the same rows to the last bit.
"""

from __future__ import annotations

import asyncio
import time
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from bench import closing_by_hand, rescore_changed, rescore_oracle
from bench.duckdb_env import duckdb_python
from bench.measuring import Figure, Program, Run, alternate, cpu_between, cpu_by_process, cpu_of, cpu_seconds, expect
from bench.programs import measure
from bench.rescore_data import BRANCHES, DISTRICTS, INSTANT, MONTH, TEMPLATE, Rescored, copy_of_template, template
from bench.rescore_export import DECIDED, QUARTER_MOVEMENTS, export, read
from bench.servers import Bench
from services.tiering import closing
from shared.db import Database
from shared.months import add_months, last_day

GOAL = 2.0
DUCKDB_GOAL = 8.0
CHANGED_GOAL = 0.05
MEMORY_GOAL = 300_000_000
PAIRS = 3
QUICK_PAIRS = 1
TABLES = ("decisions", "movements", "quarter_movements")
WATCH_SECONDS = 0.1
NO_CHARGES: list[Any] = []


class Checked:
    """What is known of all runs so far: each must have written the same rows."""

    def __init__(self, folder: Path, accounts: int) -> None:
        self.folder = folder
        self.accounts = accounts
        self.rows: set[str] = set()
        self.changed: list[Run] = []
        self.notes: dict[str, Any] = {}
        self.worker_bytes: list[int] = []
        self.backend_bytes: list[int] = []


async def run(bench: Bench) -> list[Figure]:
    """Measure ours, the statements by hand and DuckDB in turn, each of the first two on a fresh copy of one database."""
    filled = await template(bench)
    folder = bench.place / "rescore"
    async with bench.admin(TEMPLATE) as owner:
        await export(owner, folder)
    checked = Checked(folder, filled.accounts)
    python = await duckdb_python(bench.place.parent)
    programs = {"by_hand": _by_hand(bench, checked), "ours": _ours(bench, checked), "duckdb": _duckdb(checked, python)}
    runs = await alternate(programs, bench.pairs or (QUICK_PAIRS if bench.quick else PAIRS))
    await _close_as_scheduled(bench, checked)
    return _figures(filled, runs, checked)


def _figures(filled: Rescored, runs: dict[str, list[Run]], checked: Checked) -> list[Figure]:
    cpu = cpu_of({**runs, "changed": checked.changed})
    seconds = {name: [run.seconds for run in of_one] for name, of_one in runs.items()}
    notes: dict[str, Any] = {
        **{"accounts": filled.accounts, "totals": filled.totals, "branches": BRANCHES, "districts": DISTRICTS},
        "seconds": {name: [round(second, 2) for second in of_one] for name, of_one in seconds.items()},
        "cpu_by_process": cpu_by_process(runs),
        **checked.notes,
    }
    ours = seconds["ours"]

    def against(name: str) -> list[float]:
        return [mine / other for mine, other in zip(ours, seconds[name], strict=True)]

    changed = [part.seconds / whole for part, whole in zip(checked.changed, ours, strict=True)]
    highest = [max(pair) / MEMORY_GOAL for pair in zip(checked.worker_bytes, checked.backend_bytes, strict=True)]
    megabytes = {"worker": checked.worker_bytes, "postgres_backend": checked.backend_bytes}
    return [
        Figure(
            "rescore",
            "INSERT ... SELECT by hand of the same decisions and movements (x its seconds)",
            *(GOAL, "lower", against("by_hand"), {name: cpu[name] for name in ("ours", "by_hand")}, notes),
        ),
        Figure(
            "rescore_duckdb",
            "DuckDB, Parquet to Parquet, 2 threads (x its seconds)",
            *(DUCKDB_GOAL, "lower", against("duckdb"), {name: cpu[name] for name in ("ours", "duckdb")}),
        ),
        Figure(
            "rescore_changed",
            "the whole, where 1 % of the accounts have late charges",
            *(CHANGED_GOAL, "lower", changed, {"changed": cpu["changed"], "whole": cpu["ours"]}),
            {"seconds": [round(run.seconds, 3) for run in checked.changed]},
        ),
        Figure(
            "rescore_memory",
            "300 MB, the worker or its backend, whichever has more",
            *(1.0, "lower", highest),
            notes={"megabytes": {name: [round(size / 1e6, 1) for size in sizes] for name, sizes in megabytes.items()}},
        ),
    ]


def _by_hand(bench: Bench, checked: Checked) -> Program:
    async def program() -> Run:
        async with copy_of_template(bench, "rescore_by_hand") as owner:
            url = bench.url("tiering", "rescore_by_hand")
            connection = await asyncpg.connect(url, server_settings={"role": "tiering_worker"}, ssl=False)
            before, began = cpu_seconds(), time.perf_counter()
            async with connection.transaction():
                await connection.execute("SET LOCAL work_mem = '64MB'")
                await closing_by_hand.decide(connection, MONTH, INSTANT)
                await closing_by_hand.detect(connection, MONTH, INSTANT)
            run = Run(1, time.perf_counter() - began, cpu_between(before, cpu_seconds()))
            await connection.close()
            await check_rows(owner, checked)
        return run

    return program


def _ours(bench: Bench, checked: Checked) -> Program:
    async def program() -> Run:
        async with copy_of_template(bench, "rescore_ours") as owner:
            url = bench.url("tiering", "rescore_ours")
            watching = asyncio.create_task(_highest_backend(owner))
            run, answer = await measure("bench.rescore_ours", {"url": url, "what": "decide"})
            watching.cancel()
            checked.backend_bytes.append((await asyncio.gather(watching))[0])
            checked.worker_bytes.append(answer["rss_bytes"])
            if len(checked.worker_bytes) == 1:
                await check_decided(owner, checked)
            await check_rows(owner, checked)
            expect("accounts decided", answer["amount"], await owner.fetchval(_DECIDED_COUNT, MONTH))
            first = not checked.changed
            changed, notes = await rescore_changed.rejudge(url, owner, checked.folder, checked.accounts, again=first)
            checked.changed.append(changed)
            checked.notes |= notes
        return Run(1, run.seconds, run.cpu)

    return program


_DECIDED_COUNT = "SELECT count(*) FROM decisions WHERE month = $1"


def _duckdb(checked: Checked, python: str) -> Program:
    dates = {
        **{"month": MONTH, "previous": add_months(MONTH, -1), "before_previous": add_months(MONTH, -2)},
        **{"quarter_before": add_months(MONTH, -3), "base_start": add_months(MONTH, -5), "day": last_day(MONTH)},
    }
    job = {
        "folder": str(checked.folder),
        "threads": 2,
        "instant": INSTANT.isoformat(),
        "dates": {name: date.isoformat(value) for name, value in dates.items()},
    }

    async def program() -> Run:
        run, answer = await measure("bench.rescore_duckdb", job, python=python)
        if "duckdb" not in checked.notes:
            await asyncio.to_thread(rescore_oracle.check_duckdb, checked.folder, MONTH)
        checked.notes["duckdb"] = answer["version"]
        return run

    return program


async def check_decided(owner: asyncpg.Connection, checked: Checked) -> None:
    """Compare every account's tier, grade, band and rank, and all movements, with Polars' recount. Raises WrongTotalError."""
    expected = await asyncio.to_thread(rescore_oracle.close, checked.folder, MONTH)
    expect("decisions", await owner.fetchval(_DECIDED_COUNT, MONTH), expected.height)
    found = await read(owner, DECIDED, checked.folder)
    expect("decisions that Polars takes otherwise", rescore_oracle.differing(expected, found), 0)
    quarterly = await read(owner, QUARTER_MOVEMENTS, checked.folder)
    expected_quarterly = rescore_oracle.quarter_movements(expected)
    expect("quarterly movements that Polars finds otherwise", rescore_oracle.differing(expected_quarterly, quarterly), 0)
    await rescore_changed.check_movements(owner, checked.folder, NO_CHARGES)
    checked.notes |= {"quarter_movements": quarterly.height}


_COLUMNS = """
SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_name = $1 AND column_name NOT IN ('known_seq', 'changed')"""
"""All but the ledger point, which says when a run was, not what it found, and the mark of what is told, which only we write."""


async def check_rows(owner: asyncpg.Connection, checked: Checked) -> None:
    """Compare all columns of what was written with what the other runs wrote. Raises WrongTotalError."""
    found = []
    for table in TABLES:
        columns = await owner.fetchval(_COLUMNS, table)
        hashes = f"sum(hashtextextended(({columns})::text, 0)::numeric)"
        found.append(await owner.fetchval(f"SELECT (count(*), {hashes})::text FROM {table}"))
    checked.rows.add(" ".join(found))
    expect("different results among the runs of both programs", len(checked.rows), 1)


async def _close_as_scheduled(bench: Bench, checked: Checked) -> None:
    """Close behind the gate with all events, as the schedule does: the same rows; then a second run, which changes none."""
    async with copy_of_template(bench, "rescore_closed") as owner:
        url = bench.url("tiering", "rescore_closed")
        run, _ = await measure("bench.rescore_ours", {"url": url, "what": "close"})
        await check_rows(owner, checked)
        checked.notes["close_with_events"] = {
            "seconds": round(run.seconds, 2),
            "events": await owner.fetchval("SELECT count(*) FROM outbox"),
        }
        database = Database("tiering", url, "worker")
        await database.open()
        await closing.close_months(database, INSTANT, _unrecorded)
        await database.close()
        await rescore_changed.judge(url)
        await check_rows(owner, checked)


async def _unrecorded(_session: object) -> bool:
    return True


async def _highest_backend(owner: asyncpg.Connection) -> int:
    """Return the most memory of its own that one backend of the worker has had, until cancelled: without shared buffers."""
    highest = 0
    try:
        while True:
            for row in await owner.fetch(_BACKENDS):
                highest = max(highest, _own_memory(row["pid"]))
            await asyncio.sleep(WATCH_SECONDS)
    except asyncio.CancelledError:
        return highest


_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def _own_memory(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("RssAnon", "0 kB").split()[0]) * 1024
