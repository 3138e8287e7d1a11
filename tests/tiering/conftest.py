"""One tiering database, emptied before each test: a service that begins on 1 January 2018."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from shared.db import Database
from tests.conftest import Server
from tests.tiering.make import World, at

TABLES = (
    "charges replaced_charges month_totals dirty_marks month_closes decisions movements outbox business_clock schedule_state "
    "schedule_runs units unit_ancestors accounts account_branches idempotency_keys task_facts contact_facts ticket_facts"
)


async def wipe(tiering: Database) -> None:
    """Take away everything but the first policy."""
    async with tiering.transaction() as session:
        for table in TABLES.split():
            await session.execute(text(f"DELETE FROM {table}"))
        await session.execute(text("DELETE FROM policies WHERE policy_version <> '2008-new'"))


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
