"""Settlement accounts: opening, moving, names."""

import json
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from services.customer import accounts
from services.customer.accounts import Said
from services.customer.memberships import Membership, moved, opened_again
from shared.db import Database
from shared.paging import PageRequest
from shared.problems import Conflict, Invalid, NotFound
from tests.customer.make import SEAL, at, said, set_clock

pytestmark = pytest.mark.row("C-42")


async def put(db: Database, *rows: Said) -> list[str]:
    async with db.transaction() as session:
        return await accounts.put_accounts(session, rows, SEAL, "tests")


async def read(db: Database, account_no: str = "A1") -> dict[str, Any]:
    async with db.transaction() as session:
        return await accounts.read_account(session, account_no, SEAL)


async def published(db: Database) -> list[tuple[str, dict[str, Any]]]:
    query = text("SELECT type, data FROM outbox WHERE type LIKE 'customer.account%' ORDER BY seq")
    async with db.transaction() as session:
        return [(row.type, json.loads(row.data)) for row in await session.execute(query)]


async def test_an_account_is_opened_once_and_repeats_change_nothing(db: Database) -> None:
    """C-42, in part: number, branch, district, outlet, opening, status, billing cycle, card, credit limit."""
    row = said(outlet="OUT-1", name="Hua Trading", billing_cycle="monthly-25", card_no="6222-1", credit_limit_fen=500_000)
    assert await put(db, row, row) == ["A1"]
    assert await put(db, row) == []
    assert await put(db, said(outlet="OUT-1")) == []
    account = await read(db)
    held = account.pop("memberships")
    assert account == {
        "account_no": "A1",
        "name": "H***",
        "branch_code": "BR-1",
        "district_code": "D1",
        "outlet_code": "OUT-1",
        "opened_on": date(2017, 5, 4),
        "status": "open",
        "provisional": False,
        "billing_cycle": "monthly-25",
        "card_no": "6222-1",
        "credit_limit_fen": 500_000,
        "version": 1,
    }
    assert [(at_.unit_code, at_.from_on, at_.to_on) for at_ in held] == [("OUT-1", date(2017, 5, 4), None)]
    ((kind, state),) = await published(db)
    assert kind == "customer.account-opened.v1"
    assert state["memberships"] == [{"branch_code": "BR-1", "outlet_code": "OUT-1", "from_on": "2017-05-04"}]


async def test_an_account_moves_and_keeps_its_history(db: Database, account: str) -> None:
    await set_clock(db, at("2018-03-01", "00:30:00"))
    assert await put(db, said(branch="BR-2")) == ["A1"]
    assert await put(db, said(branch="BR-2")) == []
    held = (await read(db))["memberships"]
    assert [(at_.unit_code, at_.from_on, at_.to_on) for at_ in held] == [
        ("BR-1", date(2017, 5, 4), date(2018, 2, 28)),
        ("BR-2", date(2018, 3, 1), None),
    ]
    assert await put(db, said(branch="BR-3", from_on="2018-03-01")) == ["A1"]
    kind, state = (await published(db))[-1]
    assert (kind, state["version"]) == ("customer.account-assigned.v1", 3)
    assert [(m["branch_code"], m["from_on"]) for m in state["memberships"]] == [("BR-1", "2017-05-04"), ("BR-3", "2018-03-01")]
    with pytest.raises(Conflict, match="cannot move again as of 2018-02-01"):
        await put(db, said(branch="BR-1", from_on="2018-02-01"))
    with pytest.raises(Conflict, match="entered on its day or later"):
        await put(db, said(branch="BR-1", from_on="2018-03-02"))
    with pytest.raises(Conflict, match="cannot have been opened on 2018-03-05"):
        await put(db, said(opened_on="2018-03-05", branch="BR-3"))


async def test_closing_an_account_is_published_and_other_members_are_not(db: Database, account: str) -> None:
    assert await put(db, said(credit_limit_fen=1, card_no="1", name="Mei Trading")) == []
    assert await put(db, said(status="closed")) == ["A1"]
    assert len(await published(db)) == 2
    assert (await read(db))["credit_limit_fen"] == 1
    assert (await read(db))["name"] == "M***"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (said(branch="BR-9"), r"items.1 \(A1\): there is no branch BR-9"),
        (said(branch="D1"), "there is no branch D1"),
        (said(outlet="BR-1"), "there is no outlet BR-1"),
        (said(branch="BR-2", outlet="OUT-1"), "the outlet OUT-1 does not lie in the branch BR-2"),
        (said(branch=None, outlet="OUT-1"), "does not lie in the branch None"),
        (said(from_on="2017-05-03"), "from_on lies before opened_on"),
        (said("A2", branch="BR-3"), "twice, differently"),
    ],
)
async def test_a_batch_with_a_wrong_row_is_refused_as_a_whole(db: Database, row: Said, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await put(db, said("A2"), row)
    with pytest.raises(NotFound):
        await read(db, "A2")
    assert await published(db) == []


async def test_no_name_is_readable_in_the_table_or_on_the_bus(db: Database, account: str) -> None:
    async with db.transaction() as session:
        dump = " ".join((await session.scalars(text("SELECT to_jsonb(s)::text FROM settlement_accounts s"))).all())
        sealed = (await session.scalars(text("SELECT name_sealed FROM settlement_accounts"))).one()
        outbox = " ".join((await session.scalars(text("SELECT data FROM outbox"))).all())
    assert "Hua" not in dump
    assert b"Hua" not in sealed
    assert "Hua" not in outbox
    assert SEAL.open("A1", sealed) == "Hua Trading"


async def test_a_list_shows_a_subtree_page_by_page(db: Database) -> None:
    await put(
        db,
        *(said(f"A{n}", branch=f"BR-{n % 3 + 1}", outlet="OUT-1" if n == 3 else None) for n in range(9)),
        said("B0", branch=None),
    )
    seen: list[str] = []
    page = PageRequest(limit=2)
    async with db.transaction() as session:
        while True:
            found = await accounts.list_accounts(session, "D1", page, SEAL)
            seen += [item["account_no"] for item in found["items"]]
            if found["next_cursor"] is None:
                break
            page = PageRequest(limit=2, after=(seen[-1],))
        everything = await accounts.list_accounts(session, "HQ", PageRequest(), SEAL)
        outlet = await accounts.list_accounts(session, "OUT-1", PageRequest(), SEAL)
    assert seen == ["A0", "A1", "A3", "A4", "A6", "A7"]
    assert len(everything["items"]) == 10
    assert [item["account_no"] for item in outlet["items"]] == ["A3"]


def test_a_move_on_the_day_of_the_last_one_replaces_it() -> None:
    known = [Membership(date(2018, 1, 1), "B1", None), Membership(date(2018, 3, 1), "B2", None)]
    assert moved(known, Membership(date(2018, 3, 1), "B3", None)) == [known[0], Membership(date(2018, 3, 1), "B3", None)]


def test_an_opening_may_be_corrected_up_to_the_first_move() -> None:
    known = [Membership(date(2018, 1, 1), "B1", None), Membership(date(2018, 3, 1), "B2", None)]
    assert opened_again(known, date(2018, 2, 28))[0].from_on == date(2018, 2, 28)
    with pytest.raises(ValueError, match="moved on 2018-03-01"):
        opened_again(known, date(2018, 3, 1))
