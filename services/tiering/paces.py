"""What pace is learnt from (进度): how far branches and accounts had come by each morning, seasons, and what a month lets expect.

All of it is kept by the daily schedule from the months' totals, as they were known that morning: charges that come a day late
come a day late in every month, so that like is compared with like. Nothing here is done per charge.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import season
from services.tiering.placement import ROOT_UNIT
from services.tiering.season import CALENDAR, CHECKPOINTS, HISTORY_MONTHS, Season
from shared.db import driver
from shared.months import add_months

CHUNK = 10_000
"""Accounts whose months are in memory at once."""
_LEAD_MONTHS = 6
_LEARNT_DAYS = 800
_RECENT_MONTHS = 4


class Seasons(NamedTuple):
    """The seasons of a month: of each branch that shows one, and of the organisation."""

    of_branch: Mapping[str, Season]
    of_all: Season

    def of(self, branch: str | None) -> Season:
        """Return what counts for a branch."""
        return self.of_branch.get(branch, self.of_all) if branch is not None else self.of_all


class Expected(NamedTuple):
    """What a month lets expect of an account."""

    account_no: str
    fen: int
    charges: int
    previous_fen: int
    leads: tuple[float, float, float]
    basis: season.Basis


async def keep(session: AsyncSession, yesterday: date) -> None:
    """Keep where branches stood last night, and every seventh day where accounts did."""
    connection = await driver(session)
    month = yesterday.replace(day=1)
    await connection.execute(_KEEP_BRANCHES, month, yesterday)
    if yesterday.day in CHECKPOINTS:
        column = f"day_{yesterday.day}_fen"
        await connection.execute(_KEEP_ACCOUNTS.format(column=column), month)


async def prepare(session: AsyncSession, month: date) -> None:
    """Learn the seasons for a month that begins, and write down what it lets expect of every account; once a month."""
    connection = await driver(session)
    if await connection.fetchval("SELECT EXISTS (SELECT FROM branch_seasons WHERE month = $1)", month):
        return
    await _learn(connection, month)
    async for chunk in expectations(session, month):
        await connection.execute(
            _WRITE_BASELINES,
            month,
            [one.account_no for one in chunk],
            [one.fen for one in chunk],
            [one.charges for one in chunk],
            [one.previous_fen for one in chunk],
            *([one.leads[n] for one in chunk] for n in range(3)),
            [one.basis for one in chunk],
        )
    await connection.execute(_COUNT_JUDGED, month)
    await connection.execute("DELETE FROM month_baselines WHERE month < $1", add_months(month, -1))
    await connection.execute("DELETE FROM month_paces WHERE month < $1", add_months(month, -_LEAD_MONTHS))


async def read_seasons(session: AsyncSession, month: date) -> Seasons:
    """Return the seasons that were learnt for a month; the shared calendar where none were."""
    rows = await (await driver(session)).fetch(
        "SELECT s.unit_code, s.season::text AS season, u.kind FROM branch_seasons s "
        "LEFT JOIN units u ON u.unit_code = s.unit_code WHERE s.month = $1",
        month,
    )
    found = {row["unit_code"]: (_season(row["season"]), row["kind"]) for row in rows}
    of_all = next((one for one, kind in found.values() if kind == "hq"), CALENDAR)
    return Seasons({unit: one for unit, (one, kind) in found.items() if kind != "hq"}, of_all)


async def expectations(
    session: AsyncSession, month: date, accounts: Sequence[str] | None = None
) -> AsyncIterator[list[Expected]]:
    """Yield what a month lets expect of accounts: of those named, else of all with freight in the month before."""
    connection = await driver(session)
    seasons = await read_seasons(session, month)
    first = add_months(month, -HISTORY_MONTHS)
    query = _HISTORIES.format(which=_NAMED if accounts is not None else _WITH_FREIGHT)
    rows: list[asyncpg.Record] = []
    async for row in connection.cursor(query, first, month, accounts or add_months(month, -1), prefetch=CHUNK):
        rows.append(row)
        if len(rows) == CHUNK:
            yield await _expected(connection, month, rows, seasons)
            rows = []
    if rows:
        yield await _expected(connection, month, rows, seasons)


@lru_cache(maxsize=4096)
def _season(stored: str) -> Season:
    return Season.of(json.loads(stored))


async def _learn(connection: asyncpg.Connection, month: date) -> None:
    rows = await connection.fetch(_DAYS, month - timedelta(days=_LEARNT_DAYS), month)
    root = await connection.fetchval(f"SELECT {ROOT_UNIT}")
    days: dict[str, dict[date, int]] = {root: {}}  # also where no branch has brought anything: the month is prepared once
    for row in rows:
        for unit in (row["unit_code"], root):
            of_unit = days.setdefault(unit, {})
            of_unit[row["day"]] = of_unit.get(row["day"], 0) + row["fen"]
    learnt = {unit: season.learn(of_unit) for unit, of_unit in days.items()}
    await connection.execute(_WRITE_SEASONS, month, list(learnt), [json.dumps(one.as_dict()) for one in learnt.values()])


async def _expected(
    connection: asyncpg.Connection, month: date, rows: Sequence[asyncpg.Record], seasons: Seasons
) -> list[Expected]:
    by_branch: dict[str | None, list[asyncpg.Record]] = {}
    for row in rows:
        by_branch.setdefault(row["branch_code"], []).append(row)
    paces = await _paces(connection, month, [row["account_no"] for row in rows])
    found: list[Expected] = []
    for branch, of_branch in by_branch.items():
        found += _expected_of(month, of_branch, seasons.of(branch), paces)
    return found


def _expected_of(
    month: date, rows: Sequence[asyncpg.Record], of_branch: Season, paces: Mapping[str, list[tuple[date, list[int]]]]
) -> list[Expected]:
    history = np.zeros((len(rows), HISTORY_MONTHS), dtype=np.int64)
    charges = np.zeros((len(rows), _RECENT_MONTHS), dtype=np.int64)
    for line, row in enumerate(rows):
        history[line, row["places"]] = row["amounts"]
        for place, count in zip(row["places"], row["charges"], strict=True):
            if place >= HISTORY_MONTHS - _RECENT_MONTHS:
                charges[line, place - HISTORY_MONTHS] = count
    recent = history[:, -_RECENT_MONTHS:].sum(axis=1)
    found = season.expect(history, month, of_branch)
    per_fen = np.divide(charges.sum(axis=1), recent, out=np.zeros(len(rows)), where=recent > 0)
    return [
        Expected(
            row["account_no"],
            int(found.fen[line]),
            round(found.fen[line] * per_fen[line]),
            int(history[line, -1]),
            _leads(month, history[line], paces.get(row["account_no"], []), of_branch),
            season.basis_of(of_branch, own=bool(found.own[line])),
        )
        for line, row in enumerate(rows)
    ]


def _leads(month: date, history: Any, paces: list[tuple[date, list[int]]], of_branch: Season) -> tuple[float, float, float]:
    seen = []
    for one, to_date in paces:
        back = (month.year - one.year) * 12 + month.month - one.month
        seen.append((one, to_date, int(history[-back])))
    return season.leads_of(seen, of_branch)


async def _paces(connection: asyncpg.Connection, month: date, accounts: list[str]) -> dict[str, list[tuple[date, list[int]]]]:
    found: dict[str, list[tuple[date, list[int]]]] = {}
    for row in await connection.fetch(_PACES, accounts, add_months(month, -_LEAD_MONTHS), month):
        found.setdefault(row["account_no"], []).append((row["month"], row["to_date"]))
    return found


_KEEP_BRANCHES = """
INSERT INTO branch_paces (unit_code, day, to_date_fen)
SELECT a.branch_code, $2, sum(t.amount_fen)::bigint
FROM month_totals t JOIN accounts a ON a.account_no = t.account_no
WHERE t.month = $1 AND t.quarter BETWEEN $1 - 62 AND $1 AND a.branch_code IS NOT NULL GROUP BY a.branch_code
ON CONFLICT (unit_code, day) DO UPDATE SET to_date_fen = EXCLUDED.to_date_fen"""

_KEEP_ACCOUNTS = """
INSERT INTO month_paces AS p (account_no, month, {column})
SELECT account_no, month, amount_fen FROM month_totals WHERE month = $1 AND quarter BETWEEN $1 - 62 AND $1
ON CONFLICT (account_no, month) DO UPDATE SET {column} = EXCLUDED.{column}"""

# What a day brought is what stood after it less what stood the evening before; a branch that lost an account on the way does not
# count below nothing.
_DAYS = """
SELECT unit_code, day, greatest(0, to_date_fen - coalesce(lag(to_date_fen) OVER days, 0)) AS fen
FROM branch_paces WHERE day >= $1 AND day < $2
WINDOW days AS (PARTITION BY unit_code, date_trunc('month', day::timestamp) ORDER BY day)
ORDER BY unit_code, day"""

_WRITE_SEASONS = """
INSERT INTO branch_seasons (month, unit_code, season)
SELECT $1, u.unit_code, u.season::jsonb FROM unnest($2::text[], $3::text[]) AS u (unit_code, season)"""

_NAMED = "t.account_no = ANY($3::text[])"
_WITH_FREIGHT = """t.account_no IN (
    SELECT p.account_no FROM month_totals p
    WHERE p.month = $3::date AND p.quarter BETWEEN $3::date - 62 AND $3 AND p.amount_fen > 0)"""
_HISTORIES = """
SELECT t.account_no, a.branch_code, array_agg(t.amount_fen) AS amounts, array_agg(t.charges) AS charges,
       array_agg(((extract(year FROM t.month) - extract(year FROM $1::date)) * 12
                  + extract(month FROM t.month) - extract(month FROM $1::date))::integer) AS places
FROM month_totals t LEFT JOIN accounts a ON a.account_no = t.account_no
WHERE t.month >= $1::date AND t.month < $2::date AND t.quarter >= $1::date - 62 AND t.quarter < $2 AND {which}
GROUP BY t.account_no, a.branch_code ORDER BY t.account_no"""

_PACES = """
SELECT account_no, month, ARRAY[day_7_fen, day_14_fen, day_21_fen] AS to_date FROM month_paces
WHERE account_no = ANY($1::text[]) AND month >= $2 AND month < $3
  AND day_7_fen IS NOT NULL AND day_14_fen IS NOT NULL AND day_21_fen IS NOT NULL
ORDER BY account_no, month"""

_WRITE_BASELINES = """
INSERT INTO month_baselines (month, account_no, expected_fen, expected_charges, previous_fen, leads, basis)
SELECT $1, account_no, fen, charges, previous_fen, ARRAY[lead_7, lead_14, lead_21], basis
FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::bigint[], $6::float8[], $7::float8[], $8::float8[], $9::text[])
    AS e (account_no, fen, charges, previous_fen, lead_7, lead_14, lead_21, basis)"""

_COUNT_JUDGED = f"""
INSERT INTO radar_months (month, unit_code, judged)
SELECT b.month, coalesce(a.branch_code, {ROOT_UNIT}), count(*) FROM month_baselines b
LEFT JOIN accounts a ON a.account_no = b.account_no WHERE b.month = $1 GROUP BY 1, 2"""
