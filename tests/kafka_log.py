"""Reads whole topics with a second, independent Kafka client (librdkafka), which the services never use."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


@dataclass(frozen=True)
class Sent:
    """One record as the broker holds it."""

    partition: int
    offset: int
    key: str | None
    headers: dict[str, str]
    value: bytes | None

    @property
    def data(self) -> Any:
        return json.loads(self.value or b"null")


def _read(bootstrap: str, topic: str) -> list[Sent]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "checker", "enable.auto.commit": False})
    try:
        partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        found: list[Sent] = []
        missing = sum(ends.values())
        while missing:
            for message in consumer.consume(10_000, timeout=5):
                if message.error() is not None:
                    raise RuntimeError(str(message.error()))
                headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
                key = message.key().decode(errors="replace") if message.key() is not None else None
                found.append(Sent(message.partition(), message.offset(), key, headers, message.value()))
                missing -= 1
        return found
    finally:
        consumer.close()


async def read_topic(bootstrap: str, topic: str) -> list[Sent]:
    """Return every record of a topic, in the order of each partition."""
    return await asyncio.to_thread(_read, bootstrap, topic)
