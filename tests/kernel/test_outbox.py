"""The outbox and its relay: nothing lost, first deliveries in order per key, whoever sends."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import outbox
from shared.db import Database, before_commit
from shared.events import UnitChanged
from shared.ids import natural_id
from shared.relay import Relay, republish, status
from tests.kafka_log import read_topic


def unit(code: str, version: int) -> UnitChanged:
    return UnitChanged(unit_code=code, kind="branch", parent_code="HQ", version=version)


async def drain(relay: Relay) -> None:
    while await relay.send_batch():
        pass


@pytest.fixture
async def relay(kernel_db: Database, kafka: str) -> AsyncIterator[Relay]:
    relay = Relay(kernel_db, kafka)
    yield relay
    await relay.close()


async def test_natural_id_is_the_same_in_sql_and_python(kernel_db: Database) -> None:
    async with kernel_db.transaction() as session:
        found = await session.execute(text("SELECT natural_id('movement/A-1/2018-03/2')"))
        assert found.scalar_one() == natural_id("movement", "A-1", "2018-03", 2)
    assert natural_id("x").version == 8


async def test_an_event_exists_only_if_the_transaction_committed(kernel_db: Database) -> None:
    with pytest.raises(RuntimeError, match="no"):  # noqa: PT012 - the whole transaction fails
        async with kernel_db.transaction() as session:
            outbox.publish(session, unit("GONE", 1))
            await session.flush()
            raise RuntimeError("no")
    async with kernel_db.transaction() as session:
        outbox.publish(session, unit("KEPT", 1))
    async with kernel_db.transaction() as session:
        rows = (await session.execute(text("SELECT key, event_id FROM outbox"))).all()
    assert [tuple(row) for row in rows] == [("KEPT", unit("KEPT", 1).event_id)]


async def test_a_query_publishes_one_event_per_row(kernel_db: Database) -> None:
    async with kernel_db.transaction() as session:
        outbox.publish_query(
            session,
            UnitChanged,
            "SELECT 'B' || n AS key, natural_id('b/' || n) AS event_id, json_build_object('n', n) AS data "
            "FROM generate_series(1, CAST(:upto AS integer)) n ORDER BY n",
            {"upto": 3},
        )
    async with kernel_db.transaction() as session:
        rows = (await session.execute(text("SELECT key, event_id, data, type, topic FROM outbox ORDER BY seq"))).all()
    assert [row.key for row in rows] == ["B1", "B2", "B3"]
    assert rows[2].event_id == natural_id("b", 3)
    assert (rows[0].data, rows[0].type, rows[0].topic) == ('{"n" : 1}', UnitChanged.TYPE, UnitChanged.TOPIC)


async def test_eight_writers_and_a_zombie_relay_lose_and_reorder_nothing(  # noqa: C901 - one story
    kernel_db: Database, kafka: str
) -> None:
    """Two relays, one of which goes on sending rows it read before its lease was taken over.

    The writers lock nothing of their own and rest between the outbox and the commit: without the bucket locks a row with a
    lower sequence would become visible after a higher one of its key.
    """
    keys = [f"K{n}-{random.randrange(10**9)}" for n in range(5)]
    numbers = count(1)
    written: list[str] = []
    writing = True

    async def write(seed: int) -> None:
        choose = random.Random(seed)

        async def rest(_: AsyncSession) -> None:
            await asyncio.sleep(choose.random() * 0.01)

        for _ in range(60):
            events = [unit(key, next(numbers)) for key in choose.sample(keys, choose.choice((1, 1, 3)))]
            async with kernel_db.transaction() as session:
                for event in events:
                    outbox.publish(session, event)
                before_commit(session, rest)
            written.extend(str(event.event_id) for event in events)

    active, zombie = Relay(kernel_db, kafka, "1"), Relay(kernel_db, kafka, "2")

    async def send() -> None:
        while writing:
            await active.send_batch()

    async def haunt() -> None:
        """Send what is unsent without holding the lease, as a relay does that was paused with rows in hand."""
        connection = await kernel_db.connect()
        while writing:
            rows = await connection.fetch(
                "SELECT seq, topic, key, event_id, type, published_at, data, trace FROM outbox WHERE sent_at IS NULL ORDER BY seq"
            )
            await asyncio.sleep(0.02)
            if rows:
                await zombie.send_rows(rows)
        await connection.close()

    senders = [asyncio.create_task(send()), asyncio.create_task(haunt())]
    await asyncio.gather(*(write(seed) for seed in range(8)))
    writing = False
    await asyncio.gather(*senders)
    await drain(active)
    firsts: dict[str, list[int]] = {key: [] for key in keys}
    seen: set[str] = set()
    repeats = 0
    for record in await read_topic(kafka, "customer.events"):
        if record.key in firsts:
            repeats += record.headers["ce_id"] in seen
            if record.headers["ce_id"] not in seen:
                firsts[record.key].append(int(record.headers["ce_sequence"]))
            seen.add(record.headers["ce_id"])
    assert seen == set(written)
    assert all(sequences == sorted(sequences) for sequences in firsts.values())
    assert repeats > 0, "the zombie sent nothing: the test would prove nothing"
    connection = await kernel_db.connect()
    assert (await status(connection))["pending"] == 0
    await connection.close()
    await active.close()
    await zombie.close()


async def test_republish_sends_again_what_was_sent(kernel_db: Database, kafka: str, relay: Relay) -> None:
    key = f"R-{random.randrange(10**9)}"
    async with kernel_db.transaction() as session:
        outbox.publish(session, unit(key, 1))
    await drain(relay)
    connection = await kernel_db.connect()
    since = await connection.fetchval("SELECT clock_timestamp() - interval '1 hour'")
    assert await republish(connection, since) == 1
    await drain(relay)
    await connection.close()
    sent = [record for record in await read_topic(kafka, "customer.events") if record.key == key]
    assert [record.headers["ce_id"] for record in sent] == [str(unit(key, 1).event_id)] * 2
    assert sent[0].headers["ce_sequence"] == sent[1].headers["ce_sequence"]
