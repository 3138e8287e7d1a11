"""Tracking (运单跟踪): the timeline of every parcel, from scans that come in any order, repeated and late.

A parcel is a pure function of the set of its scans: whatever arrives, the parcels touched are rendered anew from all their
scans. So neither order nor repeats, batches or partitions can change what is seen or which tickets exist.

A scan is identified by waybill, status and instant. One that is said again with other content adds what was missing; of two
contents the greater stands, whichever comes first. The timeline is ordered by instant, then lifecycle, then status. A scan
of an unknown status stands on the timeline, is counted, and decides nothing: no status, no account, no promise.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from prometheus_client import Counter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tickets import problem_parcels, promises, tickets
from services.tickets.lifecycle import PROBLEMS, SETTLING
from services.tickets.models import Parcel
from services.tickets.reach import seen_by
from shared.db import Scope, driver
from shared.events.envelope import Delivery, Rejected
from shared.events.shipments import STEP, ShipmentStatusChanged
from shared.problems import NotFound

UNKNOWN_STATUSES = Counter("crm_unknown_shipment_statuses", "Scans with a status that no rule knows.")

# A parcel's row is its lock. WHERE false: an existing row is locked and not written. Plans are made anew for every batch,
# since the tables grow by orders of magnitude during a replay; and a batch is found by its keys, not by reading all parcels.
_LOCK = """
WITH planned AS (
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('random_page_cost', '1.1', true)
)
INSERT INTO parcels (waybill_no)
SELECT waybill_no FROM planned, unnest($1::text[]) AS waybill_no ORDER BY waybill_no COLLATE "C"
ON CONFLICT (waybill_no) DO UPDATE SET status = parcels.status WHERE false"""

_RECORD = """
INSERT INTO scans AS s (waybill_no, status, occurred_at, step, account_no, branch_code, promised_at, exception_code,
                        origin_region, destination_region)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::smallint[], $5::text[], $6::text[], $7::timestamptz[],
                     $8::text[], $9::text[], $10::text[])
ON CONFLICT (waybill_no, status, occurred_at) DO UPDATE
SET account_no = greatest(s.account_no, EXCLUDED.account_no),
    branch_code = greatest(s.branch_code, EXCLUDED.branch_code),
    promised_at = greatest(s.promised_at, EXCLUDED.promised_at),
    exception_code = greatest(s.exception_code, EXCLUDED.exception_code),
    origin_region = greatest(s.origin_region, EXCLUDED.origin_region),
    destination_region = greatest(s.destination_region, EXCLUDED.destination_region)
WHERE (s.account_no, s.branch_code, s.promised_at, s.exception_code, s.origin_region, s.destination_region) IS DISTINCT FROM
      (greatest(s.account_no, EXCLUDED.account_no), greatest(s.branch_code, EXCLUDED.branch_code),
       greatest(s.promised_at, EXCLUDED.promised_at), greatest(s.exception_code, EXCLUDED.exception_code),
       greatest(s.origin_region, EXCLUDED.origin_region), greatest(s.destination_region, EXCLUDED.destination_region))
RETURNING waybill_no, step"""

# late_at: with one promise it is late unless something settled the parcel by then. With several, each is in force at its
# due instant unless another one, later in the timeline, had been said by then.
_RENDER = """
WITH said AS (
    SELECT waybill_no,
        array_agg(status ORDER BY occurred_at, step, status) AS statuses,
        array_agg(occurred_at ORDER BY occurred_at, step, status) AS instants,
        array_agg(status ORDER BY occurred_at, step, status) FILTER (WHERE step IS NOT NULL) AS known,
        max(occurred_at) FILTER (WHERE step IS NOT NULL) AS status_at,
        array_agg(account_no ORDER BY occurred_at, step, status)
            FILTER (WHERE step IS NOT NULL AND account_no IS NOT NULL) AS accounts,
        array_agg(branch_code ORDER BY occurred_at, step, status)
            FILTER (WHERE step IS NOT NULL AND branch_code IS NOT NULL) AS branches,
        array_agg(promised_at ORDER BY occurred_at, step, status)
            FILTER (WHERE step IS NOT NULL AND promised_at IS NOT NULL) AS promises,
        min(promised_at) FILTER (WHERE step IS NOT NULL) AS least_promise,
        max(promised_at) FILTER (WHERE step IS NOT NULL) AS greatest_promise,
        min(occurred_at) FILTER (WHERE status = 'DELIVERED') AS delivered_at,
        coalesce(min(occurred_at) FILTER (WHERE status = ANY ($2::text[])), 'infinity') AS settled_at
    FROM scans WHERE waybill_no = ANY ($1::text[]) GROUP BY waybill_no
),
judged AS (
    SELECT said.*, t.ticket_id AS late_ticket_id, t.state IN ('resolved', 'closed') AS late_settled, clock.now,
        CASE WHEN least_promise = greatest_promise THEN CASE WHEN settled_at > least_promise THEN least_promise END
             WHEN least_promise IS NOT NULL THEN (
                 SELECT min(p.promised_at) FROM scans p
                 WHERE p.waybill_no = said.waybill_no AND p.step IS NOT NULL AND said.settled_at > p.promised_at
                   AND NOT EXISTS (
                     SELECT FROM scans o
                     WHERE o.waybill_no = p.waybill_no AND o.step IS NOT NULL AND o.promised_at <> p.promised_at
                       AND o.occurred_at <= p.promised_at
                       AND (o.occurred_at, o.step, o.status) > (p.occurred_at, p.step, p.status)))
        END AS late_at
    FROM said
    CROSS JOIN (SELECT business_now() AS now) AS clock
    LEFT JOIN tickets t ON t.waybill_no = said.waybill_no AND t.cause_hint = 'late'
),
rendered AS (
    UPDATE parcels p
    SET account_no = j.accounts[cardinality(j.accounts)], branch_code = j.branches[cardinality(j.branches)],
        status = j.known[cardinality(j.known)], status_at = j.status_at,
        promised_at = j.promises[cardinality(j.promises)], delivered_at = j.delivered_at, late_at = j.late_at,
        next_due_at = CASE WHEN j.late_ticket_id IS NULL THEN j.late_at
                           WHEN NOT j.late_settled AND j.late_at >= j.now THEN j.late_at END,
        statuses = j.statuses, instants = j.instants
    FROM judged j WHERE p.waybill_no = j.waybill_no AND p.waybill_no = ANY ($1::text[])
    RETURNING p.waybill_no, p.promised_at, p.delivered_at, p.late_at, j.late_ticket_id, j.now,
        (old.account_no, old.branch_code) IS DISTINCT FROM (new.account_no, new.branch_code)
            AND old.statuses <> '{}' AS moved
)
SELECT * FROM rendered WHERE moved OR late_ticket_id IS NOT NULL"""


class _Said(NamedTuple):
    """What a scan says beside its identity; None where it says nothing."""

    account_no: str | None
    branch_code: str | None
    promised_at: datetime | None
    exception_code: str | None
    origin_region: str | None
    destination_region: str | None


_Scans: TypeAlias = dict[tuple[str, str, datetime], _Said]


async def record(
    session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]
) -> Sequence[Rejected[ShipmentStatusChanged]] | None:
    """Put scans on the timelines of their parcels, and open, move or refute the tickets that follow from them.

    Locks the parcels of the batch in the order of their numbers, then writes scans, then reads all scans of the parcels
    touched. A repeat of what is known does nothing.
    """
    scans = _merged(deliveries)
    connection = await driver(session)
    await connection.execute(_LOCK, sorted({waybill_no for waybill_no, _, _ in scans}))
    waybills, statuses, instants = zip(*scans, strict=True)
    said = zip(*scans.values(), strict=True)
    changed = await connection.fetch(_RECORD, waybills, statuses, instants, [STEP.get(status) for status in statuses], *said)
    if not changed:
        return None
    UNKNOWN_STATUSES.inc(sum(row["step"] is None for row in changed))
    touched = list({row["waybill_no"] for row in changed})
    followed = await connection.fetch(_RENDER, touched, SETTLING)
    problems = _problems(scans, set(touched))
    if problems or followed:
        await _follow(session, problems, followed)
    return None


def _merged(deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> _Scans:
    """Return the scans of a batch, each once."""
    scans: _Scans = {}
    for delivery in deliveries:
        event = delivery.event
        identity = (event.waybill_no, event.status, event.occurred_at)
        exception = event.exception.code if event.exception else None
        origin, destination = event.origin, event.destination.region or None
        said = _Said(event.account_no, origin.branch, event.promised_at, exception, origin.region or None, destination)
        known = scans.get(identity)
        if known is not None and known != said:
            said = _Said._make(_greater(one, other) for one, other in zip(known, said, strict=True))
        scans[identity] = said
    return scans


def _greater(one: Any, other: Any) -> Any:
    """Return the greater of two, as SQL's greatest: what is said beats what is not."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _problems(scans: _Scans, touched: set[str]) -> problem_parcels.Problems:
    """Return the earliest instant of each problem among the scans of these parcels."""
    found: problem_parcels.Problems = {}
    for waybill_no, status, occurred_at in scans:
        cause = PROBLEMS.get(status)
        if cause is not None and waybill_no in touched:
            first = found.get((waybill_no, cause), occurred_at)
            found[waybill_no, cause] = min(first, occurred_at)
    return found


async def _follow(session: AsyncSession, problems: problem_parcels.Problems, followed: Sequence[Any]) -> None:
    """Let tickets follow their parcels, and announce what that changed, each ticket once."""
    changes = tickets.Changes()
    moved = [row["waybill_no"] for row in followed if row["moved"]]
    if moved:
        changes.note(await problem_parcels.move(session, moved))
    if problems:
        changes.note(await problem_parcels.open_tickets(session, problems))
    late = [row for row in followed if row["late_ticket_id"] is not None]
    if late:
        changes.note(await promises.judge_again(session, late))
    changes.announce(session)


async def read_parcel(session: AsyncSession, scope: Scope, waybill_no: str) -> Parcel:
    """Return where a parcel stands, with its timeline. Raises NotFound where the caller sees no such parcel."""
    query = select(Parcel).where(Parcel.waybill_no == waybill_no, seen_by(Parcel, scope))
    parcel = (await session.scalars(query)).one_or_none()
    if parcel is None:
        raise NotFound("parcel", waybill_no)
    return parcel
