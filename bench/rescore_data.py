"""A million accounts with 24 months of freight before a quarter's end, from one seeded statement per table.

Every month's freight is a hash of account, month and seed: a heavy tail of amounts, months that wander, months without freight or
without a row, accounts that fell silent, equal amounts, accounts of a few weeks, accounts that moved, accounts in no branch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from bench.servers import Bench
from services.tiering import closing, policies
from shared.clock import SHANGHAI
from shared.db import Database
from shared.directory import Unit, apply_units
from shared.months import add_months, last_day

MONTH = date(2026, 3, 1)
INSTANT = datetime(2026, 4, 1, 0, 30, tzinfo=SHANGHAI)
FIRST = date(2024, 4, 1)
MONTHS = 24
CLOSED_BEFORE = (date(2025, 12, 1), date(2026, 2, 1))
"""The closes that the measured one compares with; both are run by the suite's own code."""
DISTRICTS = 20
BRANCHES = 200
SEED = 4711
TEMPLATE = "rescore_template"
Finish = Callable[[], Awaitable[None]]

_CHANCE = "(hashint8extended(({key})::bigint, {seed}) & 1048575)"
"""SQL of an even number below 2^20 that only key and seed decide."""


def _chance(key: str, salt: int) -> str:
    return _CHANCE.format(key=key, seed=SEED + salt)


_ACCOUNTS = f"""
INSERT INTO accounts (account_no, unit_code, branch_code, outlet_code, district_code, opened_on, status, provisional, sequence)
SELECT 'A' || lpad(n::text, 8, '0'), 'O' || n % {BRANCHES} || '-' || n % 3, 'B' || n % {BRANCHES},
       'O' || n % {BRANCHES} || '-' || n % 3,
       'D' || n % {BRANCHES} % {DISTRICTS},
       CASE WHEN n % 331 = 0 THEN date '2026-04-01' WHEN n % 89 = 0 THEN date '2026-03-01' + (n % 30)::int
            ELSE date '2022-01-01' + ({_chance("n", 1)} % 800)::int END, 'open', false, 1
FROM generate_series(0, $1::bigint - 1) AS n"""

# One account in 53 moved within the quarter, one in 211 moves after it, one in 997 belongs to no branch.
_PLACES = f"""
INSERT INTO account_branches (account_no, from_on, branch_code, outlet_code)
SELECT account_no, from_on, 'B' || branch, CASE WHEN n % 4 > 0 THEN 'O' || branch || '-' || n % 3 END
FROM accounts, LATERAL (SELECT substr(account_no, 2)::bigint AS n) AS number,
     LATERAL (SELECT opened_on AS from_on, n % {BRANCHES} AS branch
              UNION ALL SELECT date '2026-02-15', (n + 1) % {BRANCHES} WHERE n % 53 = 0 AND opened_on < '2026-02-15'
              UNION ALL SELECT date '2026-04-15', (n + 7) % {BRANCHES} WHERE n % 211 = 0) AS place
WHERE n % 997 > 0 ORDER BY account_no"""

# The level that an account ships at: few ship a lot. In integers, so that it is the same everywhere.
_LEVELS = f"""
CREATE TEMP TABLE levels AS
SELECT account_no, n, branch_code, opened_on, 20 + {_chance("n", 5)} % 1500 + (40000 * (c4 * c4 >> 20)) / 1048576 AS level
FROM accounts, LATERAL (SELECT substr(account_no, 2)::bigint AS n) AS number, LATERAL (SELECT {_chance("n", 2)} AS c) AS once,
     LATERAL (SELECT c * c >> 20 AS c2) AS twice, LATERAL (SELECT c2 * c2 >> 20 AS c4) AS four"""

# Written quarter by quarter, as it comes about. A third of the accounts ships the same every month, so that there are equal sums.
_SUMS = f"""
INSERT INTO quarter_sums (account_no, quarter, fen_1, fen_2, fen_3, charges_1, charges_2, charges_3, branch_code, opened_on)
SELECT account_no, $1, coalesce(sum(fen) FILTER (WHERE nth = 0), 0), coalesce(sum(fen) FILTER (WHERE nth = 1), 0),
       coalesce(sum(fen) FILTER (WHERE nth = 2), 0), 3 * count(*) FILTER (WHERE nth = 0), 3 * count(*) FILTER (WHERE nth = 1),
       3 * count(*) FILTER (WHERE nth = 2), branch_code, opened_on
FROM (
    SELECT account_no, branch_code, opened_on, nth, CASE WHEN n % 3 = 0 AND chance >= 8000 THEN level * 100
        WHEN chance < 25000 THEN 0 WHEN chance < 60000 THEN level * 30 ELSE level * (85 + chance % 40) END AS fen
    FROM levels, generate_series(0, 2) AS nth, LATERAL (SELECT $2::integer + nth AS place) AS counted,
         LATERAL (SELECT {_chance("n * 64 + place", 3)} AS chance) AS drawn
    WHERE opened_on < $1::date + nth * INTERVAL '1 month' + INTERVAL '1 month' AND (n % 37 > 0 OR place < 3 + n % 21)
          AND n * 24 % 101 <> place
) AS months
GROUP BY account_no, branch_code, opened_on"""


@dataclass(frozen=True, slots=True)
class Rescored:
    """The template, and how much is in it."""

    accounts: int
    totals: int


_MADE: dict[int, Rescored] = {}


async def template(bench: Bench) -> Rescored:
    """Make the database that the workloads of the re-score copy, once for all of them."""
    accounts = bench.count(10_000, 1_000_000)
    if id(bench) not in _MADE:
        await bench.fresh("tiering", TEMPLATE)
        database = Database("tiering", bench.url("tiering", TEMPLATE), "worker")
        await database.open()
        async with bench.admin(TEMPLATE) as owner:
            totals = await fill(database, owner, accounts)
        await database.close()
        _MADE[id(bench)] = Rescored(accounts, totals)
    return _MADE[id(bench)]


@asynccontextmanager
async def copy_of_template(bench: Bench, name: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend the superuser's connection to a copy that goes away afterwards."""
    await bench.copy("tiering", name, TEMPLATE)
    try:
        async with bench.admin(name) as owner:
            yield owner
    finally:
        await bench.drop(name)


async def fill(database: Database, owner: asyncpg.Connection, accounts: int) -> int:
    """Fill directory and totals, and decide the quarter before and the month before; returns the number of totals."""
    await _fill_units(database)
    await owner.execute(_ACCOUNTS, accounts)
    await owner.execute(_PLACES)
    await owner.execute(_LEVELS)
    await owner.execute("ALTER TABLE quarter_sums DROP CONSTRAINT quarter_sums_pkey")
    for place in range(0, MONTHS, 3):
        await owner.execute(_SUMS, add_months(FIRST, place), place)
    await owner.execute("ALTER TABLE quarter_sums ADD PRIMARY KEY (account_no, quarter)")
    await owner.execute("DROP TABLE levels")
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("INSERT INTO month_closes (month, state) VALUES ('2025-11-01', 'closed'), ('2026-01-01', 'closed')")
    for month in CLOSED_BEFORE:
        await decide(database, month, datetime.combine(add_months(month, 1), INSTANT.timetz()))
    await owner.execute("VACUUM (FREEZE, ANALYZE)")
    return int(await owner.fetchval("SELECT count(*) FROM month_totals"))


async def _fill_units(database: Database) -> None:
    units = [Unit("HQ", "hq", None), *(Unit(f"D{n}", "district", "HQ") for n in range(DISTRICTS))]
    units += [Unit(f"B{n}", "branch", f"D{n % DISTRICTS}") for n in range(BRANCHES)]
    units += [Unit(f"O{n}-{m}", "outlet", f"B{n}") for n in range(BRANCHES) for m in range(3)]
    async with database.transaction() as session:
        await apply_units(session, units, [1] * len(units))


async def decide(database: Database, month: date, instant: datetime, finish: Finish | None = None) -> int:
    """Decide and store what a month's close decides, exactly as the close does, and publish nothing.

    `finish` is awaited before the commit.
    """
    async with database.transaction(isolation="REPEATABLE READ") as session:
        async with database.transaction() as marking:
            await marking.execute(closing._MARK, {"month": month})
        accounts = await closing.decide_month(session, month, instant, await policies.in_force(session, last_day(month)))
        if finish is not None:
            await finish()
    return accounts
