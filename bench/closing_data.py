"""A million accounts before a quarter's end: ledger, directory, and the decisions of the closes before, by the suite's own code.

Accounts of a branch are numbered in the order of their freight, which stays the same from month to month. Only the last 5 % of
each branch move in the month that is closed: half of them fall by 60 %, half have no freight. So what changed is those 5 % and
nothing else: a mover at the top would shift the rank of everybody below.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import md5

import asyncpg

from services.tiering import closing
from shared.clock import SHANGHAI
from shared.db import Database
from shared.directory import Unit, apply_units

MONTH = date(2026, 3, 1)
INSTANT = datetime(2026, 4, 1, 0, 30, tzinfo=SHANGHAI)
QUARTERS = [date(2025, 10, 1), date(2026, 1, 1)]
DISTRICTS = 10
BRANCHES = 100
OPENED = date(2024, 5, 1)
MOVERS = 20
"""One account in so many moves."""

_ACCOUNTS = f"""
INSERT INTO accounts (account_no, unit_code, branch_code, outlet_code, district_code, opened_on, status, provisional, sequence)
SELECT 'A' || lpad(n::text, 8, '0'), 'B' || n % {BRANCHES}, 'B' || n % {BRANCHES}, NULL, 'D' || n % {BRANCHES} % {DISTRICTS},
       $2, 'open', false, 1
FROM generate_series(0, $1 - 1) AS n"""
_BRANCHES = """
INSERT INTO account_branches (account_no, from_on, branch_code, outlet_code)
SELECT account_no, opened_on, branch_code, NULL FROM accounts ORDER BY account_no"""
_SUMS = f"""
INSERT INTO quarter_sums (account_no, quarter, fen_1, fen_2, fen_3, charges_1, charges_2, charges_3, branch_code, opened_on)
SELECT 'A' || lpad(n::text, 8, '0'), q, fen, fen, CASE WHEN now AND n % 2 = 1 THEN 0 WHEN now THEN fen * 2 / 5 ELSE fen END,
       3, 3, CASE WHEN now AND n % 2 = 1 THEN 0 ELSE 3 END, 'B' || n % {BRANCHES}, $3
FROM unnest($2::date[]) AS q, generate_series(0, $1 - 1) AS n,
     LATERAL (SELECT 1000 + ($1 - n)::bigint * 1500000 / $1,
                     q = $4 AND n / {BRANCHES} >= $1 / {BRANCHES} * {MOVERS - 1} / {MOVERS}) AS t (fen, now)"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the close must decide, counted here in plain Python."""

    accounts: int
    movers: int
    vips: int
    keys: int
    digest: str
    """MD5 over account, tier, rank, grade and quarter's sum of every account, in order."""


async def fill(database: Database, owner: asyncpg.Connection, accounts: int) -> None:
    """Fill the ledger and close the quarter before and the month before, so that the close finds decisions to compare with."""
    units = [Unit("HQ", "hq", None), *(Unit(f"D{n}", "district", "HQ") for n in range(DISTRICTS))]
    units += [Unit(f"B{n}", "branch", f"D{n % DISTRICTS}") for n in range(BRANCHES)]
    async with database.transaction() as session:
        await apply_units(session, units, [1] * len(units))
    await owner.execute(_ACCOUNTS, accounts, OPENED)
    await owner.execute(_BRANCHES)
    await owner.execute(_SUMS, accounts, QUARTERS, OPENED, QUARTERS[-1])
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("INSERT INTO month_closes (month, state) VALUES ('2025-11-01', 'closed')")
    await closing.close_months(database, datetime(2026, 1, 1, 0, 30, tzinfo=SHANGHAI), _recorded)
    await owner.execute("INSERT INTO month_closes (month, state) VALUES ('2026-01-01', 'closed')")
    await closing.close_months(database, datetime(2026, 3, 1, 0, 30, tzinfo=SHANGHAI), _recorded)
    await owner.execute("TRUNCATE outbox")
    await owner.execute("VACUUM (FREEZE, ANALYZE)")


async def _recorded(_session: object) -> bool:
    return True


def amounts_of(number: int, accounts: int) -> tuple[int, int]:
    """Return an account's freight in every month before, and in the month that is closed."""
    fen = 1000 + (accounts - number) * 1_500_000 // accounts
    if not moves(number, accounts):
        return fen, fen
    return fen, 0 if number % 2 else fen * 2 // 5


def moves(number: int, accounts: int) -> bool:
    """Say whether the account has a movement in the month that is closed."""
    return number // BRANCHES >= accounts // BRANCHES * (MOVERS - 1) // MOVERS


def expect_close(accounts: int) -> Expected:
    """Decide the close by plain sorting: 10 VIPs a district, then 12 key accounts a branch, grades by the sum of three months."""
    sums = [2 * before + now for before, now in (amounts_of(number, accounts) for number in range(accounts))]
    order = sorted(range(accounts), key=lambda number: (-sums[number], number))
    tiers: dict[int, tuple[str, int]] = {}
    in_district = [0] * DISTRICTS
    in_branch = [0] * BRANCHES
    for number in order:
        branch = number % BRANCHES
        if in_district[branch % DISTRICTS] < 10:
            in_district[branch % DISTRICTS] += 1
            tiers[number] = "vip", in_district[branch % DISTRICTS]
        else:
            in_branch[branch] += 1
            tiers[number] = "key" if in_branch[branch] <= 12 else "general", in_branch[branch]
    digest = md5(usedforsecurity=False)
    for number, fen in enumerate(sums):
        tier, rank = tiers[number]
        grade = "diamond" if fen >= 3_000_000 else "gold" if fen >= 600_000 else "silver"
        digest.update(f"A{number:08d},{tier},{rank},{grade},{fen};".encode())
    kinds = [tier for tier, _ in tiers.values()]
    movers = sum(moves(number, accounts) for number in range(accounts))
    return Expected(accounts, movers, kinds.count("vip"), kinds.count("key"), digest.hexdigest())


DIGEST = """
SELECT md5(string_agg(account_no || ',' || service_tier || ',' || rank || ',' || grade || ',' || sum_fen || ';', ''
                      ORDER BY account_no)) FROM decisions WHERE month = $1"""
