"""Charges for the ingest: made from a seed, published through the public contract, and added up here, independently."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from bench.measuring import expect
from bench.servers import PARTITIONS
from shared.events.envelope import headers_for
from shared.events.freight import FreightCharged
from shared.kafka import Message, Publisher

TOPIC = FreightCharged.TOPIC
FIRST_DAY = datetime(2025, 12, 31, 16, tzinfo=UTC)
"""2026-01-01 in Asia/Shanghai; nothing after it is closed."""
SHANGHAI = timedelta(hours=8)
CHUNK = 5_000
PRODUCTS = ("STD", "EXP", "COLD", "FRT")


@dataclass(slots=True)
class Ledger:
    """What the ledger must hold once everything is ingested."""

    charges: int = 0
    amount_fen: int = 0
    months: dict[tuple[str, date], tuple[int, int]] = field(default_factory=dict)
    """Amount in fen and number of charges, by account and month."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Charges that lie on the topic: where they end, and what they add up to."""

    ends: dict[int, int]
    ledger: Ledger

    @property
    def total(self) -> int:
        """The sum of the next offsets once all is consumed."""
        return sum(self.ends.values())


def make_charges(count: int, accounts: int, days: int, seed: int, prefix: str = "SF") -> Iterator[FreightCharged]:
    """Make charges of one parcel each in the order of their instants, spread evenly over days and at random over accounts."""
    chance = random.Random(seed)
    step = timedelta(days=days) / count
    for number in range(count):
        waybill_no = f"{prefix}{1_000_000_000 + number}"
        yield FreightCharged(
            charge_no=f"CH-{waybill_no}",
            version=1,
            waybill_no=waybill_no,
            account_no=f"A{chance.randrange(accounts):08d}",
            amount_fen=round(chance.lognormvariate(7.5, 0.8)),
            charged_at=FIRST_DAY + step * number,
            product=chance.choice(PRODUCTS),
            weight_grams=chance.randrange(100, 30_000),
        )


def add_up(ledger: Ledger, charge: FreightCharged) -> None:
    """Add a charge, by plain arithmetic that shares nothing with the services."""
    local = charge.charged_at.astimezone(UTC) + SHANGHAI
    key = charge.account_no, date(local.year, local.month, 1)
    amount, count = ledger.months.get(key, (0, 0))
    ledger.months[key] = amount + charge.amount_fen, count + 1
    ledger.charges += 1
    ledger.amount_fen += charge.amount_fen


def message(charge: FreightCharged, number: int) -> Message:
    """Make the record of a charge as another publisher would: the required headers and an instant."""
    headers = headers_for(
        event_id=f"{charge.charge_no}/1",
        source="/bench",
        type=FreightCharged.TYPE,
        time=charge.charged_at,
        key=charge.account_no,
        sequence=number,
    )
    return Message(TOPIC, charge.account_no.encode(), charge.to_bytes(), headers)


async def publish(bootstrap: str, *parts: Iterator[FreightCharged]) -> list[Segment]:
    """Empty the topic and publish parts of a history, one after the other; returns where each of them ends."""
    await _empty(bootstrap)
    publisher = Publisher(bootstrap)
    ledger = Ledger()
    segments = []
    for part in parts:
        chunk: list[Message] = []
        for charge in part:
            add_up(ledger, charge)
            chunk.append(message(charge, ledger.charges))
            if len(chunk) == CHUNK:
                await publisher.send(chunk)
                chunk = []
        await publisher.send(chunk)
        so_far = Ledger(ledger.charges, ledger.amount_fen, dict(ledger.months))
        segments.append(Segment(await end_offsets(bootstrap), so_far))
    await publisher.close()
    return segments


async def end_offsets(bootstrap: str) -> dict[int, int]:
    """Return the next offset of each partition of the topic."""
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        found = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {partition.partition: offset for partition, offset in found.items()}


async def _empty(bootstrap: str) -> None:
    ends = await end_offsets(bootstrap)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(TOPIC, number): RecordsToDelete(before_offset=end) for number, end in ends.items() if end}
        )
    finally:
        await admin.close()


async def empty_ledger(connection: asyncpg.Connection) -> None:
    """Bring tiering back to before its first event, with every month of the charges open."""
    await connection.execute(
        "TRUNCATE charges, replaced_charges, quarter_sums, dirty_marks, outbox, consumer_offsets, parked_events"
    )
    await connection.execute("DELETE FROM schedule_state")
    await connection.execute("INSERT INTO schedule_state (through) VALUES ($1)", FIRST_DAY)
    await connection.execute("CHECKPOINT")


async def check_ledger(connection: asyncpg.Connection, segment: Segment) -> None:
    """Compare every month of every account, the versions, the fence and the parked events. Raises WrongTotalError."""
    ledger = segment.ledger
    versions = await connection.fetchrow("SELECT count(*) AS n, sum(amount_fen)::bigint AS fen FROM charge_versions")
    expect("charge versions", (versions["n"], versions["fen"]), (ledger.charges, ledger.amount_fen))
    standing = await connection.fetchrow("SELECT count(*) AS n, sum(amount_fen)::bigint AS fen FROM charges")
    expect("standing charges", (standing["n"], standing["fen"]), (ledger.charges, ledger.amount_fen))
    rows = await connection.fetch("SELECT account_no, month, amount_fen, charges FROM month_totals")
    found = {(row["account_no"], row["month"]): (row["amount_fen"], row["charges"]) for row in rows}
    wrong = [key for key in ledger.months.keys() | found.keys() if ledger.months.get(key) != found.get(key)]
    expect("months whose total is wrong", sorted(wrong)[:3], [])
    fences = await connection.fetch("SELECT partition, next_offset FROM consumer_offsets WHERE topic = $1", TOPIC)
    expect("fences", {row["partition"]: row["next_offset"] for row in fences}, segment.ends)
    expect("parked events", await connection.fetchval("SELECT count(*) FROM parked_events"), 0)
