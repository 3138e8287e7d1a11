"""Batches of records: decoding them, and counting how many had to be parked."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.events.envelope import INBOUND_TOPICS, Delivery, Event, Skipped, Unreadable, decode
from shared.observability import EVENTS_SKIPPED

PARKED_IN_A_ROW = 100
WINDOW = 10_000
WINDOW_PARKED = WINDOW // 100


class CutError(Exception):
    """The breaker trips inside a batch: only its first `count` records may be applied."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class Breaker:
    """Counts parked events of one partition, so that a broken publisher does not park everything."""

    def __init__(self, seen: int = 0, in_a_row: int = 0, parked_at: Sequence[int] = ()) -> None:
        self._seen = seen
        self._in_a_row = in_a_row
        self._parked_at = deque(parked_at)
        """The numbers of the window's parked events: few or none, where a flag for each event had to be copied per batch."""

    def after(self, parked: Sequence[bool]) -> tuple["Breaker", int, str | None]:
        """Return the breaker after these events, how many of them count, and why the partition stops there, or None."""
        if not self._parked_at and True not in parked:
            return Breaker(self._seen + len(parked)), len(parked), None
        later = Breaker(self._seen, self._in_a_row, self._parked_at)
        for count, flag in enumerate(parked, 1):
            reason = later._note(flag)
            if reason is not None:
                return later, count, reason
        return later, len(parked), None

    def _note(self, parked: bool) -> str | None:
        self._seen += 1
        if self._parked_at and self._parked_at[0] <= self._seen - WINDOW:
            self._parked_at.popleft()
        if parked:
            self._parked_at.append(self._seen)
        self._in_a_row = self._in_a_row + 1 if parked else 0
        if self._in_a_row >= PARKED_IN_A_ROW:
            return f"{PARKED_IN_A_ROW} events in a row were parked"
        if self._seen >= WINDOW and len(self._parked_at) >= WINDOW_PARKED:
            return f"{len(self._parked_at)} of the last {WINDOW} events were parked"
        return None


@dataclass(slots=True)
class Batch:
    """Records of one partition, read: what to handle, and what cannot be read with the reason."""

    records: Sequence[Any]
    deliveries: list[Delivery[Any]]
    unreadable: dict[int, str]
    """Reason by offset."""

    def upto(self, count: int) -> "Batch":
        """Return the batch of the first `count` records."""
        records = self.records[:count]
        end = records[-1].offset
        return Batch(
            records,
            [delivery for delivery in self.deliveries if delivery.offset <= end],
            {offset: reason for offset, reason in self.unreadable.items() if offset <= end},
        )

    def after(self, fence: int) -> "Batch":
        """Return the batch without the records behind the fence."""
        if self.records[0].offset >= fence:
            return self
        return Batch(
            [record for record in self.records if record.offset >= fence],
            [delivery for delivery in self.deliveries if delivery.offset >= fence],
            {offset: reason for offset, reason in self.unreadable.items() if offset >= fence},
        )


def read_batch(records: Sequence[Any], types: Mapping[str, type[Event]], service: str) -> Batch:
    """Decode records; on our own topics a type without subscription is skipped and counted."""
    skipped: Counter[str] = Counter()
    deliveries: list[Delivery[Any]] = []
    unreadable: dict[int, str] = {}
    for record in records:
        try:
            decoded = decode(record, types, inbound=record.topic in INBOUND_TOPICS)
        except Unreadable as error:
            unreadable[record.offset] = str(error)
            continue
        if isinstance(decoded, Skipped):
            skipped[decoded.type] += 1
        else:
            deliveries.append(decoded)
    for kind, count in skipped.items():
        EVENTS_SKIPPED.labels(service, kind).inc(count)
    return Batch(records, deliveries, unreadable)
