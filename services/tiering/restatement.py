"""Re-judging (重判): once a day, what late and corrected charges did to the movements of closed months.

Never on arrival: all marks since the last run are judged together and sorted, so that the order of charges, batches and
partitions cannot change a revision.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.deciding_sql import MONTHS_BETWEEN
from services.tiering.freight import CLOSED, NEXT_POINT, gate_held_alone
from services.tiering.movements import KIND, OPEN_FOUND, opening, publish
from services.tiering.policies.book import NUMBERS
from services.tiering.policies.versions import PolicyHistory
from services.tiering.policy import Change, Movement, change_of
from services.tiering.quarter_sums import last_freight
from shared.db import driver
from shared.events.tiering import MovementDetected, MovementRestated, MovementWithdrawn
from shared.months import add_months, last_day


async def rejudge(session: AsyncSession, instant: datetime) -> None:
    """Judge every account that a charge of a closed month has touched since the last run, from that month to the last closed one.

    Only the amounts changed: the movement shows today's, its decision keeps those it was taken on. Kind or run length changed: it
    is withdrawn and a new revision opens. No longer true: withdrawn. Newly true: opened.

    The marks are taken first and the totals read in a later statement: a charge that commits in between is in those totals, and
    its own mark waits for the next run, which then finds nothing to change.
    """
    connection = await driver(session)
    closed = await connection.fetchval(f"SELECT {CLOSED}")
    touched = await connection.fetch(_TAKE_MARKS, closed)
    if not touched:
        return
    published = await policies.history(session)
    numbers = _numbers(published, min(row["first"] for row in touched), closed)
    judged = [(row["account_no"], month) for row in touched for month in _months(row["first"], closed)]
    columns = [[account_no for account_no, _ in judged], [month for _, month in judged], *numbers]
    known_seq, rows = await _judge(session, *columns)
    by_change: dict[Change, list[asyncpg.Record]] = {"open": [], "restate": [], "replace": [], "withdraw": []}
    for row in rows:
        change = change_of(_movement(row, "was_"), _movement(row, ""))
        if change is not None:
            by_change[change].append(row)
    await _withdraw(session, by_change["replace"], "restated", instant)
    await _withdraw(session, by_change["withdraw"], "no_longer_true", instant)
    await _restate(session, by_change["restate"], instant)
    opened = sorted(by_change["open"] + by_change["replace"], key=lambda row: (row["account_no"], row["month"]))
    await _open(session, opened, opening(instant, closed, published.on(last_day(closed)), known_seq))


async def _judge(session: AsyncSession, *params: Any) -> tuple[int, Sequence[asyncpg.Record]]:
    """Return what differs, and the ledger point up to which that knows the charges.

    The gate is held alone for as long as a cursor takes its snapshot, not while it reads.
    """
    connection = await driver(session)
    async with gate_held_alone(session):
        known_seq = await connection.fetchval(f"SELECT {NEXT_POINT}")
        found = await connection.cursor(_DIFFERENT, *params)
    return known_seq, await found.fetch(_ALL)


def _numbers(published: PolicyHistory, first: date, last: date) -> list[list[Any]]:
    """Return the numbers of each month as columns: month, branch (null: the organisation's), version, run raised, percent."""
    rows: list[tuple[Any, ...]] = []
    for month in _months(first, last):
        book = published.on(last_day(month))
        for branch, document in ((None, book.base), *((branch, book.units[branch]) for branch in book.branches)):
            row = (NUMBERS[name][1](document) for name in ("policy_version", "zero_months_raised", "fall_over_percent"))
            rows.append((month, branch, *row))
    return [list(column) for column in zip(*rows, strict=True)]


def _months(first: date, last: date) -> Iterator[date]:
    month = first
    while month <= last:
        yield month
        month = add_months(month, 1)


def _movement(row: asyncpg.Record, prefix: str) -> Movement | None:
    if row[f"{prefix}kind"] is None:
        return None
    zero_months = row[f"{prefix}zero_months"] if row[f"{prefix}kind"] == "zero_month" else None
    return Movement(row[f"{prefix}kind"], zero_months, row[f"{prefix}previous_fen"], row[f"{prefix}current_fen"])


async def _withdraw(session: AsyncSession, rows: Sequence[asyncpg.Record], reason: str, instant: datetime) -> None:
    if not rows:
        return
    ids = [row["movement_id"] for row in rows]
    await (await driver(session)).execute(
        "UPDATE movements SET state = 'withdrawn', withdrawn_reason = $2, judged_at = $3, version = version + 1 "
        "WHERE movement_id = ANY($1::uuid[])",
        ids,
        reason,
        instant,
    )
    publish(session, MovementWithdrawn, "m.movement_id = ANY(CAST(:ids AS uuid[]))", {"ids": ids})


async def _restate(session: AsyncSession, rows: Sequence[asyncpg.Record], instant: datetime) -> None:
    if not rows:
        return
    ids = [row["movement_id"] for row in rows]
    await (await driver(session)).execute(
        "UPDATE movements m "
        "SET previous_fen = n.previous_fen, current_fen = n.current_fen, judged_at = $4, version = version + 1 "
        "FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS n (movement_id, previous_fen, current_fen) "
        "WHERE m.movement_id = n.movement_id",
        ids,
        [row["previous_fen"] for row in rows],
        [row["current_fen"] for row in rows],
        instant,
    )
    publish(session, MovementRestated, "m.movement_id = ANY(CAST(:ids AS uuid[]))", {"ids": ids})


async def _open(session: AsyncSession, rows: Sequence[asyncpg.Record], place: Mapping[str, Any]) -> None:
    if not rows:
        return
    names = ("account_no", "month", "kind", "zero_months", "previous_fen", "current_fen", "policy_version")
    params: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    opened = await session.execute(text(f"{_FOUND_LATER}{OPEN_FOUND} RETURNING movement_id"), {**params, **place})
    publish(session, MovementDetected, "m.movement_id = ANY(CAST(:ids AS uuid[]))", {"ids": list(opened.scalars())})


_ALL = 2**31 - 1

_TAKE_MARKS = """
WITH taken AS (DELETE FROM dirty_marks WHERE month <= $1 RETURNING account_no, month)
SELECT account_no, min(month) AS first FROM taken GROUP BY account_no ORDER BY account_no"""

# Every judged month of every touched account beside its open movement, where the two differ. The months are handed over as rows:
# the planner knows how many those are. Of a series it expects a thousand for each account, and reads whole tables.
_DIFFERENT = f"""
WITH numbers AS (
    SELECT * FROM unnest($3::date[], $4::text[], $5::text[], $6::integer[], $7::integer[])
        AS n (month, branch_code, policy_version, raised, percent)
), touched AS (
    SELECT t.account_no COLLATE "C" AS account_no, t.month FROM unnest($1::text[], $2::date[]) AS t (account_no, month)
), judged AS (
    SELECT t.account_no, t.month, coalesce(c.amount_fen, 0) AS current_fen, coalesce(p.amount_fen, 0) AS previous_fen,
           {MONTHS_BETWEEN.format(later="t.month", earlier=last_freight("t.account_no", "t.month"))} AS zero_months,
           coalesce(n.policy_version, b.policy_version) AS policy_version,
           coalesce(n.raised, b.raised) AS zero_months_raised, coalesce(n.percent, b.percent) AS fall_over_percent
    FROM touched t
         LEFT JOIN month_totals c ON c.account_no = t.account_no AND c.month = t.month
         LEFT JOIN month_totals p ON p.account_no = t.account_no AND p.month = (t.month - INTERVAL '1 month')::date
         LEFT JOIN decisions d ON d.month = t.month AND d.account_no = t.account_no
         LEFT JOIN numbers n ON n.month = t.month AND n.branch_code = d.branch_code
         JOIN numbers b ON b.month = t.month AND b.branch_code IS NULL
), found AS (
    SELECT j.*, {KIND.format(raised="j.zero_months_raised", percent="j.fall_over_percent")} AS kind FROM judged j
)
SELECT f.account_no, f.month, f.kind, f.zero_months, f.previous_fen, f.current_fen, f.policy_version, o.movement_id,
       o.kind AS was_kind, o.zero_months AS was_zero_months, o.previous_fen AS was_previous_fen, o.current_fen AS was_current_fen
FROM found f LEFT JOIN movements o ON o.account_no = f.account_no AND o.month = f.month AND o.state = 'open'
WHERE f.kind IS DISTINCT FROM o.kind
   OR (f.kind = 'zero_month' AND f.zero_months <> o.zero_months)
   OR (f.kind IS NOT NULL AND (f.previous_fen, f.current_fen) <> (o.previous_fen, o.current_fen))
ORDER BY f.account_no, f.month"""

_FOUND_LATER = """
WITH found AS (
    SELECT n.account_no COLLATE "C" AS account_no, n.month, n.kind, n.zero_months, n.previous_fen, n.current_fen,
           n.policy_version, 1 + coalesce((SELECT max(o.revision) FROM movements o
                                           WHERE o.account_no = n.account_no AND o.month = n.month), 0) AS revision
    FROM unnest(CAST(:account_no AS text[]), CAST(:month AS date[]), CAST(:kind AS text[]), CAST(:zero_months AS integer[]),
                CAST(:previous_fen AS bigint[]), CAST(:current_fen AS bigint[]), CAST(:policy_version AS text[]))
        AS n (account_no, month, kind, zero_months, previous_fen, current_fen, policy_version)
), """
