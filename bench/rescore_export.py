"""What the suite decides from, as Parquet files for those who decide it otherwise; and what it decided, to compare."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import polars as pl

TABLES = {
    "totals": "SELECT account_no, month, amount_fen FROM month_totals",
    "accounts": "SELECT account_no, opened_on FROM accounts",
    "places": "SELECT account_no, from_on, branch_code, outlet_code FROM account_branches",
    "districts": "SELECT a.unit_code AS branch_code, a.ancestor_code AS district_code FROM unit_ancestors a "
    "JOIN units d ON d.unit_code = a.ancestor_code AND d.kind = 'district' "
    "JOIN units b ON b.unit_code = a.unit_code AND b.kind = 'branch'",
    "before": "SELECT account_no, month, grade, grade_since, service_tier, tier_since FROM decisions "
    "WHERE month IN ('2025-12-01', '2026-02-01')",
}
"""The inputs of a close, in the order in which they lie in the tables."""
DECIDED = (
    "SELECT account_no, service_tier, rank, grade, band, zero_months, sum_fen, previous_quarter_fen FROM decisions "
    "WHERE month = '2026-03-01'"
)
MOVEMENTS = "SELECT account_no, month, kind, previous_fen, current_fen FROM movements WHERE state = 'open' AND month = ANY('{}')"
QUARTER_MOVEMENTS = (
    "SELECT account_no, kind, place, previous_fen, current_fen FROM quarter_movements WHERE quarter = '2026-01-01'"
)
TYPES = {
    **dict.fromkeys(("amount_fen", "sum_fen", "previous_quarter_fen", "previous_fen", "current_fen"), pl.Int64),
    **dict.fromkeys(("rank", "place", "zero_months"), pl.Int32),
    **dict.fromkeys(("month", "from_on", "opened_on"), pl.Date),
    **dict.fromkeys(("grade_since", "tier_since"), pl.Datetime("us", "UTC")),
}


async def export(owner: asyncpg.Connection, folder: Path) -> None:
    """Write the inputs of a close into a folder."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    for name, query in TABLES.items():
        await _copy(owner, query, folder / f"{name}.csv")
        await asyncio.to_thread(_to_parquet, folder, name)


async def read(owner: asyncpg.Connection, query: str, folder: Path) -> pl.DataFrame:
    """Read a query's rows as a frame."""
    path = folder / "read.csv"
    await _copy(owner, query, path)
    return await asyncio.to_thread(lambda: _scan(path).collect())


async def _copy(owner: asyncpg.Connection, query: str, path: Path) -> None:
    await owner.copy_from_query(query, output=str(path), format="csv", header=True)


def _scan(path: Path) -> pl.LazyFrame:
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    types = {name: TYPES.get(name, pl.String) for name in names}
    instants = [name for name in names if isinstance(types[name], pl.Datetime)]
    frame = pl.scan_csv(path, schema=types | dict.fromkeys(instants, pl.String))
    return frame.with_columns(pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%#z", time_zone="UTC") for name in instants)


def _to_parquet(folder: Path, name: str) -> None:
    _scan(folder / f"{name}.csv").sink_parquet(folder / f"{name}.parquet")
    (folder / f"{name}.csv").unlink()
