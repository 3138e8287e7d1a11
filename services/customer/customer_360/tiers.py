"""Tier axes on the page (客户分层): what tiering last said of an account, advanced by each close that confirmed it.

A close says only what changed. Whoever had a tier or grade before and is not named keeps it: then the month, the quarter and
the decision are those of the last close (tiering.month-closed). That is finished when the page is read, so that a close of a
million accounts writes one row here.
"""

from collections.abc import Sequence

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch
from services.customer.models import ClosedMonth
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.tiering import MonthClosed, TiersChanged
from shared.months import add_months

_NOTE = """
INSERT INTO overview_tiers AS t (account_no, sequence, service_tier, contribution_grade, quarter_end, month, as_of)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::jsonb[], $4::jsonb[], $5::date[], $6::date[], $7::timestamptz[])
    AS i (account_no)
ORDER BY i.account_no COLLATE "C"
ON CONFLICT (account_no) DO UPDATE
SET sequence = EXCLUDED.sequence, service_tier = EXCLUDED.service_tier, contribution_grade = EXCLUDED.contribution_grade,
    quarter_end = EXCLUDED.quarter_end, month = EXCLUDED.month, as_of = EXCLUDED.as_of
WHERE t.sequence < EXCLUDED.sequence"""


async def note_tiers(session: AsyncSession, deliveries: Sequence[Delivery[TiersChanged]]) -> None:
    """Keep the axes of the accounts named. What is not newer than what is kept is ignored."""
    latest: dict[str, Delivery[TiersChanged]] = {}
    for delivery in deliveries:
        known = latest.get(delivery.event.account_no)
        if known is None or known.sequence < delivery.sequence:
            latest[delivery.event.account_no] = delivery
    said = [latest[account_no] for account_no in sorted(latest)]
    tiers = [delivery.event.service_tier for delivery in said]
    grades = [delivery.event.contribution_grade for delivery in said]
    await (await driver(session)).execute(
        _NOTE,
        [delivery.event.account_no for delivery in said],
        [delivery.sequence for delivery in said],
        [tier and tier.model_dump_json() for tier in tiers],
        [grade and grade.model_dump_json() for grade in grades],
        [tier and add_months(tier.quarter, 2) for tier in tiers],
        [grade and grade.month for grade in grades],
        [delivery.event.decided_at for delivery in said],
    )
    touch(session, "tiers", latest)


async def note_close(session: AsyncSession, deliveries: Sequence[Delivery[MonthClosed]]) -> None:
    """Keep which months are closed. A repeat changes nothing."""
    closed = {delivery.event.month: delivery.event.closed_at for delivery in deliveries}
    rows = insert(ClosedMonth).values([{"month": month, "closed_at": closed[month]} for month in sorted(closed)])
    latest = func.greatest(ClosedMonth.closed_at, rows.excluded.closed_at)
    await session.execute(rows.on_conflict_do_update(index_elements=[ClosedMonth.month], set_={"closed_at": latest}))
