"""Apache Kafka through aiokafka: the only module that imports the client.

Its defaults lose data (acks=1, auto-commit, reset to latest); every one of them is set here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, TopicAlreadyExistsError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.events import TOPICS
from shared.events.envelope import KafkaRecord

Partition = tuple[str, int]
"""A topic and the number of its partition."""
Seek = Callable[[Sequence[Partition]], Awaitable[dict[Partition, int]]]
SEND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Message:
    """One record to send: CloudEvents headers, JSON value, and the publication instant as its timestamp."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


async def create_topics(bootstrap: str, retention_ms: int = -1) -> None:
    """Create the suite's topics where they are missing; local topics keep their records for ever.

    A broker that is just starting, or is started again, is waited for: 30 s at most.
    """
    deadline = asyncio.get_running_loop().time() + SEND_SECONDS
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
        try:
            await admin.start()
            break
        except KafkaError:
            await admin.close()
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)
    try:
        known = set(await admin.list_topics())
        missing = [
            NewTopic(topic.name, topic.partitions, 1, topic_configs={"retention.ms": str(retention_ms)})
            for topic in TOPICS.values()
            if topic.name not in known
        ]
        if missing:
            try:
                await admin.create_topics(missing)
            except TopicAlreadyExistsError:
                return
    finally:
        await admin.close()


class Publisher:
    """Sends records and waits for the broker's acknowledgement; order per partition is the order of sending."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Iterable[Message], turn: int | None = None) -> dict[Partition, int]:
        """Send all and return when all are acknowledged: the ends of the partitions that were written to.

        A record's partition follows from its key. With a `turn` all records of a topic go to one partition, by turns: a reader
        has one batch of them then, in the order given; for publishers to whom the order per key among several sends is nothing.

        It raises after 30 s, and then an unknown part was written. After any failure the producer is thrown away: a later record
        must never overtake one that failed, and an idempotent producer of aiokafka never gives a batch up by itself. The caller
        sends the same records again.
        """
        producer = await self._start()
        ends: dict[Partition, int] = {}
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = []
                for (topic, number), batch in await _batches(producer, messages, turn):
                    sent.append((topic, number, batch, await producer.send_batch(batch, topic, partition=number)))
                await producer.flush()
                for topic, number, batch, future in sent:
                    ends[topic, number] = future.result().offset + batch.record_count()
        except BaseException:
            await self._discard()
            raise
        return ends

    async def close(self) -> None:
        """Stop the producer; nothing is left unsent, because `send` waits."""
        await self._discard()

    async def _start(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=524_288,  # one request for a day of a replay; the broker takes twice as much
                max_request_size=2_097_152,
                request_timeout_ms=10_000,
                retry_backoff_ms=100,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(3):
                    await producer.stop()
            except (TimeoutError, KafkaError):
                return


async def _batches(
    producer: AIOKafkaProducer, messages: Iterable[Message], turn: int | None
) -> list[tuple[Partition, BatchBuilder]]:
    """Put records into batches, those of a partition in their order; one by one through the client costs ten times as much."""
    counts: dict[str, int] = {}
    filling: dict[Partition, BatchBuilder] = {}
    batches: list[tuple[Partition, BatchBuilder]] = []
    for message in messages:
        topic = message.topic
        if topic not in counts:
            counts[topic] = len(await producer.partitions_for(topic))
        partition = (topic, turn % counts[topic] if turn is not None else partition_of(message.key, counts[topic]))
        batch = filling.get(partition)
        if batch is None or batch.append(timestamp=None, key=message.key, value=message.value, headers=message.headers) is None:
            batch = filling[partition] = producer.create_batch()
            batch.append(timestamp=None, key=message.key, value=message.value, headers=message.headers)
            batches.append((partition, batch))
    return batches


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, count: int) -> int:
    """Return the partition of a key, as every Kafka client by default."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class Reader(ConsumerRebalanceListener):  # type: ignore[misc] # the client has no types
    """A static member of a service's consumer group that reads from where the service's own table says."""

    def __init__(self, bootstrap: str, group: str, slot: str, topics: Sequence[str], seek: Seek) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id=f"{group}-{slot}",
            client_id=f"{group}-{slot}",
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            request_timeout_ms=10_000,
            retry_backoff_ms=100,
            max_poll_interval_ms=600_000,
            fetch_max_wait_ms=100,  # records of a partition whose last ones are still in the client's hands wait for its end
            max_partition_fetch_bytes=4_194_304,  # two whole batches; 1 MiB is one and a rest of a few hundred events
            metadata_max_age_ms=30_000,
        )
        self._topics = topics
        self._seek = seek
        self.assigned: set[Partition] = set()
        self._more_assigned = asyncio.Event()

    async def start(self) -> None:
        """Join the group."""
        await self._consumer.start()
        self._consumer.subscribe(topics=list(self._topics), listener=self)

    async def stop(self) -> None:
        """Leave without waiting for the broker: a static member takes its partitions back at its next start."""
        try:
            async with asyncio.timeout(3):
                await self._consumer.stop()
        except (TimeoutError, KafkaError):
            return

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Stop reading what another member takes over; the fence makes a transaction under way harmless."""
        self.assigned -= {(tp.topic, tp.partition) for tp in revoked}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Seek to the offsets of record before the first fetch."""
        partitions = [(tp.topic, tp.partition) for tp in assigned]
        await self.seek(partitions)
        self.assigned |= set(partitions)
        self._more_assigned.set()

    async def seek(self, partitions: Sequence[Partition]) -> None:
        """Move to the offsets of record."""
        for (topic, partition), offset in (await self._seek(partitions)).items():
            self._consumer.seek(TopicPartition(topic, partition), offset)

    async def fetch(self, partitions: Sequence[Partition], limit: int, wait_ms: int) -> dict[Partition, list[KafkaRecord]]:
        """Return the next records of these partitions, at most `limit`; none after the wait or while the broker is away.

        Without partitions it waits for some to be assigned.
        """
        if not partitions:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more_assigned.wait(), wait_ms / 1000)
            self._more_assigned.clear()
            return {}
        batches: dict[TopicPartition, list[KafkaRecord]] = {}
        try:
            batches = await self._consumer.getmany(
                *(TopicPartition(*partition) for partition in partitions), timeout_ms=wait_ms, max_records=limit
            )
        except NoOffsetForPartitionError:  # the seek on assignment was lost
            await self.seek(partitions)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(0.1)
        return {(tp.topic, tp.partition): records for tp, records in batches.items()}

    def end(self, partition: Partition) -> int | None:
        """Return where the log ended at the last fetch, None before the first."""
        end: int | None = self._consumer.highwater(TopicPartition(*partition))
        return end

    async def log_start(self, partition: Partition) -> int:
        """Return the first offset that the broker still has."""
        tp = TopicPartition(*partition)
        offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets([tp])
        return offsets[tp]

    async def commit(self, offsets: dict[Partition, int]) -> None:
        """Tell Kafka how far we are, for lag monitors only; its failure is nobody's concern."""
        try:
            async with asyncio.timeout(3):
                await self._consumer.commit({TopicPartition(*partition): offset for partition, offset in offsets.items()})
        except (TimeoutError, KafkaError):
            return


class EndOffsets:
    """Asks the broker where the logs end (lag, settled or not)."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, request_timeout_ms=10_000, retry_backoff_ms=100
        )

    async def start(self) -> None:
        """Connect."""
        try:
            await self._consumer.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect, within 3 s."""
        try:
            async with asyncio.timeout(3):
                await self._consumer.stop()
        except (TimeoutError, KafkaError):
            return

    async def read(self, topics: Sequence[str]) -> dict[Partition, int]:
        """Return the next offset of every partition of the topics."""
        partitions = []
        for topic in topics:
            known = self._consumer.partitions_for_topic(topic)
            if known is None:
                await self._consumer._client.force_metadata_update()
                known = self._consumer.partitions_for_topic(topic) or set()
            partitions += [TopicPartition(topic, number) for number in known]
        offsets: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
