"""A database that has the kernel's tables and one table of the tests' own, and a worker on it."""

import os
from collections.abc import AsyncIterator

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.db import Database, connect
from shared.kernel import revisions
from shared.local.databases import create_database, drop_database
from tests.conftest import Server

SERVICE = "tickets"
"""Whose roles the tests borrow."""


@pytest.fixture(scope="session")
async def kernel_template(postgres: Server) -> AsyncIterator[str]:
    """The migrated database that every test gets a copy of."""
    name = f"template_kernel_{os.getpid()}"
    await create_database(postgres.admin_url, SERVICE, name)
    owner = postgres.url(f"{SERVICE}_owner", name)

    def migrate(connection: Connection) -> None:
        op = Operations(MigrationContext.configure(connection))
        revisions.create(op, SERVICE)
        op.execute("CREATE TABLE arrivals (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, waybill_no text, status text)")
        revisions.scope_open(op, SERVICE, "arrivals")
        revisions.grant(op, SERVICE)
        connection.commit()

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(owner), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()
    yield name
    await drop_database(postgres.admin_url, name)


@pytest.fixture
async def kernel_db(postgres: Server, kernel_template: str, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    name = f"kernel_{abs(hash(request.node.nodeid))}"
    await create_database(postgres.admin_url, SERVICE, name, kernel_template)
    database = Database(SERVICE, postgres.url(f"{SERVICE}_app", name), "worker")
    await database.open()
    yield database
    await database.close()
    await drop_database(postgres.admin_url, name)
