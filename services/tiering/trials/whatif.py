"""A policy tried on real history (规则试算): the closes of past months, decided once by today's policy and once by the other.

The very statements of the close run, on one snapshot: temporary tables of the same names stand before the real ones, so that
nothing that is in force is read as a decision or written. Freight, places, ranks and the accounts that movements may be found in
are the same whatever the policy, so each month's are found once and both sides decide on them; of what they decide, only the
columns that are compared are kept. The months are done in two parts at once, on a connection each. Months that no later close
looks back to are dropped, so that the length of the history does not matter.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import closing, decisions
from services.tiering.deciding_sql import INPUT_COLUMNS
from services.tiering.placement import ROOT_UNIT
from services.tiering.policies.book import PolicyBook
from shared.clock import SHANGHAI
from shared.db import driver
from shared.months import add_months, is_quarter_end, month_text, quarter_start

SIDES = ("today", "tried")
DECIDED = "decisions"
"""The shadowed table that a close looks back into, a partition a month."""
COMPARED = ("movements", "quarter_movements")
"""Shadowed tables that are compared after each close and then emptied."""
RULE_SETS = {"movements": "monthly", "quarter_movements": "quarterly"}
LOOK_BACK = 2
"""Months that a close may look back to among the decisions."""
AXES = {
    "service_tier": ("none", "general", "key", "vip"),
    "grade": ("silver", "gold", "diamond"),
    "band": ("none", "C", "B", "A"),
    "focus_general": ("none", "false", "true"),
    "green_channel": ("none", "false", "true"),
    "special_claims": ("none", "false", "true"),
    "points_plan": (),
}
"""Columns of a decision that are compared, and their values upwards; without an order a change is neither up nor down."""
Counts = dict[str, Any]
Progress = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Shown:
    """What the trial has shown: per unit and month nested counts, which add up."""

    units: dict[str, dict[str, Counts]] = field(default_factory=dict)

    def at(self, unit: str, month: date) -> Counts:
        """Return the counts of a unit and month."""
        return self.units.setdefault(unit, {}).setdefault(month_text(month), {})


def add(total: Counts, part: Mapping[str, Any]) -> Counts:
    """Add nested counts to others."""
    for key, value in part.items():
        if isinstance(value, Mapping):
            add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
    return total


def count(total: Counts, number: int, *path: str) -> None:
    """Add a number to the count at a path."""
    for key in path[:-1]:
        total = total.setdefault(key, {})
    total[path[-1]] = total.get(path[-1], 0) + number


def months_of(first: date, last: date) -> list[date]:
    """Return the months from one to another, both included."""
    found = []
    while first <= last:
        found.append(first)
        first = add_months(first, 1)
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the months, and the connection on which both policies decide them."""

    session: AsyncSession
    connection: asyncpg.Connection
    books: Mapping[str, PolicyBook]
    months: Sequence[date]


def parts_of(months: Sequence[date]) -> list[Sequence[date]]:
    """Return the months in two parts of much the same size, the second beginning with a quarter; short ones stay whole."""
    starts = [at for at in range(1, len(months)) if months[at] == quarter_start(months[at])]
    if not starts:
        return [months]
    middle = min(starts, key=lambda at: abs(2 * at - len(months)))
    return [months[:middle], months[middle:]]


async def part(session: AsyncSession, books: Mapping[str, PolicyBook], months: Sequence[date]) -> Part:
    """Make a part's tables in the session's transaction; its connection is for this trial alone."""
    connection = await driver(session)
    await connection.execute("SET temp_buffers = '64MB'")  # before the first temporary table
    # The part that is ready first waits for the other one.
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await connection.execute("SET LOCAL work_mem = '64MB'")
    await connection.execute("SET LOCAL default_statistics_target = 1")  # the planner needs to know how many rows, no more
    for side in SIDES:
        for table in (DECIDED, *COMPARED):
            # As a query's result every column may be null: only those that are compared are filled.
            await connection.execute(f"CREATE TEMP TABLE {side}_{table} ON COMMIT DROP AS SELECT * FROM public.{table} LIMIT 0")
    for side in SIDES:
        await connection.execute(f"ALTER TABLE pg_temp.{side}_{DECIDED} RENAME TO {side}_shape")
        made = f"CREATE TEMP TABLE {side}_{DECIDED} (LIKE pg_temp.{side}_shape) PARTITION BY LIST (month) ON COMMIT DROP"
        await connection.execute(made)
    for table, columns in INPUTS.items():
        await connection.execute(f"CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT {columns} FROM public.decisions LIMIT 0")
    await connection.execute(_TRIAL_ACCOUNTS)
    return Part(session, connection, books, months)


async def run(parts: Sequence[Part], progress: Progress) -> Shown:
    """Decide the months of all parts on both sides and compare.

    The accounts that differ stand in the first part's temporary table `trial_accounts`; `progress` is told how many months are
    done, and one more at the end.
    """
    shown = Shown()
    done = 0

    async def one_more() -> None:
        nonlocal done
        done += 1
        await progress(done)

    async with asyncio.TaskGroup() as both:
        for one in parts:
            both.create_task(_run(one, shown, parts[-1].months[-1], one_more))
    for one in parts[1:]:
        found = BytesIO()
        await one.connection.copy_from_table("trial_accounts", output=found, format="binary")
        found.seek(0)
        await parts[0].connection.copy_to_table("trial_accounts", source=found, format="binary")
    await one_more()
    return shown


async def _run(one: Part, shown: Shown, last: date, one_more: Callable[[], Awaitable[None]]) -> None:
    """Decide a part's months; those of the quarter before them too, so that movements have the tier that was in force."""
    before = add_months(quarter_start(one.months[0]), -1)
    await _empty(one)
    await decisions.prepare(one.session, before)
    await _decide(one, before, decisions.decide)
    for month in one.months:
        await _empty(one)
        await closing.prepare(one.session, month, _closed_at(month), list(one.books.values()))
        await _decide(one, month, closing.decide_accounts)
        await _compare(one.connection, shown, month, is_last=month == last)
        await one_more()


def _closed_at(month: date) -> datetime:
    return datetime.combine(add_months(month, 1), time(0, 30), SHANGHAI)


async def _empty(one: Part) -> None:
    await one.connection.execute(f"TRUNCATE {_ALL_INPUTS}")


async def _decide(one: Part, month: date, decide: Callable[..., Awaitable[int]]) -> None:
    """Decide a month on both sides' tables, on what has been found once."""
    await one.connection.execute(f"ANALYZE {_ALL_INPUTS}")
    for side in SIDES:
        await _forget(one.connection, side, month)
        async with _in_force(one.connection, side):
            await decide(one.session, month, _closed_at(month), one.books[side], on_trial=True)
        await one.connection.execute(f"ANALYZE pg_temp.{_partition(side, month)}")


@asynccontextmanager
async def _in_force(connection: asyncpg.Connection, side: str) -> AsyncIterator[None]:
    """Let a side's tables stand before the real ones."""
    for table in (DECIDED, *COMPARED):
        await connection.execute(f"ALTER TABLE pg_temp.{side}_{table} RENAME TO {table}")
    yield
    for table in (DECIDED, *COMPARED):
        await connection.execute(f"ALTER TABLE pg_temp.{table} RENAME TO {side}_{table}")


async def _forget(connection: asyncpg.Connection, side: str, month: date) -> None:
    """Make room for a month, and drop what neither it nor a later one is decided by."""
    for table in COMPARED:
        await connection.execute(f"TRUNCATE pg_temp.{side}_{table}")
    await connection.execute(f"DROP TABLE IF EXISTS pg_temp.{_partition(side, add_months(month, -LOOK_BACK - 1))}")
    of = f"PARTITION OF pg_temp.{side}_{DECIDED} FOR VALUES IN ('{month}')"
    await connection.execute(f"CREATE TEMP TABLE {_partition(side, month)} {of} ON COMMIT DROP")


async def _compare(connection: asyncpg.Connection, shown: Shown, month: date, *, is_last: bool) -> None:
    axes = [axis for axis in AXES if axis == "grade" or is_quarter_end(month)]
    for row in await connection.fetch(_axes_sql(axes), month):
        _note_axis(shown.at(row["unit_code"], month), row)
    for table, rule_set in RULE_SETS.items():
        for row in await connection.fetch(_movements_sql(table)):
            for name in ("today", "tried", "gained", "lost"):
                count(shown.at(row["unit_code"], month), row[name], "movements", rule_set, row["kind"], name)
        for row in await connection.fetch(_tasks_sql(table)):
            for name in SIDES:
                count(shown.at(row["unit_code"], month), row[name], "tasks", row["role"], name)
    listed = [axis for axis in axes if axis != "grade" or is_last]
    if listed:
        await connection.execute(_accounts_sql(listed), month)


def _note_axis(counts: Counts, row: asyncpg.Record) -> None:
    axis, today, tried, number = row["axis"], row["today"], row["tried"], row["accounts"]
    count(counts, number, axis, "today", today)
    count(counts, number, axis, "tried", tried)
    if today != tried:
        count(counts, number, axis, "changes", f"{today}>{tried}")
        order = AXES[axis]
        way = "changed" if not order else "up" if order.index(tried) > order.index(today) else "down"
        count(counts, number, axis, way)


def _partition(side: str, month: date) -> str:
    return f"{side}_{DECIDED}_{month:%Y_%m}"


INPUTS = {
    "judged": INPUT_COLUMNS["judged"],
    "placed_in": "account_no, branch_code, district_code, 0::bigint AS in_branch, 0::bigint AS in_district",
    "sizes": INPUT_COLUMNS["sizes"],
    "wide": "account_no, amount_fen AS current_fen, previous_fen, zero_months, branch_code AS decided_branch, branch_code, "
    "branch_code AS outlet_code, district_code",
    "moved": "account_no, opened_on, month AS quarter, month AS base_start, branch_code, district_code, "
    "branch_code AS outlet_code, unit_code, previous_fen, amount_fen AS current_fen, 0::bigint AS place",
}
"""What both sides decide on: tables that are filled once a month, and their columns with the types that a decision has."""
_ALL_INPUTS = ", ".join(f"pg_temp.{table}" for table in INPUTS)
# Kept until the results are written, in a transaction of their own.
_TRIAL_ACCOUNTS = """
CREATE TEMP TABLE trial_accounts (account_no text, month date, axis text, unit_code text, today text, tried text)"""

_BOTH = "FROM pg_temp.today_decisions a JOIN pg_temp.tried_decisions b ON b.month = a.month AND b.account_no = a.account_no"


def _axes_sql(axes: Sequence[str]) -> str:
    """Return the query of how many accounts of each unit hold what on both sides; grouped before the axes are taken apart."""
    columns = [f"{name}.{axis}" for axis in axes for name in "ab"]
    named = ", ".join(f"{column} AS {column.replace('.', '_')}" for column in columns)
    values = ", ".join(f"('{axis}', {_text(f'g.a_{axis}')}, {_text(f'g.b_{axis}')})" for axis in axes)
    return f"""
WITH grouped AS (
    SELECT coalesce(a.branch_code, {ROOT_UNIT}) AS unit_code, {named}, count(*) AS accounts
    {_BOTH} WHERE a.month = $1 GROUP BY a.branch_code, {", ".join(columns)}
)
SELECT g.unit_code, v.axis, v.today, v.tried, sum(g.accounts)::bigint AS accounts
FROM grouped g, LATERAL (VALUES {values}) AS v (axis, today, tried) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""


def _accounts_sql(axes: Sequence[str]) -> str:
    """Return the statement that lists the accounts that differ."""
    values = ", ".join(f"('{axis}', {_text(f'a.{axis}')}, {_text(f'b.{axis}')})" for axis in axes)
    differ = " OR ".join(f"a.{axis} IS DISTINCT FROM b.{axis}" for axis in axes)
    return f"""
INSERT INTO pg_temp.trial_accounts
SELECT a.account_no, $1, v.axis, coalesce(a.branch_code, {ROOT_UNIT}), v.today, v.tried
{_BOTH}, LATERAL (VALUES {values}) AS v (axis, today, tried) WHERE a.month = $1 AND ({differ}) AND v.today <> v.tried"""


def _text(column: str) -> str:
    return f"coalesce({column}::text, 'none')"


def _movements_sql(table: str) -> str:
    """Return the query of a rule set's movements by unit and kind: on both sides, and only on one."""
    return f"""
SELECT coalesce(a.branch_code, b.branch_code, {ROOT_UNIT}) AS unit_code, kind,
       count(a.account_no) AS today, count(b.account_no) AS tried,
       count(*) FILTER (WHERE a.account_no IS NULL) AS gained, count(*) FILTER (WHERE b.account_no IS NULL) AS lost
FROM pg_temp.today_{table} AS a FULL JOIN pg_temp.tried_{table} AS b USING (account_no, kind) GROUP BY 1, 2 ORDER BY 1, 2"""


def _tasks_sql(table: str) -> str:
    """Return the query of the tasks that a rule set's movements open: one each, for the role that answers for it."""
    return f"""
SELECT coalesce(branch_code, {ROOT_UNIT}) AS unit_code, responsible_role AS role,
       count(*) FILTER (WHERE side = 'today') AS today, count(*) FILTER (WHERE side = 'tried') AS tried
FROM (SELECT 'today' AS side, branch_code, responsible_role FROM pg_temp.today_{table}
      UNION ALL SELECT 'tried', branch_code, responsible_role FROM pg_temp.tried_{table}) AS both_sides
GROUP BY 1, 2 ORDER BY 1, 2"""
