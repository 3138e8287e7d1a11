"""The windows of a replay: what is published before an instant S, made into records while the services still work on the last.

Making the events of a day costs about as much as a service's work on them. So it is done where the driver would only wait.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from shared.clock import business_date
from shared.events.envelope import Event, headers_for
from shared.events.fields import FIRST_INSTANT
from shared.history.folder import History
from shared.ids import natural_id_text
from shared.kafka import Message

SOURCE = "/express-crm/replay"
Dated = tuple[datetime, Event]
Disturbance = Callable[[list[Dated]], Iterable[Dated]]
"""What a test does to the events of one window before they are published."""


class Window:
    """What happens from one instant to the next: the accounts that begin, and the records, made bit by bit."""

    def __init__(self, history: History, since: datetime, until: datetime, disturb: Disturbance) -> None:
        first, begun, ends = since == FIRST_INSTANT, business_date(since), business_date(until)
        self.accounts = [a for a in history.accounts if a.must_open_by <= ends and (first or a.must_open_by > begun)]
        self.turn = ends.toordinal()
        self._messages: list[Message] = []
        self._making = self._make(history.window(since, until), disturb)

    def work(self, seconds: float) -> bool:
        """Make records for about so long. False: all are made."""
        until = time.monotonic() + seconds
        return any(time.monotonic() >= until for _ in self._making)

    def records(self) -> list[Message]:
        """Return all records, in the order of publication; makes what is not made yet."""
        for _ in self._making:
            pass
        return self._messages

    def _make(self, events: Iterator[Dated], disturb: Disturbance) -> Iterator[None]:
        found = []
        for dated in events:
            found.append(dated)
            yield
        for number, (at, event) in enumerate(disturb(found)):
            self._messages.append(message_of(at, event, number))
            yield


def message_of(at: datetime, event: Event, number: int) -> Message:
    """Return the record of an inbound event, published at its instant."""
    key = event.key()
    event_id = natural_id_text(event.TYPE, *event.identity())
    headers = headers_for(event_id=event_id, source=SOURCE, type=event.TYPE, time=at, key=key, sequence=number)
    return Message(event.TOPIC, key.encode(), event.to_bytes(), headers)


def messages_of(events: Iterable[Dated]) -> list[Message]:
    """Return the records of inbound events, each published at its instant."""
    return [message_of(at, event, number) for number, (at, event) in enumerate(events)]
