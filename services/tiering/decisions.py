"""Decisions (定级): contribution grade at each month's close; tier, band, focus and entitlements at each quarter's.

One statement writes one typed row per account with everything it was decided on and a digest of all that. `policy` and `axes` say
the same rules in Python. Tables are named without a schema, so that a trial or a replay runs the same statements on copies.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.deciding_sql import INPUT_COLUMNS, decide_statement, inputs_of, tiers_changed
from services.tiering.policies import PolicyBook
from services.tiering.policies.document import Tier
from shared.events.tiering import TiersChanged
from shared.months import add_months, is_quarter_end, last_day, quarter_start
from shared.outbox import publish_query

NUMBERS = (
    *("policy_version", "vip_top_n", "key_top_n", "zero_freight_is_general", "diamond_from_fen", "gold_from_fen"),
    *("a_percent", "b_percent", "focus_from_fen", "claims_from_fen"),
)
TIERS: tuple[Tier, ...] = ("vip", "key", "general")


async def decide(session: AsyncSession, month: date, decided_at: datetime, book: PolicyBook, *, on_trial: bool = False) -> int:
    """Decide for the accounts opened by the month's last day: grades, and at a quarter's end all other axes.

    Returns how many. On trial, `prepare` has run before and only what policies are compared by is kept.
    Source: T-01, T-02, T-04 to T-08, T-11, T-14, T-16, T-17, T-64.
    """
    # The planner's default of 4 MB would sort a million accounts on disk; with 20 their sorts and hashes together take 230, with
    # 32 they take 330. It is given back with the transaction.
    await session.execute(text("SET LOCAL work_mem = '20MB'"))
    params = {**_months(month), "decided_at": decided_at, **book.params(*NUMBERS), **_rights(book), **_non_insured(book)}
    statement = decide_statement(NUMBERS, at_quarter_end=is_quarter_end(month), on_trial=on_trial)
    written = await session.execute(text(statement), params)
    return int(written.rowcount)  # type: ignore[attr-defined]


async def prepare(session: AsyncSession, month: date) -> None:
    """Fill the session's own tables `judged`, `placed_in` and `sizes` with what no policy changes of a close."""
    for name, (helpers, query) in inputs_of(at_quarter_end=is_quarter_end(month)).items():
        found = f"WITH {helpers} {query}" if helpers else query
        await session.execute(text(f"INSERT INTO pg_temp.{name} ({INPUT_COLUMNS[name]}) {found}"), _months(month))


def publish_changed(session: AsyncSession, month: date) -> None:
    """Publish as TiersChanged what a month's close decided otherwise than the one before."""
    params = {"month": month, "quarter_month": last_decided_quarter(month)}
    publish_query(session, TiersChanged, tiers_changed(at_quarter_end=is_quarter_end(month)), params)


def last_decided_quarter(month: date) -> date:
    """Return the last month of the newest quarter that has ended by the end of this month."""
    return month if is_quarter_end(month) else add_months(quarter_start(month), -1)


def _months(month: date) -> dict[str, Any]:
    return {
        "month": month,
        "previous": add_months(month, -1),
        "before_previous": add_months(month, -2),
        "quarter_before": add_months(month, -3),
        "quarter_month": last_decided_quarter(month),
        "base_start": add_months(month, -5),
        "day": last_day(month),
    }


def _rights(book: PolicyBook) -> dict[str, list[Any]]:
    """Return what each tier brings, as columns: for the whole organisation (unit "") and for every branch that differs."""
    columns: dict[str, list[Any]] = {name: [] for name in ("unit", "tier", "green", "free_claims", "plan")}
    for unit, document in (("", book.base), *((branch, book.units[branch]) for branch in book.branches)):
        rules = document.entitlements
        for tier in TIERS:
            green, free = tier in rules.green_channel, tier in rules.claims_without_amount
            for name, value in zip(columns, (unit, tier, green, free, rules.points_plan.get(tier)), strict=True):
                columns[name].append(value)
    return {f"rights_{name}": values for name, values in columns.items()}


def _non_insured(book: PolicyBook) -> dict[str, list[str]]:
    documents = (("", book.base), *((branch, book.units[branch]) for branch in book.branches))
    pairs = [(unit, area) for unit, document in documents for area in document.entitlements.non_insured_units]
    return {"insurance_unit": [unit for unit, _ in pairs], "insurance_area": [area for _, area in pairs]}
