"""The consumer on a real broker and a real database: every event has its effect once, whatever breaks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import consumer, inbox, outbox
from shared.batches import Breaker
from shared.clock import SHANGHAI
from shared.consumer import Consumer, Dispatcher, Subscription
from shared.db import Database, patiently
from shared.events import Delivery, Rejected, ShipmentStatusChanged, UnitChanged
from shared.events.envelope import headers_for
from shared.kafka import EndOffsets, Message, Partition, Publisher, Reader, create_topics
from shared.local.kafka import Kafka
from shared.parked import list_parked, read, record_of
from shared.rounds import Rounds
from tests.deliveries import deliver

START = datetime(2018, 1, 1, tzinfo=SHANGHAI)


def scan(waybill_no: str, minute: int = 0, status: str = "CREATED") -> ShipmentStatusChanged:
    place = {"city": "sao paulo", "region": "SP"}
    return ShipmentStatusChanged.model_validate(
        {
            "waybill_no": waybill_no, "account_no": "A1", "status": status, "pieces": 1, "promised_at": None,
            "occurred_at": (START + timedelta(minutes=minute)).isoformat(), "weight_grams": None, "goods_value_fen": None,
            "insured_fen": None, "exception": None, "source_code": None,
            "origin": {"branch": "BR-SP", **place}, "destination": place,
        },
        strict=False,
    )  # fmt: skip


def message(event: ShipmentStatusChanged, value: bytes | None = None, **headers: Any) -> Message:
    known = headers_for(
        event_id=event.event_id, source="/tests", type=headers.get("type", event.TYPE), time=START, key=event.key(), sequence=1
    )
    return Message(event.TOPIC, event.key().encode(), event.to_bytes() if value is None else value, known)


async def keep(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> Sequence[Rejected]:
    """Write one row per event; refuse REFUSED, and break on LOST."""
    rejected = []
    for delivery in deliveries:
        if delivery.event.status == "REFUSED":
            rejected.append(Rejected(delivery, "refused by the rule"))
            continue
        if delivery.event.status == "LOST":
            outbox.publish(session, UnitChanged(unit_code="GHOST", kind="branch", parent_code="HQ", version=1))
            raise ZeroDivisionError("a bug of ours")
        await session.execute(
            text("INSERT INTO arrivals (waybill_no, status) VALUES (:waybill_no, :status)"),
            {"waybill_no": delivery.event.waybill_no, "status": delivery.event.status},
        )
    return rejected


@asynccontextmanager
async def consuming(
    database: Database, bootstrap: str, slot: str = "1", rounds: Rounds | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    dispatcher = Dispatcher("tickets", [Subscription(ShipmentStatusChanged, keep)])
    task = asyncio.create_task(Consumer(database, dispatcher, bootstrap, slot, rounds or Rounds()).run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def arrivals(database: Database) -> list[str]:
    async def read() -> list[str]:
        async with database.transaction() as session:
            return list((await session.execute(text("SELECT waybill_no FROM arrivals ORDER BY n"))).scalars())

    return await patiently(read)  # a test may have cut the pool's connections


async def fences(database: Database) -> int:
    async def read() -> int:
        async with database.transaction() as session:
            return int((await session.execute(text("SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets"))).scalar_one())

    return await patiently(read)


async def until(database: Database, passed: int, seconds: float = 30) -> None:
    """Wait until the fences together have reached this number of records."""
    async with asyncio.timeout(seconds):
        while await fences(database) < passed:  # noqa: ASYNC110 - another process moves them
            await asyncio.sleep(0.02)


@pytest.fixture
async def begun(kernel_db: Database, kafka: str) -> int:
    """Let the database begin at the ends of the shared broker's logs; returns how many records lie behind the fences."""
    ends = EndOffsets(kafka)
    await ends.start()
    offsets = await ends.read(["shipment.events"])
    await ends.stop()
    async with kernel_db.transaction() as session:
        await session.execute(
            text("INSERT INTO consumer_offsets (topic, partition, next_offset) VALUES (:topic, :partition, :offset)"),
            [{"topic": topic, "partition": number, "offset": offset} for (topic, number), offset in offsets.items()],
        )
    return sum(offsets.values())


async def test_every_event_has_its_effect_once_through_kills_of_everything(
    kernel_db: Database, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    """Consumers cancelled at random, database connections cut, the broker killed: each waybill arrives once, in order."""
    names = [f"W{n}" for n in range(3000)]
    choose = random.Random(7)

    async def publish() -> None:
        publisher = Publisher(broker.bootstrap)
        for start in range(0, len(names), 50):
            await publisher.send([message(scan(name)) for name in names[start : start + 50]])
            await asyncio.sleep(0.01)
        await publisher.close()

    broker = Kafka(tmp_path)
    broker.start()
    broker.wait_ready()
    await create_topics(broker.bootstrap)
    publishing = asyncio.create_task(publish())
    for round_ in range(6):
        async with consuming(kernel_db, broker.bootstrap):
            await asyncio.sleep(choose.random())
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'tickets_worker' AND random() < 0.5"
            )
            await asyncio.sleep(choose.random() * 0.5)
            if round_ == 3:
                broker.stop()
                broker.start()
                broker.wait_ready()
    await publishing
    async with consuming(kernel_db, broker.bootstrap):
        await until(kernel_db, len(names))
    broker.stop()
    assert sorted(await arrivals(kernel_db)) == sorted(names)


async def test_poison_is_parked_with_bytes_and_reason_and_the_neighbours_go_on(
    kernel_db: Database, kafka: str, begun: int
) -> None:
    good = scan("GOOD")
    data = good.to_bytes()
    poison = {
        "empty": message(good, b""),
        "not UTF-8": message(good, b'{"waybill_no":"\xff"}'),
        "not JSON": message(good, b"{"),
        "unknown type": message(good, type="shipment.vanished.v1"),
        "unknown major version": message(good, type="shipment.status-changed.v9"),
        "wrong types": message(good, data.replace(b'"pieces":1', b'"pieces":"1"')),
        "negative pieces": message(good, data.replace(b'"pieces":1', b'"pieces":-1')),
        "year 9999": message(good, data.replace(b"2018-01-01", b"9999-01-01")),
        "300 kB": message(good, data.replace(b"sao paulo", b"x" * 300_000)),
        "a NUL": message(good, data.replace(b"sao paulo", b"sao\\u0000paulo")),
        "a rule broken": message(scan("R", status="REFUSED")),
        "a bug of ours": message(scan("L", status="LOST")),
        "no headers": Message(good.TOPIC, b"k", data, []),
    }
    publisher = Publisher(kafka)
    names = [f"N{n}" for n in range(len(poison))]
    for name, bad in zip(names, poison.values(), strict=True):
        await publisher.send([message(scan(name)), Message(bad.topic, name.encode(), bad.value, bad.headers)])
    await publisher.send([Message(good.TOPIC, b"tombstone", None, message(good).headers)])  # type: ignore[arg-type]
    async with consuming(kernel_db, kafka):
        await until(kernel_db, begun + 2 * len(poison) + 1)
    await publisher.close()
    assert sorted(await arrivals(kernel_db)) == sorted(names)
    async with kernel_db.transaction() as session:
        parked = await list_parked(session, "tickets")
        rows = [await read(session, row["parked_id"]) for row in parked]
    assert len(parked) == len(poison) + 1
    kept = {record_of(row).value for row in rows if row is not None}
    assert kept >= {bad.value or None for bad in poison.values()} - {None}
    assert all(row["reason"] for row in parked)
    assert any("ZeroDivisionError" in row["reason"] for row in parked)
    assert any(row["reason"] == "refused by the rule" for row in parked)
    async with kernel_db.transaction() as session:
        published = (await session.execute(text("SELECT count(*) FROM outbox"))).scalar_one()
    assert published == 0, "what a refused event published must be taken back with its effects"


async def test_retry_after_a_fix_applies_the_event_once(kernel_db: Database, kafka: str, begun: int) -> None:
    publisher = Publisher(kafka)
    await publisher.send([message(scan("FIXED", status="LOST"))])
    await publisher.close()
    async with consuming(kernel_db, kafka):
        await until(kernel_db, begun + 1)
    assert await arrivals(kernel_db) == []
    broken = Dispatcher("tickets", [Subscription(ShipmentStatusChanged, keep)])

    async def fixed(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
        for delivery in await inbox.first_deliveries(session, deliveries):
            await session.execute(text("INSERT INTO arrivals (waybill_no) VALUES (:w)"), {"w": delivery.event.waybill_no})

    mended = Dispatcher("tickets", [Subscription(ShipmentStatusChanged, fixed)])
    async with kernel_db.transaction() as session:
        parked_id = (await list_parked(session, "tickets"))[0]["parked_id"]
        assert "ZeroDivisionError" in str(await consumer.retry(session, broken, parked_id))
    async with kernel_db.transaction() as session:
        assert await consumer.retry(session, mended, parked_id) is None
    async with kernel_db.transaction() as session:
        assert await consumer.retry(session, mended, parked_id) == "it is not parked any more"
    assert await arrivals(kernel_db) == ["FIXED"]


async def test_the_inbox_lets_an_event_through_once_whatever_its_offset(kernel_db: Database) -> None:
    first, other = deliver(scan("I1")), deliver(scan("I2"))
    async with kernel_db.transaction() as session:
        assert await inbox.first_deliveries(session, [first, first, other]) == [first, other]
    async with kernel_db.transaction() as session:
        third = deliver(scan("I3"))
        assert await inbox.first_deliveries(session, [deliver(scan("I1")), third]) == [third]


async def test_a_partition_stops_at_a_hundred_parked_in_a_row_and_the_others_go_on(
    kernel_db: Database, kafka: str, begun: int
) -> None:
    publisher = Publisher(kafka)
    bad = message(scan("SAME-KEY"), b"{")
    await publisher.send([bad] * 150)
    others = [f"O{n}" for n in range(40)]
    await publisher.send([message(scan(name)) for name in others])
    await publisher.close()
    async with consuming(kernel_db, kafka):
        async with asyncio.timeout(20):
            while True:
                async with kernel_db.transaction() as session:
                    stopped = (
                        await session.execute(text("SELECT * FROM consumer_offsets WHERE stopped_reason IS NOT NULL"))
                    ).all()
                if stopped:
                    break
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
    async with kernel_db.transaction() as session:
        parked = await list_parked(session, "tickets")
    assert len(parked) == 100
    assert stopped[0].stopped_reason == "100 events in a row were parked"
    assert 5 <= len(await arrivals(kernel_db)) < len(others), "the other partition goes on, this one rests"


def test_the_breaker_trips_at_one_percent_of_a_full_window_and_not_before() -> None:
    scattered = ([True] + [False] * 99) * 100
    breaker, count, reason = Breaker().after(scattered[:-1])
    assert (count, reason) == (9999, None)
    _, count, reason = breaker.after([False])
    assert count == 1
    assert reason == "100 of the last 10000 events were parked"
    ninety_nine = [False] * 100 + ([True] + [False] * 99) * 99
    assert Breaker().after(ninety_nine)[2] is None


async def test_a_second_owner_of_a_partition_applies_nothing_twice(kernel_db: Database, kafka: str, begun: int) -> None:
    """Two members with the same name: the newer fences the older out of the group, the fence row out of the database."""
    names = [f"T{n}" for n in range(400)]
    publisher = Publisher(kafka)
    async with consuming(kernel_db, kafka, uuid4().hex), consuming(kernel_db, kafka, uuid4().hex):
        for start in range(0, len(names), 20):
            await publisher.send([message(scan(name)) for name in names[start : start + 20]])
        await until(kernel_db, begun + len(names))
    await publisher.close()
    assert sorted(await arrivals(kernel_db)) == sorted(names)


async def test_a_batch_beyond_the_fence_applies_nothing_and_seeks_back(
    kernel_db: Database, kafka: str, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka swallows what the assignment listener raises and would read on from elsewhere."""
    publisher = Publisher(kafka)
    names = [f"S{n}" for n in range(60)]
    await publisher.send([message(scan(name)) for name in names])
    await publisher.close()
    real, lies = consumer.start_offsets, []

    async def skewed(*args: Any) -> dict[tuple[str, int], int]:
        offsets = await real(*args)
        if len(lies) < 1:
            lies.append(offsets)
            return {partition: offset + 3 for partition, offset in offsets.items()}
        return offsets

    monkeypatch.setattr(consumer, "start_offsets", skewed)
    async with consuming(kernel_db, kafka):
        await until(kernel_db, begun + len(names))
    assert sorted(await arrivals(kernel_db)) == sorted(names)


async def stand(database: Database, at: datetime, through: datetime, driven: bool = True) -> None:
    """Let the clock stand at an instant, and schedules have run through another."""
    async with database.transaction() as session:
        await session.execute(
            text("INSERT INTO business_clock (at, driven, history, wall_at) VALUES (:at, :driven, 'h', clock_timestamp())"),
            {"at": at, "driven": driven},
        )
        await session.execute(text("INSERT INTO schedule_state (through) VALUES (:through)"), {"through": through})


@pytest.mark.parametrize("told", [True, False], ids=["same process", "another process"])
async def test_events_wait_for_the_schedules_of_a_driven_clock(kernel_db: Database, kafka: str, begun: int, told: bool) -> None:
    """What was published after S is not seen by what runs at S; nothing is lost or applied twice by the waiting."""
    await stand(kernel_db, START + timedelta(days=1), START)
    names, rounds, publisher = [f"H{n}" for n in range(40)], Rounds(), Publisher(kafka)
    await publisher.send([message(scan(name)) for name in names])
    async with consuming(kernel_db, kafka, rounds=rounds):
        await asyncio.sleep(2.5)  # more than it takes to be assigned the partitions and to look several times
        assert await arrivals(kernel_db) == []
        assert await fences(kernel_db) == begun
        async with kernel_db.transaction() as session:
            await session.execute(text("UPDATE schedule_state SET through = :at"), {"at": START + timedelta(days=1)})
        if told:
            rounds.end()
        await until(kernel_db, begun + len(names))
    await publisher.close()
    assert sorted(await arrivals(kernel_db)) == sorted(names)


async def test_a_clock_that_nobody_drives_holds_nothing_back(kernel_db: Database, kafka: str, begun: int) -> None:
    await stand(kernel_db, START + timedelta(days=1), START, driven=False)
    publisher = Publisher(kafka)
    await publisher.send([message(scan("FREE"))])
    async with consuming(kernel_db, kafka):
        await until(kernel_db, begun + 1)
    await publisher.close()


async def test_events_gather_as_long_as_nobody_waits(
    kernel_db: Database, kafka: str, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few large batches, one at a time; who begins to wait does not wait for more to gather."""
    names, rounds, publisher, sizes = [f"G{n}" for n in range(60)], Rounds(), Publisher(kafka), list[int]()
    at_work = 0

    async def keep_slowly(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
        nonlocal at_work
        at_work += 1
        assert at_work == 1
        sizes.append(len(deliveries))
        await keep(session, deliveries)
        await asyncio.sleep(0.05)
        at_work -= 1

    monkeypatch.setattr(consumer, "GATHER_SECONDS", 3.0)
    rounds.hurry(somebody_waits=False)
    dispatcher = Dispatcher("tickets", [Subscription(ShipmentStatusChanged, keep_slowly)])
    consuming = asyncio.create_task(Consumer(kernel_db, dispatcher, kafka, "1", rounds).run())
    try:
        await publisher.send([message(scan("FIRST"))])
        await until(kernel_db, begun + 1)
        began = time.monotonic()
        for name in names[:-1]:
            await publisher.send([message(scan(name))])
        await until(kernel_db, begun + len(names))
        rounds_gathered = 2 + (time.monotonic() - began) / consumer.GATHER_SECONDS
        assert len(sizes) <= 1 + 2 * rounds_gathered, "two partitions, once per gathering"
        monkeypatch.setattr(consumer, "GATHER_SECONDS", 90.0)
        await asyncio.sleep(5)  # what was gathered for 3 s is over, and a fetch that waited for 1 s
        await publisher.send([message(scan(names[-1]))])
        rounds.hurry(somebody_waits=True)
        await until(kernel_db, begun + 1 + len(names))
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        await publisher.close()
    assert sorted(await arrivals(kernel_db)) == sorted(["FIRST", *names])


async def test_whoever_waits_for_records_wakes_when_the_first_partitions_are_assigned(kafka: str) -> None:
    async def begin(partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    reader = Reader(kafka, "just-started", "1", ["shipment.events"], begin)
    await reader.start()
    try:
        async with asyncio.timeout(60):
            assert await reader.fetch([], 10, wait_ms=3_600_000) == {}
        assert {topic for topic, _ in reader.assigned} == {"shipment.events"}
    finally:
        await reader.stop()


async def test_a_batch_that_waits_for_its_turn_does_not_hang(
    kernel_db: Database, kafka: str, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partition may have been quiet for longer than a batch may hang."""
    at_work: list[str] = []

    async def keep_slowly(session: AsyncSession, deliveries: Sequence[Delivery[ShipmentStatusChanged]]) -> None:
        at_work.append(deliveries[0].event.waybill_no)
        await keep(session, deliveries)
        if at_work[-1].startswith("LATER"):
            await asyncio.sleep(3)

    monkeypatch.setattr(consumer, "GATHER_SECONDS", 0.2)
    monkeypatch.setattr(consumer, "STUCK_SECONDS", 5.0)
    rounds, publisher = Rounds(), Publisher(kafka)
    rounds.hurry(somebody_waits=False)
    dispatcher = Dispatcher("tickets", [Subscription(ShipmentStatusChanged, keep_slowly)])
    consuming = asyncio.create_task(Consumer(kernel_db, dispatcher, kafka, "1", rounds).run())
    try:
        for turn in (0, 1):
            await publisher.send([message(scan(f"FIRST{turn}"))], turn=turn)
        await until(kernel_db, begun + 2)
        await asyncio.sleep(5.5)
        for turn in (0, 1):
            await publisher.send([message(scan(f"LATER{turn}"))], turn=turn)
        applied = asyncio.create_task(until(kernel_db, begun + 4))
        await asyncio.wait([consuming, applied], return_when=asyncio.FIRST_COMPLETED)
        applied.cancel()
        assert not consuming.done()
        assert await fences(kernel_db) == begun + 4
        assert sorted(at_work) == ["FIRST0", "FIRST1", "LATER0", "LATER1"]
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        await publisher.close()
