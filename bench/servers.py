"""The servers under the bench: a PostgreSQL and a Kafka of its own, as `make run` starts them, and databases on them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.events.freight import FreightCharged
from shared.kafka import create_topics
from shared.local.databases import create_database, drop_database, ensure_databases
from shared.local.kafka import Kafka
from shared.local.postgres import Postgres
from shared.migrations import upgrade

PARTITIONS = 4
"""Of `freight.events`."""
MEASURED = ("customer", "tiering")
"""The services that are measured."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything is; `quick` asks for small sizes, `accounts` and `pairs` for others than a workload's own."""

    postgres: Postgres
    bootstrap: str
    place: Path
    quick: bool
    accounts: int | None = None
    pairs: int | None = None

    def count(self, quick: int, full: int) -> int:
        """How many accounts a workload takes that can be asked for another number."""
        return self.accounts or (quick if self.quick else full)

    def url(self, service: str, database: str | None = None) -> str:
        """What a service's processes connect with."""
        return self.postgres.url(f"{service}_app", database or service)

    def admin_url(self, database: str) -> str:
        """The superuser's way into a database."""
        return self.postgres.url("postgres", database)

    @asynccontextmanager
    async def admin(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        """Lend the superuser's connection to a database, to fill and to check."""
        connection = await asyncpg.connect(self.admin_url(database), ssl=False)
        try:
            yield connection
        finally:
            await connection.close()

    async def fresh(self, service: str, database: str) -> None:
        """Make an empty, migrated database."""
        await create_database(self.postgres.admin_url, service, database)
        await upgrade(service, self.postgres.url(f"{service}_owner", database))

    async def copy(self, service: str, database: str, template: str) -> None:
        """Make a database out of another one, file by file, so that each run finds the same pages."""
        async with self.admin("postgres") as connection:
            await connection.execute(
                f'CREATE DATABASE "{database}" OWNER "{service}_owner" TEMPLATE "{template}" STRATEGY FILE_COPY'
            )
            await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{service}_app"')
            await connection.execute("CHECKPOINT")

    async def drop(self, database: str) -> None:
        """Remove a database."""
        await drop_database(self.postgres.admin_url, database)


@asynccontextmanager
async def bench_servers(
    local: Path, *, quick: bool, accounts: int | None = None, pairs: int | None = None
) -> AsyncIterator[Bench]:
    """Start the servers on free ports with their data in a directory that goes away afterwards."""
    local.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=local) as directory,
        Postgres(Path(directory) / "postgres") as postgres,
        Kafka(Path(directory) / "kafka") as kafka,
    ):
        bench = Bench(postgres, kafka.bootstrap, Path(directory), quick, accounts, pairs)
        await ensure_databases(postgres.admin_url, MEASURED, postgres.password)
        for service in MEASURED:
            await upgrade(service, postgres.url(f"{service}_owner", service))
        await _create_freight_topic(kafka.bootstrap)
        await create_topics(kafka.bootstrap)
        yield bench


async def _create_freight_topic(bootstrap: str) -> None:
    """Make the topic of the ingest with the partitions that are measured; local topics have fewer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(FreightCharged.TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()
