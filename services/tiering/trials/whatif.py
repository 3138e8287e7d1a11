"""A policy tried on real history (规则试算): the closes of past months, decided once by today's policy and once by the other.

The very statements of the close run, on one snapshot: temporary tables of the same names stand before the real ones, so that
nothing that is in force is read as a decision or written. Each side has a connection of its own, so that both are decided at
once; the tried side hands each month's decisions over to today's, which compares. Months that no later close looks back to are
dropped, so that the length of the history does not matter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import closing
from services.tiering.placement import ROOT_UNIT
from services.tiering.policies.book import PolicyBook
from shared.clock import SHANGHAI
from shared.db import driver
from shared.months import add_months, is_quarter_end, month_text, quarter_start

SIDES = ("today", "tried")
BY_MONTH = ("decisions",)
"""Shadowed tables that a close looks back into, a partition a month."""
COMPARED = ("movements", "quarter_movements")
"""Shadowed tables that are compared after each close and then emptied."""
RULE_SETS = {"movements": "monthly", "quarter_movements": "quarterly"}
WHOLE = (*COMPARED, "milestones", "month_closes")
"""Shadowed tables without parts."""
KEYED = ("milestones",)
"""Those whose key decides what is written; the others go without, since each account is decided once a month."""
AHEAD = 2
"""Closes by which the tried side may be ahead of the comparison."""
LOOK_BACK = 6
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
class Side:
    """One policy and the connection that decides by it."""

    session: AsyncSession
    connection: asyncpg.Connection
    book: PolicyBook


async def side(session: AsyncSession, book: PolicyBook) -> Side:
    """Make a side's tables in the session's transaction; its connection is for this trial alone."""
    connection = await driver(session)
    await connection.execute("SET temp_buffers = '32MB'")  # before the first temporary table
    await connection.execute("SET LOCAL search_path = trial, public, pg_catalog")
    for table in (*BY_MONTH, *WHOLE):
        await connection.execute(_shadow(table))
    return Side(session, connection, book)


async def run(today: Side, tried: Side, months: Sequence[date], progress: Progress) -> Shown:
    """Decide the months on both sides and compare; the accounts that differ stand in today's temporary table `trial_accounts`.

    The close of the quarter before the first month is decided too, so that movements have the tier that was in force.
    """
    await today.connection.execute(_TRIAL_ACCOUNTS)
    for copy, of in _COPIES.items():
        await today.connection.execute(f"CREATE TEMP TABLE {copy} ON COMMIT DROP AS {of} LIMIT 0")
    steps = [add_months(quarter_start(months[0]), -1), *months]
    handed: asyncio.Queue[dict[str, bytes]] = asyncio.Queue(AHEAD)
    shown = Shown()
    async with asyncio.TaskGroup() as both:
        both.create_task(_hand_over(tried, steps, handed))
        for step, month in enumerate(steps):
            await _close(today, month)
            await _receive(today.connection, await handed.get())
            if step:
                await _compare(today.connection, shown, month, is_last=month == months[-1])
            await _forget(today.connection, month)
            await progress(step + 1)
    return shown


async def _hand_over(tried: Side, steps: Sequence[date], handed: asyncio.Queue[dict[str, bytes]]) -> None:
    """Decide one side's months ahead of the comparison, and hand over what is compared."""
    for month in steps:
        await _close(tried, month)
        copies = {}
        for copy, query in _COPIES.items():
            into = BytesIO()
            wanted = f"{query} WHERE month = '{month}'" if copy == "tried_decisions" else query
            await tried.connection.copy_from_query(wanted, output=into, format="binary")
            copies[copy] = into.getvalue()
        await _forget(tried.connection, month)
        await handed.put(copies)


async def _receive(connection: asyncpg.Connection, copies: Mapping[str, bytes]) -> None:
    for copy, content in copies.items():
        await connection.execute(f"TRUNCATE pg_temp.{copy}")
        await connection.copy_to_table(copy, source=BytesIO(content), format="binary")


async def _close(side: Side, month: date) -> None:
    """Decide a month on one side's tables."""
    for table in BY_MONTH:
        await side.connection.execute(
            f"CREATE TEMP TABLE {_partition(table, month)} PARTITION OF pg_temp.{table} FOR VALUES IN ('{month}') ON COMMIT DROP"
        )
    instant = datetime.combine(add_months(month, 1), time(0, 30), SHANGHAI)
    await closing.decide_month(side.session, month, instant, side.book)


async def _forget(connection: asyncpg.Connection, month: date) -> None:
    """Drop what no later month is decided or compared by."""
    for table in BY_MONTH:
        await connection.execute(f"DROP TABLE IF EXISTS pg_temp.{_partition(table, add_months(month, -LOOK_BACK))}")
    for table in COMPARED:
        await connection.execute(f"TRUNCATE pg_temp.{table}")


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


def _partition(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def _shadow(table: str) -> str:
    keys, parts = "", ""
    if table in BY_MONTH:
        parts = " PARTITION BY LIST (month)"
    elif table in KEYED:
        keys = " INCLUDING INDEXES"
    return f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING DEFAULTS{keys}){parts} ON COMMIT DROP"


_MOVED = "SELECT account_no, kind, branch_code, responsible_role FROM pg_temp."
_COPIES = {
    "tried_decisions": f"SELECT account_no, {', '.join(AXES)} FROM pg_temp.decisions",
    **{f"tried_{table}": f"{_MOVED}{table}" for table in COMPARED},
}
"""What is handed over, and how it is asked."""
# Kept until the results are written, in a transaction of their own.
_TRIAL_ACCOUNTS = """
CREATE TEMP TABLE trial_accounts (account_no text, month date, axis text, unit_code text, today text, tried text)"""

_BOTH = "FROM pg_temp.decisions a JOIN pg_temp.tried_decisions b ON b.account_no = a.account_no"


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
FROM pg_temp.{table} AS a FULL JOIN pg_temp.tried_{table} AS b USING (account_no, kind) GROUP BY 1, 2 ORDER BY 1, 2"""


def _tasks_sql(table: str) -> str:
    """Return the query of the tasks that a rule set's movements open: one each, for the role that answers for it."""
    return f"""
SELECT coalesce(branch_code, {ROOT_UNIT}) AS unit_code, responsible_role AS role,
       count(*) FILTER (WHERE side = 'today') AS today, count(*) FILTER (WHERE side = 'tried') AS tried
FROM (SELECT 'today' AS side, branch_code, responsible_role FROM pg_temp.{table}
      UNION ALL SELECT 'tried', branch_code, responsible_role FROM pg_temp.tried_{table}) AS both_sides
GROUP BY 1, 2 ORDER BY 1, 2"""
