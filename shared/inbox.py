"""The inbox (收件箱): which events were handled, for handlers whose effect has no natural key of its own.

The fence removes redelivery; the inbox removes the same event under a new offset. An effect with a natural key (a charge and its
version, a scan, a movement) needs neither row nor look-up here: the key is the last wall and is kept for ever.
"""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import driver
from shared.events.envelope import Delivery, Event

E = TypeVar("E", bound=Event)

_FIRST = """
INSERT INTO inbox (source, event_id) SELECT DISTINCT s, e FROM unnest($1::text[], $2::text[]) AS arrived (s, e) ORDER BY s, e
ON CONFLICT DO NOTHING RETURNING source, event_id"""


async def first_deliveries(session: AsyncSession, deliveries: Sequence[Delivery[E]]) -> list[Delivery[E]]:
    """Return the deliveries that nobody has handled before, each event once, in their order; and remember them."""
    rows = await (await driver(session)).fetch(
        _FIRST, [delivery.source for delivery in deliveries], [delivery.event_id for delivery in deliveries]
    )
    new = {(row["source"], row["event_id"]) for row in rows}
    first = []
    for delivery in deliveries:
        key = (delivery.source, delivery.event_id)
        if key in new:
            new.remove(key)
            first.append(delivery)
    return first
