"""Scoring a million accounts from table to table, against COPY out, bare numpy and COPY in of the same CLV."""

from __future__ import annotations

from typing import Any

from bench import programs
from bench.measuring import PAIRS, QUICK_PAIRS, Figure, Program, Run, alternate, cpu_by_process, cpu_of, expect
from bench.scoring_data import ALIKE, BARE_TABLE, FILL, MONTH
from bench.servers import Bench

GOAL = 1.5
PEAK_GOAL_MB = 300
DATABASE = "scoring"


async def run(bench: Bench) -> list[Figure]:
    """Measure both on one database; each run writes all scores anew, and every account has to be scored alike."""
    accounts = 50_000 if bench.quick else 1_000_000
    await bench.fresh("tiering", DATABASE)
    async with bench.admin(DATABASE) as owner:
        await owner.execute(FILL, accounts, MONTH)
        for statement in BARE_TABLE.split(";"):
            await owner.execute(statement)
        await owner.execute("VACUUM ANALYZE score_inputs")
    peaks: dict[str, list[float]] = {"ours": [], "bare": []}
    programs_of = {name: _program(bench, name, accounts, peaks[name]) for name in ("bare", "ours")}
    runs = await alternate(programs_of, QUICK_PAIRS if bench.quick else PAIRS)
    await bench.drop(DATABASE)
    seconds = [mine.seconds / other.seconds for mine, other in zip(runs["ours"], runs["bare"], strict=True)]
    cpu = cpu_of(runs, per=accounts)
    notes: dict[str, Any] = {
        "accounts": accounts,
        "best_seconds": {name: round(min(one.seconds for one in of_one), 2) for name, of_one in runs.items()},
        "peak_mb": {name: round(max(found)) for name, found in peaks.items()} | {"to_reach": PEAK_GOAL_MB},
        "cpu_by_process": cpu_by_process(runs, per=accounts),
        "ours_also_computes": "RFM, churn risk, forecast with interval, digests; the bare program writes neutral values there",
    }
    against = "COPY out, bare numpy (BG/NBD, Gamma-Gamma), COPY in (x its seconds)"
    return [Figure("scoring", against, GOAL, "lower", seconds, {name: cpu[name] for name in ("ours", "bare")}, notes)]


def _program(bench: Bench, name: str, accounts: int, peaks: list[float]) -> Program:
    table = {"ours": "scores", "bare": "bare_scores"}[name]

    async def program() -> Run:
        async with bench.admin(DATABASE) as owner:
            await owner.execute(f"TRUNCATE {table}")
        measured, answer = await programs.measure(f"bench.scoring_{name}", {"url": bench.url("tiering", DATABASE)})
        peaks.append(answer["peak_mb"])
        async with bench.admin(DATABASE) as owner:
            expect(f"rows in {table}", await owner.fetchval(f"SELECT count(*) FROM {table}"), accounts)
            if name == "ours":
                expect("accounts scored alike by both", await owner.fetchval(ALIKE), accounts)
        return measured

    return program
