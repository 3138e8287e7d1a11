"""Real servers for all tests: one PostgreSQL and one Kafka broker per run, a migrated database of its own for each test."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from sqlalchemy import text
from xdist.scheduler import LoadScopeScheduling

from shared.db import Database
from shared.kafka import create_topics
from shared.local.databases import create_database, drop_database, ensure_databases
from shared.local.kafka import Kafka
from shared.local.postgres import Postgres
from shared.migrations import upgrade
from shared.settings import SERVICES

_numbers = count(1)

LONGEST = ("tests/suite/test_kills", "tests/suite/", "tests/test_api_fuzz", "tests/test_access_matrix")
"""Where `make test` begins: its two processes end together only if what takes minutes is not left to the last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, everything else in the order of its place."""
    items.sort(key=lambda item: next((n for n, place in enumerate(LONGEST) if item.nodeid.startswith(place)), len(LONGEST)))


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out one test at a time, but those that share a costly fixture together, so that it is made once."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/suite/"):
            return "real" if nodeid.endswith("[real]") else "kills" if "test_kills" in nodeid else "hostile"
        return nodeid.partition("::")[0] if nodeid.startswith("tests/test_access_matrix") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Replace the scheduler of `--dist`: pytest 9.2 does not let `loadgroup` name its groups."""
    return Together(config, log)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop that the services run on; it is also the quicker one."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Server:
    """A PostgreSQL server for tests, with a migrated template database per service."""

    admin_url: str
    secret: str
    templates: set[str] = field(default_factory=set)

    def password(self, role: str) -> str:
        return hashlib.sha256(f"{self.secret}/{role}".encode()).hexdigest()[:40]

    def url(self, role: str, database: str) -> str:
        address = self.admin_url.rpartition("@")[2].partition("/")[0]
        return f"postgresql://{role}:{self.password(role)}@{address}/{database}"

    async def fresh(self, service: str) -> str:
        """Make an empty, migrated database for a service and return its name."""
        template = f"template_{service}_{os.getpid()}"
        if service not in self.templates:
            await create_database(self.admin_url, service, template)
            await upgrade(service, self.url(f"{service}_owner", template))
            self.templates.add(service)
        name = f"test_{service}_{os.getpid()}_{next(_numbers)}"
        await create_database(self.admin_url, service, name, template)
        return name

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[Database]:
        """Lend a service's database as its worker sees it, and drop it afterwards."""
        name = await self.fresh(service)
        database = Database(service, self.url(f"{service}_app", name), "worker")
        await database.open()
        try:
            yield database
        finally:
            await database.close()
            await drop_database(self.admin_url, name)

    async def analyze(self, database: Database, table: str) -> None:
        """Have the planner know a table as it is now: services may not ask for that, and autovacuum comes when it likes."""
        name = database.url.rpartition("/")[2]
        connection = await asyncpg.connect(f"{self.admin_url.rpartition('/')[0]}/{name}", ssl=False)
        try:
            await connection.execute(f"ANALYZE {table}")
        finally:
            await connection.close()


async def empty_tables(database: Database, tables: Iterable[str], also: str = "") -> None:
    """Take all rows out of tables, and do what `also` says, in one round trip: it is done before every test."""
    statements = "".join(f"DELETE FROM {table};" for table in tables)
    async with database.transaction() as session:
        await session.execute(text(f"DO $$ BEGIN {statements} {also} END $$"))


def forgetful(directory: Path) -> Postgres:
    """A PostgreSQL, installed and not started, that does not wait for the disk at every commit.

    Also right where processes are killed: what a killed PostgreSQL has written is in the kernel's page cache and stays; only a
    crash of the machine would lose it. tests/local/test_servers.py has the server as it is run, with fsync.
    """
    server = Postgres(directory)
    server.install()
    with (server.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("fsync = off\n")
    return server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The superuser's URL: of the server that CRM_TEST_POSTGRES names (18 or newer), else of one of our own."""
    named = os.environ.get("CRM_TEST_POSTGRES")
    if named:
        yield named
        return
    with forgetful(tmp_path_factory.mktemp("postgres")) as server:
        yield server.admin_url


@pytest.fixture(scope="session")
async def postgres(postgres_server: str) -> Server:
    """A server with the roles of all four services."""
    server = Server(postgres_server, secret="tests only")
    await ensure_databases(server.admin_url, SERVICES, server.password)
    return server


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The bootstrap address of a real broker that has the suite's topics."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as broker:
        await create_topics(broker.bootstrap)
        yield broker.bootstrap


@pytest.fixture
async def customer_db(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("customer") as database:
        yield database


@pytest.fixture
async def tiering_db(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("tiering") as database:
        yield database


@pytest.fixture
async def retention_db(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("retention") as database:
        yield database


@pytest.fixture
async def tickets_db(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("tickets") as database:
        yield database


@pytest.fixture
async def admin(postgres: Server) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection, to break things."""
    connection = await asyncpg.connect(postgres.admin_url, ssl=False)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def real_data() -> Path | None:
    """The folder of real parcels, where this machine has it."""
    folder = Path(os.environ.get("CRM_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return folder if (folder / "olist" / "shipments.csv").exists() else None
