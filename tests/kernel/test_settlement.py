"""The order in which "settled" is read is part of the rule: other orders say so too early."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import combinations_with_replacement

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared import outbox
from shared.clock import SHANGHAI
from shared.db import Database, driver
from shared.events import UnitChanged
from shared.kafka import EndOffsets
from shared.relay import Relay
from shared.settlement import ORDER, Reading, Settlement

NOW = datetime(2018, 1, 1, tzinfo=SHANGHAI)
TOPIC = UnitChanged.TOPIC
WRONG = [("schedules", "outboxes", "offsets", "ends"), ("schedules", "offsets", "ends", "outboxes")]
GAPS = len(ORDER) + 1


class Chain:
    """One event on its way: a first service consumes it and answers with another, which a second service consumes.

    The steps are those of the real consumer and relay: fence and outbox in one transaction, the relay's batch, the fence.
    """

    def __init__(self, database: Database, bootstrap: str, ends: EndOffsets) -> None:
        self.database = database
        self.relay = Relay(database, bootstrap)
        self.ends = ends
        self.number = 0

    async def begin(self) -> None:
        """One inbound event waits; everything before it is behind the fences."""
        self.number += 1
        ends = await self.ends.read([TOPIC])
        async with self.database.transaction() as session:
            connection = await self._driver(session)
            await connection.execute("DELETE FROM consumer_offsets")
            await connection.executemany(
                "INSERT INTO consumer_offsets (topic, partition, next_offset) VALUES ($1, $2, $3)",
                [(topic, partition, end) for (topic, partition), end in ends.items()],
            )
            await connection.execute("INSERT INTO schedule_state (through) VALUES ($1) ON CONFLICT DO NOTHING", NOW)
            outbox.publish(session, UnitChanged(unit_code=f"IN-{self.number}", kind="branch", parent_code="HQ", version=1))
        await self.relay.send_batch()

    async def consume_and_answer(self) -> None:
        async with self.database.transaction() as session:
            await self._move_fences(session, await self.ends.read([TOPIC]))
            outbox.publish(session, UnitChanged(unit_code=f"OUT-{self.number}", kind="branch", parent_code="HQ", version=1))

    async def send(self) -> None:
        await self.relay.send_batch()

    async def consume(self) -> None:
        async with self.database.transaction() as session:
            await self._move_fences(session, await self.ends.read([TOPIC]))

    async def _move_fences(self, session: AsyncSession, ends: dict[tuple[str, int], int]) -> None:
        connection = await self._driver(session)
        for (topic, partition), end in ends.items():
            await connection.execute(
                "UPDATE consumer_offsets SET next_offset = $3 WHERE topic = $1 AND partition = $2", topic, partition, end
            )

    @staticmethod
    async def _driver(session: AsyncSession) -> asyncpg.Connection:
        return await driver(session)


@asynccontextmanager
async def chained(database: Database, kafka: str) -> AsyncIterator[Chain]:
    ends = EndOffsets(kafka)
    await ends.start()
    chain = Chain(database, kafka, ends)
    try:
        yield chain
    finally:
        await chain.relay.close()
        await ends.stop()


async def too_early(  # noqa: C901 - one experiment
    database: Database, chain: Chain, order: tuple[str, ...]
) -> int:
    """Try every way in which the three steps may fall into the gaps between the reads; count the premature verdicts."""
    connection = await database.connect()

    async def connected() -> asyncpg.Connection:
        return connection

    async def ends() -> EndOffsets:
        return chain.ends

    wrong = 0
    steps = (chain.consume_and_answer, chain.send, chain.consume)
    for gaps in combinations_with_replacement(range(GAPS + 1), len(steps)):
        await chain.begin()
        reads = 0

        async def advance(until: int) -> None:
            for gap, step in zip(gaps, steps, strict=True):  # noqa: B023 - used within this round only
                if gap == until:
                    await step()

        async def between(_: str) -> None:
            nonlocal reads
            reads += 1
            await advance(reads)

        await advance(0)
        settlement = Settlement({"tickets": connected}, ends, {"tickets": [TOPIC]}, order, between)
        reading = await settlement.read()
        finished_before_the_end = gaps[-1] < len(ORDER)
        if settlement.is_settled(reading, NOW, ["tickets"], {}) and not finished_before_the_end:
            wrong += 1
        for gap, step in zip(gaps, steps, strict=True):
            if gap > reads:
                await step()
    await connection.close()
    return wrong


async def test_the_order_of_the_rule_is_never_too_early(kernel_db: Database, kafka: str) -> None:
    async with chained(kernel_db, kafka) as chain:
        assert await too_early(kernel_db, chain, ORDER) == 0


@pytest.mark.parametrize("order", WRONG, ids="-".join)
async def test_other_orders_are_too_early(kernel_db: Database, kafka: str, order: tuple[str, ...]) -> None:
    async with chained(kernel_db, kafka) as chain:
        assert await too_early(kernel_db, chain, order) > 0


async def test_a_follower_may_read_on_but_not_for_ever() -> None:
    shared, own = ("freight.events", 0), ("customer.events", 0)
    settlement = Settlement({}, EndOffsets, {"tiering": ["freight.events"], "customer": ["freight.events", "customer.events"]})
    reading = Reading({"tiering": NOW, "customer": NOW}, unsent={"tiering": 0, "customer": 0}, ends={shared: 10, own: 3})
    reading.offsets = {("tiering", shared): 10, ("customer", shared): 7, ("customer", own): 3}

    def settled(followers: dict[str, dict[tuple[str, int], int]]) -> bool:
        return settlement.is_settled(reading, NOW, [], followers)

    assert not settled({})
    assert settled({"customer": {shared: 7, own: 3}}), "it has read the window before"
    assert not settled({"customer": {shared: 8, own: 3}})
    for beyond in ("tiering", "customer"):
        reading.offsets[beyond, shared] = 11
        assert not settled({"customer": {shared: 7, own: 3}}), "nobody has read what the log does not hold"
        reading.offsets[beyond, shared] = 10
    reading.offsets["tiering", shared] = 9
    assert not settled({"customer": {shared: 7, own: 3}}), "the others are waited for"
    reading.offsets["tiering", shared], reading.unsent["customer"] = 10, 1
    assert not settled({"customer": {shared: 7, own: 3}}), "what it says is waited for, too"


async def test_some_may_have_settled_before_all_have() -> None:
    """What tiering's schedules brought about is read by retention while tiering still reads what was charged after them."""
    charged, found = ("freight.events", 0), ("tiering.events", 0)
    settlement = Settlement({}, EndOffsets, {"tiering": ["freight.events"], "retention": ["tiering.events"], "customer": []})
    reading = Reading({"tiering": NOW, "retention": NOW - timedelta(days=1)}, unsent={"tiering": 0, "retention": 0})
    reading.ends = {charged: 10, found: 4}
    reading.offsets = {("tiering", charged): 7, ("retention", found): 4}

    def settled() -> bool:
        return settlement.is_settled(reading, NOW, ["tiering"], {"tiering": {}})

    assert settled(), "the others are not asked"
    reading.offsets["retention", found] = 3
    assert not settled(), "retention has still to read a movement"
    reading.offsets["retention", found], reading.unsent["tiering"] = 4, 1
    assert not settled(), "a movement has not been sent yet"
    reading.unsent["tiering"], reading.through["tiering"] = 0, NOW - timedelta(days=1)
    assert not settled(), "tiering's schedules have not run"
