"""The directory: where accounts stand, whatever arrives first and at the same time."""

import asyncio
from datetime import date

from sqlalchemy import text

from shared.db import Database
from shared.directory import Unit, apply_accounts, apply_units, unit_path
from shared.events.customer import AccountOpened, AccountState, Membership

TREE = [Unit("HQ", "hq", None), Unit("D1", "district", "HQ"), Unit("B1", "branch", "D1"), Unit("O1", "outlet", "B1")]


def account(account_no: str, branch_code: str | None = "B1", outlet_code: str | None = None) -> AccountState:
    place = Membership(branch_code=branch_code, outlet_code=outlet_code, from_on=date(2018, 1, 1))
    return AccountOpened(
        account_no=account_no, status="open", provisional=False, opened_on=date(2018, 1, 1), memberships=(place,), version=1
    )


async def district_of(database: Database, account_no: str) -> str | None:
    async with database.transaction() as session:
        found = await session.execute(text("SELECT district_code FROM accounts WHERE account_no = :a"), {"a": account_no})
        district: str | None = found.scalar_one()
        return district


async def test_an_account_placed_while_the_tree_is_being_built_finds_its_district(kernel_db: Database) -> None:
    """Units and accounts come in different partitions; neither transaction sees the other's rows before it commits."""
    units_are_written = asyncio.Event()

    async def build() -> None:
        async with kernel_db.transaction() as session:
            await apply_units(session, TREE, [1, 2, 3, 4])
            units_are_written.set()
            await asyncio.sleep(0.2)

    async def place() -> None:
        await units_are_written.wait()
        async with kernel_db.transaction() as session:
            await apply_accounts(session, [account("A1")], [5])

    await asyncio.gather(build(), place())
    assert await district_of(kernel_db, "A1") == "D1"


async def test_an_account_that_comes_before_its_units_learns_its_district_later(kernel_db: Database) -> None:
    placed = asyncio.Event()

    async def place() -> None:
        async with kernel_db.transaction() as session:
            await apply_accounts(session, [account("A2", outlet_code="O1")], [1])
            placed.set()
            await asyncio.sleep(0.2)

    async def build() -> None:
        await placed.wait()
        async with kernel_db.transaction() as session:
            await apply_units(session, TREE, [2, 3, 4, 5])

    await asyncio.gather(place(), build())
    assert await district_of(kernel_db, "A2") == "D1"
    async with kernel_db.transaction() as session:
        assert await unit_path(session, "O1") == ["HQ", "D1", "B1", "O1"]
