"""Deliveries of events for tests that call a handler without a bus."""

from datetime import datetime
from itertools import count
from typing import TypeVar

from shared.clock import SHANGHAI
from shared.events.envelope import Delivery, Event

E = TypeVar("E", bound=Event)
_offsets = count()
PUBLISHED_AT = datetime(2018, 1, 1, tzinfo=SHANGHAI)


def deliver(event: E, sequence: int | None = None, time: datetime = PUBLISHED_AT) -> Delivery[E]:
    """Return one arrival of an event; without a sequence the next higher one."""
    offset = next(_offsets)
    return Delivery(
        content=event,
        event_id=str(event.event_id),
        source="/tests",
        time=time,
        sequence=offset + 1 if sequence is None else sequence,
        topic=event.TOPIC,
        partition=0,
        offset=offset,
        model=type(event),
    )
