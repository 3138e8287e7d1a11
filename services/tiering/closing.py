"""The close of a month (月结): on the 1st of the next at 00:30, grades and movements; at a quarter's end all other axes, too.

A charge is either in the close or leaves a dirty mark; the gate sees to that, and it is held for milliseconds only:

1. The gate is taken alone: every posting under way has committed, and no other begins.
2. The month is marked `closing`, and that commits: whatever is posted from now on for the month leaves a mark.
3. A second transaction takes its snapshot, which holds exactly the postings before the mark. The gate is let go.
4. That transaction decides everything and commits the decisions, the state `closed` and the record of the run together.

A month left `closing` by a crash has no decisions and is closed again at the next start.
"""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import decisions, entitlements, milestones, movements, policies, quarter_movements
from services.tiering.freight import LEDGER, NEXT_POINT, last_closed
from services.tiering.policies import PolicyBook
from shared.db import Database
from shared.events.tiering import MonthClosed
from shared.months import add_months, business_month, is_quarter_end, last_day, quarter_start
from shared.outbox import publish
from shared.scheduler import Record


async def is_due(session: AsyncSession, instant: datetime) -> bool:
    """Say whether a month lies behind the instant that has not been closed."""
    return bool(await _open_months(session, instant))


async def close_months(database: Database, instant: datetime, record: Record) -> None:
    """Close every month that lies behind the instant, oldest first; the run is recorded with the last one."""
    async with database.transaction() as session:
        months = await _open_months(session, instant)
    for month in months:
        await _close(database, month, instant, record if month == months[-1] else None)


async def _open_months(session: AsyncSession, instant: datetime) -> list[date]:
    month = await last_closed(session)
    months = []
    while month is not None and (month := add_months(month, 1)) < business_month(instant):
        months.append(month)
    return months


async def _close(database: Database, month: date, instant: datetime, record: Record | None) -> None:
    # All three connections are taken before the gate: postings that wait at the gate may hold the rest of the pool.
    async with database.transaction(isolation="REPEATABLE READ") as session:
        async with database.transaction() as gate:
            async with database.transaction() as marking:
                await marking.connection()
                await gate.execute(text("SELECT pg_advisory_xact_lock(:ledger)"), {"ledger": LEDGER})
                await marking.execute(_MARK, {"month": month})
            await session.execute(text("SELECT 1"))  # the snapshot is taken by the first statement
        await _decide(session, month, instant)
        if record is not None:
            await record(session)


async def _decide(session: AsyncSession, month: date, instant: datetime) -> None:
    book = await policies.in_force(session, last_day(month))
    accounts = await decide_month(session, month, instant, book)
    quarter = quarter_start(month) if is_quarter_end(month) else None
    # What is published is read at the end, by comparing a million decisions with those before. The planner has never seen this
    # month, takes its decisions for one row, and would look up each of the others by itself.
    await session.execute(text("SET LOCAL enable_nestloop = off"))
    decisions.publish_changed(session, month)
    publish(session, MonthClosed(month=month, quarter=quarter, closed_at=instant, accounts=accounts))
    movements.publish_detected(session, month, instant)
    milestones.publish_reached(session, month, instant)
    if quarter is not None:
        entitlements.publish_changed(session, month)
        quarter_movements.publish_detected(session, month, instant)


async def decide_month(session: AsyncSession, month: date, instant: datetime, book: PolicyBook) -> int:
    """Decide everything that a month's close decides, publish nothing, and mark it closed; returns the number of accounts.

    A replay runs exactly this on tables of its own.
    """
    accounts = await decide_accounts(session, month, instant, book)
    await milestones.note(session, month, instant, book)
    await session.execute(
        _CLOSED, {"month": month, "instant": instant, "policy_version": book.base.policy_version, "accounts": accounts}
    )
    return accounts


async def decide_accounts(
    session: AsyncSession, month: date, instant: datetime, book: PolicyBook, *, on_trial: bool = False
) -> int:
    """Decide all axes and movements of a month, which is what policies are compared by; returns the number of accounts.

    A trial runs this on tables of its own, for each policy on what `prepare` has found once, and keeps what it compares.
    """
    accounts = await decisions.decide(session, month, instant, book, on_trial=on_trial)
    await movements.detect(session, month, instant, book, on_trial=on_trial)
    if is_quarter_end(month):
        await quarter_movements.detect(session, month, instant, book, on_trial=on_trial)
    return accounts


async def prepare(session: AsyncSession, month: date, instant: datetime, books: Sequence[PolicyBook]) -> None:
    """Fill the session's own tables with what none of these policies changes of a month's close."""
    await decisions.prepare(session, month)
    await movements.prepare(session, month, instant, books)
    if is_quarter_end(month):
        await quarter_movements.prepare(session, month)


# A close that is done again after a crash knows what was posted in between.
_MARK = text(
    f"INSERT INTO month_closes (month, state, known_seq) VALUES (:month, 'closing', {NEXT_POINT}) "
    "ON CONFLICT (month) DO UPDATE SET known_seq = EXCLUDED.known_seq"
)
_CLOSED = text(
    "UPDATE month_closes SET state = 'closed', closed_at = :instant, policy_version = :policy_version, accounts = :accounts "
    "WHERE month = :month"
)
