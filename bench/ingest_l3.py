"""The limit line L3: what is written by hand when nothing but the rows counts.

aiokafka's getmany, msgspec, and one idempotent INSERT per batch; no fence, no gate, no totals, no corrections, nothing parked.
One loop per partition with a connection of its own, as ours: so both programs use the same cores. `loops: 1` is one loop for all.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.programs import ready, run_program

BATCH = 2_000
TABLE = """
CREATE TABLE IF NOT EXISTS l3_charges (
    charge_no text COLLATE "C" NOT NULL, version integer NOT NULL, waybill_no text COLLATE "C" NOT NULL,
    account_no text COLLATE "C" NOT NULL, amount_fen bigint NOT NULL, charged_at timestamptz NOT NULL,
    product text COLLATE "C", weight_grams bigint, PRIMARY KEY (charge_no))"""
INSERT = """
INSERT INTO l3_charges (charge_no, version, waybill_no, account_no, amount_fen, charged_at, product, weight_grams)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::text[], $8::bigint[])
ON CONFLICT DO NOTHING"""


class Charge(msgspec.Struct):
    """The data of a charge, as msgspec reads it."""

    charge_no: str
    version: int
    waybill_no: str
    account_no: str
    amount_fen: int
    charged_at: datetime
    product: str | None = None
    weight_grams: int | None = None


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Drain the topic into the table: from the first fetch to the last commit."""
    consumer = AIOKafkaConsumer(bootstrap_servers=job["bootstrap"], enable_auto_commit=False, max_partition_fetch_bytes=4_194_304)
    await consumer.start()
    partitions = [TopicPartition(job["topic"], number) for number in range(job["partitions"])]
    consumer.assign(partitions)
    starts = await consumer.beginning_offsets(partitions)
    ends = {partition: job["ends"][str(partition.partition)] for partition in partitions}
    for partition in partitions:
        consumer.seek(partition, starts[partition])
    groups = [[partition] for partition in partitions] if job["loops"] > 1 else [partitions]
    connections = [await asyncpg.connect(job["url"], server_settings={"role": "tiering_owner"}, ssl=False) for _ in groups]
    await ready()
    began = time.perf_counter()
    await asyncio.gather(
        *(_drain(consumer, group, ends, connection) for group, connection in zip(groups, connections, strict=True))
    )
    seconds = time.perf_counter() - began
    await consumer.stop()
    for connection in connections:
        await connection.close()
    return {"amount": sum(ends.values()) - sum(starts.values()), "seconds": seconds}


async def _drain(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], ends: dict[TopicPartition, int], connection: asyncpg.Connection
) -> None:
    insert = await connection.prepare(INSERT)
    decode = msgspec.json.Decoder(Charge).decode
    reached = dict.fromkeys(partitions, 0)
    while any(reached[partition] < ends[partition] for partition in partitions):
        batches = await consumer.getmany(*partitions, timeout_ms=1_000, max_records=BATCH)
        for partition, records in batches.items():
            rows = [decode(record.value) for record in records]
            await insert.fetch(
                [row.charge_no for row in rows],
                [row.version for row in rows],
                [row.waybill_no for row in rows],
                [row.account_no for row in rows],
                [row.amount_fen for row in rows],
                [row.charged_at for row in rows],
                [row.product for row in rows],
                [row.weight_grams for row in rows],
            )
            reached[partition] = records[-1].offset + 1


if __name__ == "__main__":
    run_program(main)
