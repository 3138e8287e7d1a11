"""Causes of movements (异动原因): asked from the shipper, or inferred with evidence and judged by people; the hit rate (T-28).

Inferred in sets for all movements that a run has found: nothing is queried per movement. Each cause carries the ids that it rests
on. An inferred cause is a proposal until a person confirms or refutes it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import facts
from services.tiering.models import MovementCause, MovementRow
from shared.clock import business_now
from shared.db import driver
from shared.directory import in_subtree
from shared.events.contacts import ContactRecorded
from shared.events.envelope import Delivery
from shared.months import add_months, month_text, parse_month
from shared.problems import Conflict, Invalid, NotFound

LATE_TICKETS = 2
"""So many parcels must have been late: one is everybody's."""
DROPPED_SHARE_PERCENT, DROPPED_LEFT_PERCENT, REST_HELD_PERCENT = 30, 20, 70
"""A product was dropped or a route lost: 30 % of the month before, at most a fifth of it left, while the rest held 70 %."""
ROUTE_PARCELS = 3
"""A route was one only with so many parcels in the month before."""
PRICE_RISE_PERCENT = 10
PRICE_CHARGES = 3
MAX_IDS = 10
MAX_MONTHS = 60


async def run(session: AsyncSession, instant: datetime) -> None:
    """Infer the causes of the movements that this instant's runs have found, from tickets, ledger and season.

    Routes of a month come when it is over, a day after its movements: they are looked at when they come.
    """
    connection = await driver(session)
    span = await connection.fetchrow(_SPAN, instant)
    if span["last"] is not None:
        await _infer(connection, instant, span)
    if span["last"] is not None or span["has_new_routes"]:
        await connection.execute(_BY_ROUTE, instant)


async def _infer(connection: asyncpg.Connection, instant: datetime, span: asyncpg.Record) -> None:
    # The movements are of this transaction: no statistics know how many, and a nested loop would read the ledger for each.
    await connection.execute("SET LOCAL enable_nestloop = off")
    await connection.execute(_BY_TICKETS, instant, LATE_TICKETS, MAX_IDS)
    await connection.execute(_BY_SEASON, instant)
    first = add_months(span["first"], -3)
    await connection.execute(_BY_PRODUCT, instant, first, span["last"], MAX_IDS)
    await connection.execute(_BY_PRICE, instant, first, span["last"], MAX_IDS)
    await connection.execute("SET LOCAL enable_nestloop TO DEFAULT")


async def note_contacts(session: AsyncSession, deliveries: Sequence[Delivery[ContactRecorded]]) -> None:
    """Keep contacts as facts, and the cause that a shipper named as the cause of the movement that was talked about."""
    await facts.note_contacts(session, deliveries)
    named = [delivery.event for delivery in deliveries if delivery.event.cause_code is not None]
    if named:
        columns = ("contact_id", "task_id", "cause_code", "entered_at")
        await (await driver(session)).execute(_ASKED, *([getattr(event, name) for event in named] for name in columns))


async def list_causes(session: AsyncSession, movement_id: UUID) -> dict[str, Any]:
    """Return the causes of a movement: those that were asked first, then the inferred ones. Raises NotFound."""
    movement = await session.get(MovementRow, movement_id)
    if movement is None:
        raise NotFound("movement", movement_id)
    query = select(MovementCause).where(MovementCause.movement_id == movement_id)
    found = (await session.execute(query.order_by(MovementCause.origin, MovementCause.cause))).scalars().all()
    return {"movement_id": movement_id, "account_no": movement.account_no, "items": [_item(row) for row in found]}


async def judge(session: AsyncSession, cause_id: UUID, verdict: str, actor: str) -> dict[str, Any]:
    """Confirm or refute an inferred cause; the same verdict again changes nothing, another one replaces it.

    Raises NotFound, and Conflict where the cause was asked: the shipper has said it.
    """
    row = await session.get(MovementCause, cause_id, with_for_update=True)
    if row is None:
        raise NotFound("cause", cause_id)
    if row.origin == "asked":
        raise Conflict("cause-was-asked", "The shipper named this cause: only inferred ones are confirmed or refuted.")
    if row.state != verdict:
        row.state, row.judged_at, row.judged_by = verdict, await business_now(session), actor
    return _item(row)


async def read_quality(session: AsyncSession, unit: str, first: str, last: str) -> dict[str, Any]:
    """Return per cause how many were inferred, confirmed and refuted, the hit rate, and how often the shipper named the same.

    Raises Invalid where the months are the wrong way round or more than 60.
    """
    since, until = parse_month(first), parse_month(last)
    if not since <= until < add_months(since, MAX_MONTHS):
        raise Invalid(f"`from` must not lie after `to`, nor more than {MAX_MONTHS} months before it.", "months-out-of-order")
    row = MovementCause
    asked = select(row.movement_id, row.cause).where(row.origin == "asked").subquery()
    said = select(asked.c.movement_id).distinct().subquery()
    query = (
        select(
            row.cause,
            func.count().label("inferred"),
            func.count().filter(row.state == "confirmed").label("confirmed"),
            func.count().filter(row.state == "refuted").label("refuted"),
            func.count(said.c.movement_id).label("asked_too"),
            func.count(asked.c.movement_id).label("agreed"),
        )
        .join(MovementRow, MovementRow.movement_id == row.movement_id)
        .outerjoin(said, said.c.movement_id == row.movement_id)
        .outerjoin(asked, (asked.c.movement_id == row.movement_id) & (asked.c.cause == row.cause))
        .where(row.origin == "inferred", row.month.between(since, until), in_subtree(MovementRow.unit_code, unit))
        .group_by(row.cause)
        .order_by(row.cause)
    )
    items = [dict(one._mapping) for one in await session.execute(query)]
    return {"from": first, "to": last, "items": [item | {"hit_rate": _hit_rate(item)} for item in items]}


def _hit_rate(item: Mapping[str, int]) -> float | None:
    judged = item["confirmed"] + item["refuted"]
    return round(item["confirmed"] / judged, 4) if judged else None


def _item(row: MovementCause) -> dict[str, Any]:
    names = ("cause_id", "cause", "origin", "evidence", "state", "found_at", "judged_at", "judged_by")
    return {name: getattr(row, name) for name in names} | {"month": month_text(row.month)}


_SPAN = """
SELECT min(month) AS first, max(month) AS last, EXISTS (SELECT FROM route_facts WHERE NOT considered) AS has_new_routes
FROM movements WHERE judged_at = $1 AND state = 'open'"""
_FOUND = "moved AS (SELECT * FROM movements WHERE judged_at = $1 AND state = 'open')"
_WRITE = """
INSERT INTO movement_causes (cause_id, movement_id, account_no, month, cause, origin, evidence, state, found_at)
SELECT natural_id('cause/' || f.movement_id || '/inferred/' || f.cause), f.movement_id, f.account_no, f.month, f.cause,
       'inferred', f.evidence, 'proposed', $1
FROM found f ORDER BY f.movement_id, f.cause
ON CONFLICT (movement_id, origin, cause) DO NOTHING"""

# What went wrong in the month and the one before it, unless later scans proved that nothing had.
_BY_TICKETS = f"""
WITH {_FOUND}, said AS (
    SELECT m.movement_id, m.account_no, m.month, t.ticket_id, t.opened_at,
           CASE WHEN t.cause_hint IN ('late', 'delayed') THEN 'late_parcels' WHEN t.cause_hint = 'damaged' THEN 'damaged_parcels'
                WHEN t.cause_hint = 'lost' THEN 'lost_parcels' WHEN t.ticket_class = 'complaint' THEN 'complaint' END AS cause
    FROM moved m JOIN ticket_facts t ON t.account_no = m.account_no AND t.state <> 'refuted'
         AND t.opened_at >= (m.month - INTERVAL '1 month')::timestamp AT TIME ZONE INTERVAL '8 hours'
         AND t.opened_at < (m.month + INTERVAL '1 month')::timestamp AT TIME ZONE INTERVAL '8 hours'
), found AS (
    SELECT movement_id, account_no, month, cause,
           jsonb_build_object('tickets', count(*),
                              'ticket_ids', to_jsonb((array_agg(ticket_id ORDER BY opened_at, ticket_id))[:$3])) AS evidence
    FROM said WHERE cause IS NOT NULL GROUP BY movement_id, account_no, month, cause
    HAVING count(*) >= CASE WHEN cause = 'late_parcels' THEN $2::integer ELSE 1 END
){_WRITE}"""

_BY_SEASON = f"""
WITH {_FOUND}, found AS (
    SELECT m.movement_id, m.account_no, m.month, 'season' AS cause,
           jsonb_build_object('expected_fen', r.expected_fen, 'previous_fen', m.previous_fen, 'current_fen', m.current_fen,
                              'basis', r.basis) AS evidence
    FROM moved m JOIN movement_readings r ON r.movement_id = m.movement_id AND r.season_explained
){_WRITE}"""

# The months are named as constants, too: the BRIN index then leaves the rest of the ledger unread.
_LINES = f"""
WITH {_FOUND}, lines AS (
    SELECT m.movement_id, m.account_no, m.month, c.month AS of_month, c.charge_no, coalesce(c.product, '') AS product,
           c.amount_fen, c.weight_grams
    FROM moved m JOIN charges c ON c.account_no = m.account_no
         AND c.month BETWEEN (m.month - INTERVAL '3 months')::date AND m.month
    WHERE c.month BETWEEN $2 AND $3 AND c.amount_fen > 0
)"""

_BY_PRODUCT = f"""{_LINES}, products AS (
    SELECT movement_id, account_no, month, product,
           coalesce(sum(amount_fen) FILTER (WHERE of_month < month), 0) AS before_fen,
           coalesce(sum(amount_fen) FILTER (WHERE of_month = month), 0) AS after_fen,
           (array_agg(charge_no ORDER BY charge_no) FILTER (WHERE of_month < month))[:$4] AS charge_nos
    FROM lines WHERE of_month >= (month - INTERVAL '1 month')::date GROUP BY movement_id, account_no, month, product
), compared AS (
    SELECT *, sum(before_fen) OVER w AS all_before_fen, sum(after_fen) OVER w AS all_after_fen FROM products
    WINDOW w AS (PARTITION BY movement_id)
), dropped AS (
    SELECT * FROM compared
    WHERE before_fen * 100 >= all_before_fen * {DROPPED_SHARE_PERCENT} AND after_fen * 100 <= before_fen * {DROPPED_LEFT_PERCENT}
      AND all_before_fen > before_fen
      AND (all_after_fen - after_fen) * 100 >= (all_before_fen - before_fen) * {REST_HELD_PERCENT}
), found AS (
    SELECT DISTINCT ON (movement_id) movement_id, account_no, month, 'product_dropped' AS cause,
           jsonb_build_object('product', product, 'previous_fen', before_fen, 'current_fen', after_fen,
                              'charge_nos', to_jsonb(charge_nos)) AS evidence
    FROM dropped ORDER BY movement_id, before_fen DESC, product
){_WRITE}"""

# Per kilogram where every charge has a weight, else per parcel: the month and the one before it against the two before those.
_BY_PRICE = f"""{_LINES}, sides AS (
    SELECT movement_id, account_no, month, bool_and(weight_grams > 0) IS TRUE AS by_weight,
           count(*) FILTER (WHERE old) AS old_count, count(*) FILTER (WHERE NOT old) AS new_count,
           sum(amount_fen) FILTER (WHERE old) AS old_fen, sum(amount_fen) FILTER (WHERE NOT old) AS new_fen,
           sum(weight_grams) FILTER (WHERE old) AS old_grams, sum(weight_grams) FILTER (WHERE NOT old) AS new_grams,
           (array_agg(charge_no ORDER BY charge_no) FILTER (WHERE NOT old))[:$4] AS charge_nos
    FROM (SELECT *, of_month < (month - INTERVAL '1 month')::date AS old FROM lines) AS l GROUP BY movement_id, account_no, month
), prices AS (
    SELECT *, CASE WHEN by_weight THEN old_grams ELSE old_count END AS old_units,
           CASE WHEN by_weight THEN new_grams ELSE new_count END AS new_units
    FROM sides WHERE old_count >= {PRICE_CHARGES} AND new_count >= {PRICE_CHARGES}
), found AS (
    SELECT movement_id, account_no, month, 'price_rise' AS cause,
           jsonb_build_object('per', CASE WHEN by_weight THEN 'kg' ELSE 'parcel' END,
                              'before_fen', round(old_fen * CASE WHEN by_weight THEN 1000 ELSE 1 END / old_units),
                              'after_fen', round(new_fen * CASE WHEN by_weight THEN 1000 ELSE 1 END / new_units),
                              'charge_nos', to_jsonb(charge_nos)) AS evidence
    FROM prices
    WHERE new_fen::numeric * old_units * 100 >= old_fen::numeric * new_units * {100 + PRICE_RISE_PERCENT}
){_WRITE}"""


def _routes_of(row: str, name: str) -> str:
    columns = "origin_region text, destination_region text, parcels integer, waybill_nos jsonb"
    return f"jsonb_to_recordset({row}.routes) AS {name} ({columns})"


# Parcels, not freight: what a parcel costs is known with its charge, where it goes with its scans.
_BY_ROUTE = f"""
WITH new AS (
    UPDATE route_facts SET considered = true WHERE NOT considered RETURNING account_no, month
), moved AS (
    SELECT movement_id, account_no, month FROM movements WHERE judged_at = $1 AND state = 'open'
    UNION SELECT m.movement_id, account_no, month FROM new JOIN movements m USING (account_no, month) WHERE m.state = 'open'
), compared AS (
    SELECT m.movement_id, m.account_no, m.month, b.origin_region, b.destination_region, b.parcels AS before,
           coalesce(a.parcels, 0) AS after, previous.parcels AS all_before, current.parcels AS all_after, b.waybill_nos
    FROM moved m
         JOIN route_facts previous ON previous.account_no = m.account_no AND previous.month = (m.month - INTERVAL '1 month')::date
         JOIN route_facts current ON current.account_no = m.account_no AND current.month = m.month
         CROSS JOIN LATERAL {_routes_of("previous", "b")}
         LEFT JOIN LATERAL {_routes_of("current", "a")}
                   ON (a.origin_region, a.destination_region) = (b.origin_region, b.destination_region)
), found AS (
    SELECT DISTINCT ON (movement_id) movement_id, account_no, month, 'route_lost' AS cause,
           jsonb_build_object('origin_region', origin_region, 'destination_region', destination_region,
                              'previous_parcels', before, 'current_parcels', after, 'waybill_nos', waybill_nos) AS evidence
    FROM compared
    WHERE before >= {ROUTE_PARCELS} AND before * 100 >= all_before * {DROPPED_SHARE_PERCENT}
      AND after * 100 <= before * {DROPPED_LEFT_PERCENT} AND all_before > before
      AND (all_after - after) * 100 >= (all_before - before) * {REST_HELD_PERCENT}
    ORDER BY movement_id, before DESC, origin_region, destination_region
){_WRITE}"""

_ASKED = """
INSERT INTO movement_causes (
    cause_id, movement_id, account_no, month, cause, origin, evidence, state, found_at, judged_at)
SELECT DISTINCT ON (m.movement_id, c.cause) natural_id('cause/' || m.movement_id || '/asked/' || c.cause), m.movement_id,
       m.account_no, m.month, c.cause, 'asked', jsonb_build_object('contact_ids', jsonb_build_array(c.contact_id)), 'confirmed',
       c.entered_at, c.entered_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) WITH ORDINALITY
         AS c (contact_id, task_id, cause, entered_at, position)
     JOIN task_facts t ON t.task_id = c.task_id JOIN movements m ON m.movement_id = t.movement_id
ORDER BY m.movement_id, c.cause, c.position
ON CONFLICT (movement_id, origin, cause) DO NOTHING"""
