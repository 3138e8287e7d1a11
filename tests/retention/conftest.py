"""One retention database with an organisation tree, emptied before each test, as its worker and as its web process see it."""

from collections.abc import AsyncIterator

import pytest

from shared.db import Database
from tests.conftest import Server, empty_tables
from tests.retention import make


@pytest.fixture(scope="session")
async def retention(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("retention") as database:
        await make.plant_tree(database)
        yield database


@pytest.fixture
async def db(retention: Database) -> Database:
    await empty_tables(retention, ("contacts", "delegations", "tasks", "outbox", "business_clock", "idempotency_keys"))
    return retention


@pytest.fixture(scope="session")
async def web(retention: Database) -> AsyncIterator[Database]:
    """The same database in the role that row-level security binds."""
    database = Database("retention", retention.url, "web", pool_size=8)
    await database.open()
    yield database
    await database.close()
