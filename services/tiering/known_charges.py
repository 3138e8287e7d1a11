"""The charges behind a decision (判定所依据的运费), each version as it was known then, whatever came since.

A version stood from its posting until it was replaced. A decision knows what was posted before its ledger point: so it stands on
the versions replaced after that point, or standing still, that did not come after it. What came after it into a closed month is
in the restatements; where it replaced a version of the same month and amount, it is known by that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import movements, quarter_movements
from services.tiering.models import Decision, MonthClose
from shared.db import driver
from shared.events.freight import FreightCharged
from shared.months import add_months, month_text
from shared.paging import PageRequest, paged
from shared.problems import NotFound

NO_POINT = 2**62
"""Later than every ledger point."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a decision was taken on: an account's months, the freight it found there, and the ledger point of its knowledge."""

    account_no: str
    months: Sequence[date]
    input_fen: int
    known_seq: int


async def list_closed_months(session: AsyncSession, instant: datetime) -> None:
    """List the charges of every closed month that is not listed yet, the first time those of all months before it, too."""
    connection = await driver(session)
    months = await connection.fetchrow(_UNLISTED)
    if months["last"] is not None:
        await session.execute(_LIST, dict(months))
        await session.execute(_LISTED, {"last": months["last"]})


async def list_charges(session: AsyncSession, decision_id: UUID, page: PageRequest) -> dict[str, Any]:
    """List the charge versions whose sum a decision was taken on, by month and number; raises NotFound.

    Of a close: those of its three months; of a movement: of both months; of a quarterly movement: of both quarters.
    """
    basis = await _basis(session, decision_id)
    listed = (await session.execute(_ALL_LISTED, {"last": basis.months[-1]})).scalar_one()
    params = {"account_no": basis.account_no, "months": list(basis.months), "known_seq": basis.known_seq}
    after_month, after_no = page.after or (None, None)
    keys = {"after_month": after_month, "after_no": after_no, "limit": page.limit + 1}
    rows = (await session.execute(_KNOWN if listed else _KNOWN_UNLISTED, {**params, **keys})).all()
    answer = paged([row for row in rows if row.charge_no is not None], page, lambda row: (row.month, row.charge_no))
    return {
        "decision_id": decision_id,
        "account_no": basis.account_no,
        "input_fen": basis.input_fen,
        "sum_fen": rows[0].sum_fen,
        "charges": rows[0].charges,
        "items": [_item(item, basis.account_no) for item in answer["items"]],
        "next_cursor": answer["next_cursor"],
    }


async def _basis(session: AsyncSession, decision_id: UUID) -> Basis:
    decision = (await session.execute(select(Decision).where(Decision.decision_id == decision_id))).scalar_one_or_none()
    if decision is not None:
        months = _months(decision.month, 3)
        return Basis(decision.account_no, months, decision.sum_fen, await _point(session, decision.month))
    movement = await movements.find_by_decision(session, decision_id)
    if movement is not None:
        total = movement.decided_previous_fen + movement.decided_current_fen
        known_seq = NO_POINT if movement.known_seq is None else movement.known_seq
        return Basis(movement.account_no, _months(movement.month, 2), total, known_seq)
    quarterly = await quarter_movements.find_by_decision(session, decision_id)
    if quarterly is None:
        raise NotFound("decision", decision_id)
    last = add_months(quarterly.quarter, 2)
    total = quarterly.previous_fen + quarterly.current_fen
    return Basis(quarterly.account_no, _months(last, 6), total, await _point(session, last))


def _months(last: date, count: int) -> list[date]:
    return [add_months(last, back) for back in range(1 - count, 1)]


async def _point(session: AsyncSession, month: date) -> int:
    found = select(func.coalesce(MonthClose.known_seq, NO_POINT)).where(MonthClose.month == month)
    return (await session.execute(found)).scalar_one_or_none() or NO_POINT


def _item(row: dict[str, Any], account_no: str) -> dict[str, Any]:
    names = ("charge_no", "version", "waybill_no", "amount_fen", "charged_at", "product", "weight_grams")
    fields = {name: row[name] for name in names}
    event_id = FreightCharged.model_construct(account_no=account_no, **fields).event_id
    shown = {name: fields[name] for name in names[:5]}
    return {**shown, "month": month_text(row["month"]), "event_id": event_id}


_UNLISTED = (
    "SELECT max(month) FILTER (WHERE state = 'closed' AND NOT listed) AS last, "
    "coalesce(max(month) FILTER (WHERE listed), '-infinity') AS listed_through FROM month_closes"
)
_LIST = text(
    "INSERT INTO month_charges (account_no, month, charge_nos) "
    "SELECT account_no, month, array_agg(charge_no ORDER BY charge_no) FROM charges "
    "WHERE month > :listed_through AND month <= :last GROUP BY account_no, month ORDER BY account_no, month"
)
_LISTED = text("UPDATE month_closes SET listed = true WHERE state = 'closed' AND month <= :last AND NOT listed")
_ALL_LISTED = text("SELECT coalesce(max(month) FILTER (WHERE listed) >= :last, false) FROM month_closes")

_OF_BASIS = "account_no = CAST(:account_no AS text) AND month = ANY(CAST(:months AS date[]))"
# Seconds after a close its month is not listed yet: then the whole ledger is looked through.
_LISTS = f"SELECT unnest(charge_nos) AS charge_no FROM month_charges WHERE {_OF_BASIS}"
_SCAN = f"SELECT charge_no FROM charges WHERE {_OF_BASIS} UNION ALL SELECT charge_no FROM replaced_charges WHERE {_OF_BASIS}"
_COLUMNS = "charge_no, version, waybill_no, amount_fen, charged_at, month, product, weight_grams"


def _statement(candidates: str) -> str:
    shown = ", ".join(f"v.{name}" for name in _COLUMNS.split(", "))
    of_basis = "v.account_no = CAST(:account_no AS text) AND v.month = ANY(CAST(:months AS date[]))"
    return f"""
WITH candidates AS (
    SELECT charge_no FROM ({candidates}) AS c UNION SELECT charge_no FROM restatements WHERE {_OF_BASIS}
), stood AS (
    SELECT {shown} FROM candidates k JOIN charges v ON v.charge_no = k.charge_no WHERE {of_basis}
    UNION ALL
    SELECT {shown} FROM candidates k JOIN replaced_charges v ON v.charge_no = k.charge_no
    WHERE {of_basis} AND v.replaced_seq >= :known_seq
), known AS MATERIALIZED (
    SELECT s.* FROM stood s
    WHERE NOT EXISTS (SELECT FROM restatements r WHERE r.account_no = CAST(:account_no AS text) AND r.month = s.month
                      AND r.charge_no = s.charge_no AND r.version = s.version AND r.seq > :known_seq)
      AND NOT EXISTS (SELECT FROM replaced_charges p WHERE p.charge_no = s.charge_no AND p.version < s.version
                      AND p.replaced_seq >= :known_seq)
)
SELECT t.charges, t.sum_fen, {shown}
FROM (SELECT count(*) AS charges, coalesce(sum(amount_fen), 0)::bigint AS sum_fen FROM known) AS t LEFT JOIN (
    SELECT * FROM known
    WHERE CAST(:after_month AS date) IS NULL OR (month, charge_no) > (CAST(:after_month AS date), CAST(:after_no AS text))
    ORDER BY month, charge_no LIMIT :limit
) AS v ON true ORDER BY v.month, v.charge_no"""


_KNOWN = text(_statement(_LISTS))
_KNOWN_UNLISTED = text(_statement(_SCAN))
