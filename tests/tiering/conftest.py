"""One tiering database, emptied before each test: a service that begins on 1 January 2018."""

from collections.abc import AsyncIterator

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
