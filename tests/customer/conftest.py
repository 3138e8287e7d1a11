"""The customer service on a real database, with a small organisation."""

from collections.abc import AsyncIterator

import pytest

from services.customer import accounts, organisation
from services.customer.models import Base
from shared.db import Database
from tests.conftest import Server, empty_tables
from tests.customer import make

TABLES = (
    *(table.name for table in Base.metadata.sorted_tables),
    *("units", "unit_ancestors", "accounts", "account_branches", "outbox", "business_clock", "idempotency_keys"),
)


@pytest.fixture(scope="session")
async def customer(postgres: Server) -> AsyncIterator[Database]:
    async with postgres.database("customer") as database:
        yield database


@pytest.fixture
async def bare(customer: Database) -> Database:
    """One database for these tests, emptied before each."""
    await empty_tables(customer, TABLES)
    return customer


@pytest.fixture
async def db(bare: Database) -> Database:
    """The database with the organisation, as the worker sees it."""
    async with bare.transaction() as session:
        await organisation.put_units(session, make.UNITS, "tests")
    return bare


@pytest.fixture(scope="session")
async def web(customer: Database) -> AsyncIterator[Database]:
    """The same database in the role that row-level security binds."""
    database = Database("customer", customer.url, "web")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def account(db: Database) -> str:
    """An account of branch BR-1 that headquarters opened on 2017-05-04."""
    async with db.transaction() as session:
        await accounts.put_accounts(session, [make.said(name="Hua Trading")], make.SEAL, "tests")
    return "A1"
