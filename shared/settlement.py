"""Settled (尘埃落定): every event that follows from what was published has been consumed by whoever subscribes it.

The reads are in this order, and the order is part of the rule: every service has run its schedules up to S; the stored offsets
F of every service; all outboxes empty; the ends E of the logs; settled when E = F. Read otherwise, an event may slip between
two reads: consumed after its offset was read but answered before its outbox was, or the reverse.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from shared.kafka import EndOffsets, Partition

ORDER = ("schedules", "offsets", "outboxes", "ends")


class PartitionStopped(Exception):  # noqa: N818 - a state, said in one sentence
    """A service's partition waits for a person; the text says which and why."""


@dataclass(slots=True)
class Reading:
    """What one pass over the services and the broker saw."""

    through: dict[str, datetime] = field(default_factory=dict)
    offsets: dict[tuple[str, Partition], int] = field(default_factory=dict)
    unsent: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    """Last outbox row of each service: it moves when anything was published."""
    ends: dict[Partition, int] = field(default_factory=dict)


class Settlement:
    """Reads whether the services have settled. `connections` give each service's worker-role connection."""

    def __init__(
        self,
        connections: Mapping[str, Callable[[], Awaitable[asyncpg.Connection]]],
        ends: Callable[[], Awaitable[EndOffsets]],
        subscribed: Mapping[str, Sequence[str]],
        order: Sequence[str] = ORDER,
        between: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._connections = connections
        self._ends = ends
        self._subscribed = subscribed
        self._topics = sorted({topic for topics in subscribed.values() for topic in topics})
        self._order = order
        self._between = between
        self._steps = {
            "schedules": self._read_schedules,
            "offsets": self._read_offsets,
            "outboxes": self._read_outboxes,
            "ends": self._read_ends,
        }

    async def read(self, services: Sequence[str] = ()) -> Reading:
        """Read everything of these services or all, in order. Raises PartitionStopped where a partition waits for a person."""
        reading = Reading()
        for step in self._order:
            await self._steps[step](reading, services)
            if self._between is not None:
                await self._between(step)
        return reading

    def is_settled(
        self, reading: Reading, instant: datetime, services: Sequence[str], followers: Mapping[str, Mapping[Partition, int]]
    ) -> bool:
        """Say whether the reading shows that all it is of has settled and these services have run up to the instant.

        `followers` are services that need not have read all, and how far they must have.
        """
        if any(reading.through[service] < instant for service in services) or any(reading.unsent.values()):
            return False
        return all(
            followers.get(service, reading.ends).get(partition, 0) <= reading.offsets.get((service, partition), 0) <= end
            for partition, end in reading.ends.items()
            for service in reading.through
            if partition[0] in self._subscribed[service]
        )

    async def ran_through(self, services: Sequence[str] = ()) -> dict[str, datetime]:
        """Return up to which instant each service has run its schedules."""
        rows = await self._each("SELECT through FROM schedule_state", services)
        return {service: found[0]["through"] for service, found in rows.items()}

    async def glance(self, services: Sequence[str]) -> dict[str, asyncpg.Record]:
        """Look at what these services have consumed and published so far, in one statement each: consumed, unsent, written.

        It says that something still moves, cheaply; it never says that all has settled.
        """
        rows = await self._each(_GLANCE, services)
        return {service: found[0] for service, found in rows.items()}

    async def _read_schedules(self, reading: Reading, services: Sequence[str]) -> None:
        reading.through = await self.ran_through(services)

    async def _read_offsets(self, reading: Reading, services: Sequence[str]) -> None:
        for service, rows in (await self._each("SELECT * FROM consumer_offsets", services)).items():
            for row in rows:
                if row["stopped_reason"] is not None:
                    raise PartitionStopped(
                        f"{service} has stopped reading {row['topic']}, partition {row['partition']}: {row['stopped_reason']}; "
                        "look at `crm parked list`, mend the cause and start again"
                    )
                reading.offsets[service, (row["topic"], row["partition"])] = row["next_offset"]

    async def _read_outboxes(self, reading: Reading, services: Sequence[str]) -> None:
        for service, rows in (await self._each(_OUTBOX, services)).items():
            reading.unsent[service] = rows[0]["unsent"]
            reading.written[service] = rows[0]["written"]

    async def _read_ends(self, reading: Reading, _: Sequence[str]) -> None:
        reading.ends = await (await self._ends()).read(self._topics)

    async def _each(self, statement: str, services: Sequence[str] = ()) -> dict[str, list[asyncpg.Record]]:
        async def ask(service: str) -> list[asyncpg.Record]:
            connection = await self._connections[service]()
            rows: list[asyncpg.Record] = await connection.fetch(statement)
            return rows

        services = services or list(self._connections)
        return dict(zip(services, await asyncio.gather(*(ask(service) for service in services)), strict=True))


_GLANCE = """
SELECT (SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets) AS consumed,
       (SELECT count(*) FROM outbox WHERE sent_at IS NULL) AS unsent,
       (SELECT coalesce(max(seq), 0) FROM outbox) AS written"""
_OUTBOX = """
SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL) AS unsent, coalesce((SELECT max(seq) FROM outbox), 0) AS written"""
