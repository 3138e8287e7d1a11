"""One tiering database, emptied before each test: a service that begins on 1 January 2018."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest

from services.tiering.models import Base
from shared.db import Database
from tests.conftest import Server, empty_tables
from tests.tiering.make import World, at

KERNEL = "outbox business_clock schedule_state schedule_runs units unit_ancestors accounts account_branches idempotency_keys"
TABLES = [*(table.name for table in reversed(Base.metadata.sorted_tables) if table.name != "policy_versions"), *KERNEL.split()]


async def wipe(tiering: Database) -> None:
    """Take away everything but the policies that are shipped."""
    await empty_tables(tiering, TABLES, "DELETE FROM policy_versions WHERE author <> 'shipped';")


@pytest.fixture(scope="session")
async def tiering(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("tiering") as database:
        yield database


@pytest.fixture(scope="session")
async def web(tiering: Database) -> AsyncIterator[Database]:
    """The same database in the role that row-level security binds."""
    database = Database("tiering", tiering.url, "web")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def empty(tiering: Database) -> World:
    """A service that has not begun."""
    await wipe(tiering)
    return World(tiering)


@pytest.fixture
async def world(empty: World) -> World:
    await empty.begin(at("2018-01-01", "00:00:00"))
    return empty


@dataclass
class Kept:
    """Worlds that take long to make: made once, their rows kept in a schema of their own and laid back for each test."""

    admin_url: str
    sequences: dict[str, int] = field(default_factory=dict)
    filled: dict[str, dict[str, str]] = field(default_factory=dict)

    async def lay(self, world: World, name: str, make: Callable[[World], Awaitable[None]]) -> World:
        """Return a world that has begun as `make` leaves it."""
        connection = await asyncpg.connect(f"{self.admin_url.rpartition('/')[0]}/{world.db.url.rpartition('/')[2]}", ssl=False)
        try:
            if name not in self.filled:
                await make(world)
                self.sequences[name] = world.sequence
                self.filled[name] = await self._keep(connection, name)
            else:
                await wipe(world.db)
                await self._lay_back(connection, name)
                world.sequence = self.sequences[name]
        finally:
            await connection.close()
        return world

    async def _keep(self, connection: asyncpg.Connection, name: str) -> dict[str, str]:
        """Copy the tables that hold something; returns their columns, without those that are computed."""
        await connection.execute(f"CREATE SCHEMA {name}")
        columns = {}
        for table in TABLES:
            if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
                await connection.execute(f"CREATE TABLE {name}.{table} AS TABLE public.{table}")
                columns[table] = await connection.fetchval(
                    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
                    "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
                    f"public.{table}",
                )
        return columns

    async def _lay_back(self, connection: asyncpg.Connection, name: str) -> None:
        """Put the rows back; what triggers and foreign keys see to was seen to when they were made."""
        inserts = "".join(
            f"INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {name}.{table};"
            for table, columns in self.filled[name].items()
        )
        await connection.execute(f"SET session_replication_role = replica; {inserts}")


@pytest.fixture(scope="session")
def kept(postgres: Server) -> Kept:
    return Kept(postgres.admin_url)
