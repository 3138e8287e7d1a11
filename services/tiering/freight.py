"""The freight ledger (运费台账): every version of every charge once, the standing one of each, and the totals of each month.

The hot path: one batch of charges is one data-modifying statement, whatever its size. A second pair of statements looks at what
that one did not take: repeats, versions below the standing one, and other content under a known version.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import MonthTotal
from services.tiering.quarter_sums import ADD_TO_SUMS
from shared.db import driver
from shared.events.envelope import Delivery, Rejected
from shared.events.freight import FreightCharged
from shared.events.tiering import MonthRestated
from shared.months import add_months, month_text
from shared.outbox import publish_query
from shared.problems import Invalid

LEDGER = 7420
"""Advisory lock, the gate: every posting holds it shared, a close holds it alone while it takes its snapshot."""
MAX_MONTHS = 120

LAST_CLOSED = """coalesce((SELECT max(month) FROM month_closes {where}), (
    SELECT (date_trunc('month', through AT TIME ZONE INTERVAL '8 hours') - INTERVAL '1 month')::date FROM schedule_state))"""
"""SQL of the last month that counts as closed. Before the first close it is the month before the one the service began in: its
schedules never pass a month's end without that month's close."""
CLOSED = LAST_CLOSED.format(where="WHERE state = 'closed'")
CLOSED_OR_CLOSING = LAST_CLOSED.format(where="")

POINT = "coalesce(pg_sequence_last_value('restatements_seq_seq'::regclass), 0)"
"""SQL of the ledger point at which a posting stands: not below any marked before it, below any marked after."""
NEXT_POINT = "nextval('restatements_seq_seq')"
"""SQL that marks a ledger point (账点), while the gate is held alone: what was posted before it is known, what comes later not.

Both are numbers of the restatements' sequence. A posting takes none of its own, so that points cost it nothing.
"""


async def post(session: AsyncSession, deliveries: Sequence[Delivery[FreightCharged]]) -> list[Rejected[FreightCharged]]:
    """Post charges into the ledger and the totals of their months (T-17, T-22, T-23 stand on them).

    A higher version of a charge replaces the lower one, whichever comes first, and may change amount, month and account; the
    same version again does nothing, with other content it is rejected and the first stays. A charge of a closed month, or of
    one being closed, leaves a dirty mark; that and every replacement are published as MonthRestated.

    Locks, in this order: the gate (shared), charges by number, sums by account and quarter.
    """
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", LEDGER)
    sent = as_json(deliveries)
    rows = await connection.fetch(_POST, sent)
    if rows[0]["change_fen"] is not None:
        _publish_restated(session, rows)
    if rows[0]["posted"] == len(deliveries):
        return []
    await connection.execute(_KEEP_REPLACED, sent)
    conflicts = await connection.fetch(_CONFLICTS, sent)
    return [
        Rejected(deliveries[row["position"] - 1], "this version of the charge is known with other content") for row in conflicts
    ]


@asynccontextmanager
async def gate_held_alone(session: AsyncSession) -> AsyncIterator[None]:
    """Hold the gate alone for the block only: every posting under way has committed, and none begins.

    A failed transaction could not let the gate go, and its connection would keep it in the pool: where the block fails, the
    connection is given up, and the gate with it.
    """
    connection = await driver(session)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LEDGER)
        yield
        await connection.execute("SELECT pg_advisory_unlock($1)", LEDGER)
    except BaseException:
        connection.terminate()
        raise


def as_json(deliveries: Sequence[Delivery[FreightCharged]]) -> str:
    """Return the charges as one JSON array, as the ledger's statements take them."""
    return f"[{','.join([delivery.data for delivery in deliveries])}]"


async def read_months(session: AsyncSession, account_no: str, first: date, last: date) -> list[dict[str, Any]]:
    """Return the totals of an account from one month to another, both included, months without charges as 0.

    Raises Invalid where the months are the wrong way round or more than 120.
    """
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    if count < 1:
        raise Invalid("`to` lies before `from`.", "months-reversed")
    if count > MAX_MONTHS:
        raise Invalid(f"At most {MAX_MONTHS} months can be read at once.", "too-many-months")
    found = await session.execute(
        select(MonthTotal.month, MonthTotal.amount_fen, MonthTotal.charges).where(
            MonthTotal.account_no == account_no, MonthTotal.month.between(first, last)
        )
    )
    totals = {row.month: row for row in found}
    closed = await last_closed(session)
    answer = []
    for month in (add_months(first, n) for n in range(count)):
        total = totals.get(month)
        answer.append(
            {
                "month": month_text(month),
                "amount_fen": total.amount_fen if total else 0,
                "charges": total.charges if total else 0,
                "closed": closed is not None and month <= closed,
            }
        )
    return answer


async def last_closed(session: AsyncSession) -> date | None:
    """Return the last closed month; None before the service has begun."""
    found: date | None = await (await driver(session)).fetchval(f"SELECT {CLOSED}")
    return found


def _publish_restated(session: AsyncSession, rows: Sequence[asyncpg.Record]) -> None:
    names = ("charge_no", "version", "account_no", "month", "change_fen")
    publish_query(session, MonthRestated, _RESTATED, {name: [row[name] for row in rows] for name in names})


_NAMES = "charge_no, version, waybill_no, account_no, amount_fen, charged_at, month, product, weight_grams"
# The data as it came, one text for the whole batch: to turn it into columns here and back there cost four times as much of the
# worker, which is what bounds the ingest, and PostgreSQL only half as much again. (0035)
_SENT = """(
    SELECT charge_no, version, waybill_no, account_no, amount_fen, charged_at,
           date_trunc('month', charged_at AT TIME ZONE INTERVAL '8 hours')::date AS month, product, weight_grams, position
    FROM ROWS FROM (json_to_recordset($1::json) AS (
        charge_no text, version integer, waybill_no text, account_no text, amount_fen bigint, charged_at timestamptz,
        product text, weight_grams bigint
    )) WITH ORDINALITY AS j (
        charge_no, version, waybill_no, account_no, amount_fen, charged_at, product, weight_grams, position
    )
) AS s"""

# Charges are written in the order of their numbers and sums in the order of account and quarter: two partitions with each
# other's accounts wait for one another and never in a circle. RETURNING old is PostgreSQL 18.
_POST = f"""
WITH sent AS (
    SELECT DISTINCT ON (charge_no COLLATE "C") {_NAMES} FROM {_SENT}
    ORDER BY charge_no COLLATE "C", version DESC, position
), posted AS (
    INSERT INTO charges ({_NAMES}) SELECT {_NAMES} FROM sent
    ON CONFLICT (charge_no) DO UPDATE
    SET version = EXCLUDED.version, waybill_no = EXCLUDED.waybill_no, account_no = EXCLUDED.account_no,
        amount_fen = EXCLUDED.amount_fen, charged_at = EXCLUDED.charged_at, month = EXCLUDED.month, product = EXCLUDED.product,
        weight_grams = EXCLUDED.weight_grams
    WHERE charges.version < EXCLUDED.version
    RETURNING old AS was, old.version IS NOT NULL AS replaces, new.charge_no, new.version, new.account_no, new.month,
              new.amount_fen
), replaced AS (
    INSERT INTO replaced_charges ({_NAMES}, replaced_seq) SELECT (was).*, (SELECT {POINT}) FROM posted WHERE replaces
), changes AS (
    SELECT charge_no, version, replaces, account_no, month, amount_fen AS change_fen, 1 AS charges FROM posted
    UNION ALL
    SELECT charge_no, version, true, (was).account_no, (was).month, -(was).amount_fen, -1 FROM posted WHERE replaces
), {ADD_TO_SUMS}, closed AS MATERIALIZED (
    SELECT {CLOSED_OR_CLOSING} AS month
), marks AS (
    INSERT INTO dirty_marks (account_no, month)
    SELECT account_no, month FROM changes WHERE month <= (SELECT month FROM closed)
    GROUP BY account_no, month HAVING sum(change_fen) <> 0 ORDER BY account_no, month
), restated AS (
    SELECT charge_no, version, account_no, month, sum(change_fen)::bigint AS change_fen FROM changes
    WHERE replaces OR month <= (SELECT month FROM closed)
    GROUP BY charge_no, version, account_no, month HAVING sum(change_fen) <> 0 OR sum(charges) <> 0
), late AS (
    INSERT INTO restatements (account_no, month, charge_no, version, change_fen, at)
    SELECT account_no, month, charge_no, version, change_fen, business_now() FROM restated
    WHERE month <= (SELECT month FROM closed) ORDER BY account_no, month, charge_no
)
SELECT counted.posted, restated.* FROM (SELECT count(*) AS posted FROM posted) AS counted LEFT JOIN restated ON change_fen <> 0"""

# A version that came after a higher one, or with it in one batch. Its charge's row is locked since the statement before.
_KEEP_REPLACED = f"""
INSERT INTO replaced_charges ({_NAMES})
SELECT DISTINCT ON (s.charge_no, s.version) s.charge_no, s.version, s.waybill_no, s.account_no, s.amount_fen, s.charged_at,
       s.month, s.product, s.weight_grams
FROM {_SENT} JOIN charges c ON c.charge_no = s.charge_no COLLATE "C" AND c.version > s.version
ORDER BY s.charge_no, s.version, s.position
ON CONFLICT DO NOTHING"""

_CONFLICTS = f"""
SELECT s.position
FROM {_SENT} JOIN charge_versions v ON v.charge_no = s.charge_no COLLATE "C" AND v.version = s.version
WHERE (s.waybill_no, s.account_no, s.amount_fen, s.charged_at) <> (v.waybill_no, v.account_no, v.amount_fen, v.charged_at)
   OR (s.product, s.weight_grams) IS DISTINCT FROM (v.product, v.weight_grams)
ORDER BY s.position"""

_RESTATED = f"""
SELECT r.account_no AS key,
       natural_id('{MonthRestated.TYPE}/' || r.account_no || '/' || to_char(r.month, 'YYYY-MM') || '/' || r.charge_no || '/'
                  || r.version) AS event_id,
       json_build_object('account_no', r.account_no, 'month', to_char(r.month, 'YYYY-MM'), 'charge_no', r.charge_no,
                         'version', r.version, 'change_fen', r.change_fen, 'amount_fen', coalesce(t.amount_fen, 0)) AS data
FROM unnest(CAST(:charge_no AS text[]), CAST(:version AS integer[]), CAST(:account_no AS text[]), CAST(:month AS date[]),
            CAST(:change_fen AS bigint[])) AS r (charge_no, version, account_no, month, change_fen)
LEFT JOIN month_totals t ON t.account_no = r.account_no COLLATE "C" AND t.month = r.month
ORDER BY r.account_no, r.month, r.charge_no, r.version"""
