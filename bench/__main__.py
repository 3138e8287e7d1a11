"""`python -m bench [--quick] [workload ...]`: measures, prints the table, writes bench/results/latest.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import close, ingest, live, memory, read_360, read_while_rescoring, rescore, scoring
from bench.measuring import Figure, WrongTotalError
from bench.servers import Bench, bench_servers

Workload = Callable[[Bench], Awaitable[list[Figure]]]
WORKLOADS: dict[str, Workload] = {
    "ingest": ingest.run,
    "read_360": read_360.run,
    "close": close.run,
    "memory": memory.run,
    "rescore": rescore.run,
    "read_while_rescoring": read_while_rescoring.run,
    "live": live.run,
    "scoring": scoring.run,
}
RESULTS = Path(__file__).parent / "results" / "latest.json"
LOCAL = Path(__file__).parents[1] / ".local"


async def measure_all(bench: Bench, workloads: dict[str, Workload], say: Callable[[str], None]) -> tuple[list[Figure], list[str]]:
    """Run the workloads one after the other; returns the figures, and why others are void."""
    figures: list[Figure] = []
    void: list[str] = []
    for name, workload in workloads.items():
        began = time.monotonic()
        try:
            figures += await workload(bench)
        except WrongTotalError as wrong:
            void.append(f"{name}: {wrong}")
        say(f"{name}: {time.monotonic() - began:.0f} s")
    return figures, void


def write(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Write the figures of this run, and no others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([figure.as_dict() for figure in figures], indent=2) + "\n", encoding="utf-8")


def print_table(figures: Sequence[Figure], console: Console) -> None:
    """Print ratio, goal and distance of each figure."""
    table = Table(title="Ours against a hand-written program, medians of alternating pairs", title_justify="left")
    for column in ("workload", "ratio", "min-max", "to reach", "distance", "CPU seconds", "against"):
        table.add_column(column)
    for figure in figures:
        sign = "≥" if figure.better == "higher" else "≤"
        cpu = ", ".join(f"{name} {seconds:.2f}" for name, seconds in figure.cpu_seconds.items())
        table.add_row(
            figure.workload,
            f"{median(figure.ratios):.3g}",
            f"{min(figure.ratios):.3g}-{max(figure.ratios):.3g}",
            f"{sign} {figure.goal:g}",
            f"{'reached' if figure.distance >= 0 else 'MISSED'} ({figure.distance:+.3g})",
            cpu,
            figure.against,
        )
    console.print(table)
    for figure in figures:
        if figure.notes:
            console.print(f"{figure.workload}: {json.dumps(figure.notes, ensure_ascii=False)}", highlight=False, soft_wrap=True)


async def main(arguments: Sequence[str]) -> int:
    """Measure; 1 where a total was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ratios against hand-written programs.")
    parser.add_argument("--quick", action="store_true", help="small sizes, under 3 minutes")
    parser.add_argument("--accounts", type=int, help="so many accounts in close, rescore and read_while_rescoring")
    parser.add_argument("--pairs", type=int, help="so many alternating pairs in close, memory, rescore and read_while_rescoring")
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="only these")
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 200)
    async with bench_servers(LOCAL, quick=chosen.quick, accounts=chosen.accounts, pairs=chosen.pairs) as bench:
        wanted = {name: WORKLOADS[name] for name in chosen.workloads or WORKLOADS}
        figures, void = await measure_all(bench, wanted, lambda line: console.print(line, style="dim"))
    write(figures)
    if figures:
        print_table(figures, console)
    for reason in void:
        console.print(f"VOID, a total is wrong: {reason}", style="bold red", soft_wrap=True)
    return 1 if void else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
