"""Door: something happened. Every topic ends here, on the page of the account it is about."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.customer import provisional
from services.customer.customer_360 import freight, items, parcels, scores, tiers
from shared.consumer import Subscription
from shared.events import (
    FreightCharged,
    MonthClosed,
    MovementDetected,
    MovementRestated,
    MovementWithdrawn,
    ScoresChanged,
    ShipmentStatusChanged,
    TaskCancelled,
    TaskCancelledV1,
    TaskClaimed,
    TaskClaimedV1,
    TaskDone,
    TaskDoneV1,
    TaskOpened,
    TaskOpenedV1,
    TaskOverdue,
    TaskOverdueV1,
    TicketChanged,
    TicketOpened,
    TicketRefuted,
    TicketResolved,
    TiersChanged,
)
from shared.events.envelope import Delivery


async def note_scans(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
    """A parcel was scanned: its account may be new, and its place on the page changes."""
    await parcels.note_scans(session, deliveries)
    await provisional.learn_from_scans(session, deliveries)


async def note_charges(session: AsyncSession, deliveries: Sequence[Delivery[FreightCharged]]) -> None:
    """Freight was charged: its account may be new, and a month on the page changes."""
    await freight.note_charges(session, deliveries)
    await provisional.learn_from_charges(session, deliveries)


SUBSCRIPTIONS = (
    Subscription(ShipmentStatusChanged, note_scans),
    Subscription(FreightCharged, note_charges),
    Subscription(TiersChanged, tiers.note_tiers),
    Subscription(MonthClosed, tiers.note_close),
    Subscription(ScoresChanged, scores.note_scores),
    Subscription(MovementDetected, items.note_movements),
    Subscription(MovementRestated, items.note_movements),
    Subscription(MovementWithdrawn, items.note_movements),
    Subscription(TaskOpened, items.note_tasks),
    Subscription(TaskClaimed, items.note_tasks),
    Subscription(TaskDone, items.note_tasks),
    Subscription(TaskOverdue, items.note_tasks),
    Subscription(TaskCancelled, items.note_tasks),
    Subscription(TaskOpenedV1, items.note_tasks),
    Subscription(TaskClaimedV1, items.note_tasks),
    Subscription(TaskDoneV1, items.note_tasks),
    Subscription(TaskOverdueV1, items.note_tasks),
    Subscription(TaskCancelledV1, items.note_tasks),
    Subscription(TicketOpened, items.note_tickets),
    Subscription(TicketChanged, items.note_tickets),
    Subscription(TicketResolved, items.note_tickets),
    Subscription(TicketRefuted, items.note_tickets),
)
