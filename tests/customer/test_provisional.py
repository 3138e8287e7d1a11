"""Accounts that events name before anybody opened them."""

import asyncio
import itertools
import json
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from services.customer import accounts, provisional, subscriptions
from shared.db import Database
from shared.events import FreightCharged
from tests.customer.make import SEAL, at, charge, said, scan
from tests.deliveries import deliver

pytestmark = pytest.mark.row("C-42")

SIGHTS = (
    scan("W9", "PICKED_UP", at("2018-03-02", "09:00:00"), "P1", "BR-2"),
    scan("W5", "CREATED", at("2018-03-02", "08:00:00"), "P1", "BR-3"),
    scan("W4", "CREATED", at("2018-03-02", "08:00:00"), "P1", "BR-1"),
    scan("W1", "CREATED", at("2018-03-02", "07:00:00"), "P1", None),
    charge("CH-1", charged_at=at("2018-03-01", "23:59:59"), account_no="P1"),
)
"""The least business date is that of the charge; the earliest parcel that names a branch is W4."""


async def arrive(db: Database, *batch: Any) -> None:
    """Hand over what one partition of each topic brought, as consumers do: a transaction for each."""
    scans = [deliver(event) for event in batch if not isinstance(event, FreightCharged)]
    charges = [deliver(event) for event in batch if isinstance(event, FreightCharged)]
    if scans:
        async with db.transaction() as session:
            await subscriptions.note_scans(session, scans)
    if charges:
        async with db.transaction() as session:
            await subscriptions.note_charges(session, charges)


async def stands(db: Database, account_no: str = "P1") -> tuple[Any, ...]:
    async with db.transaction() as session:
        placed = (
            await session.execute(
                text("SELECT branch_code, opened_on, provisional, unit_code FROM accounts WHERE account_no = :a"),
                {"a": account_no},
            )
        ).one()
        held = await session.execute(
            text("SELECT from_on, to_on, branch_code FROM account_memberships WHERE account_no = :a ORDER BY from_on"),
            {"a": account_no},
        )
        return *placed, [tuple(row) for row in held]


async def published(db: Database) -> list[tuple[str, dict[str, Any]]]:
    query = text("SELECT type, data FROM outbox WHERE type LIKE 'customer.account%' ORDER BY seq")
    async with db.transaction() as session:
        return [(row.type, json.loads(row.data)) for row in await session.execute(query)]


async def test_the_order_of_arrival_does_not_matter(db: Database) -> None:
    """C-42, in part: the account a first event creates, until somebody opens it."""
    expected = ("BR-1", date(2018, 3, 1), True, "BR-1", [(date(2018, 3, 1), None, "BR-1")])
    orders = [
        [event.model_copy(update={"account_no": f"P{number}"}) for event in order]
        for number, order in enumerate(itertools.permutations(SIGHTS))
    ]
    for events in zip(*orders, strict=True):
        await arrive(db, *events)
    for number, order in enumerate(orders):
        assert await stands(db, f"P{number}") == expected, order
    await arrive(db, *(event.model_copy(update={"account_no": "Q1"}) for event in SIGHTS))
    assert await stands(db, "Q1") == expected


async def test_every_change_is_published_once_with_the_whole_state(db: Database) -> None:
    for event in (SIGHTS[0], SIGHTS[0], SIGHTS[2], SIGHTS[1], SIGHTS[4], SIGHTS[3]):
        await arrive(db, event)
    events = await published(db)
    assert [kind for kind, _ in events] == ["customer.account-opened.v1", *["customer.account-assigned.v1"] * 2]
    assert [state["version"] for _, state in events] == [1, 2, 3]
    assert events[-1][1] == {
        "account_no": "P1",
        "status": "open",
        "provisional": True,
        "opened_on": "2018-03-01",
        "memberships": [{"branch_code": "BR-1", "outlet_code": None, "from_on": "2018-03-01"}],
        "version": 3,
    }


async def test_a_real_opening_replaces_date_and_branch_for_good(db: Database) -> None:
    """C-42, in part: number, branch, outlet or none, opening and status; what events say later changes nothing."""
    await arrive(db, *SIGHTS)
    async with db.transaction() as session:
        assert await accounts.put_accounts(session, [said("P1", "2018-03-10", "BR-2")], SEAL, "tests") == ["P1"]
    opened = ("BR-2", date(2018, 3, 10), False, "BR-2", [(date(2018, 3, 10), None, "BR-2")])
    assert await stands(db) == opened
    await arrive(
        db, scan("W0", "CREATED", at("2017-01-01"), "P1", "BR-3"), charge("CH-0", charged_at=at("2016-01-01"), account_no="P1")
    )
    assert await stands(db) == opened
    kind, state = (await published(db))[-1]
    assert (kind, state["provisional"], state["version"]) == ("customer.account-opened.v1", False, 3)


async def test_an_account_of_an_unknown_branch_or_without_one_is_kept(db: Database) -> None:
    await arrive(db, scan(account_no="P1", branch="BR-NEW"), charge(account_no="P2"))
    assert (await stands(db, "P1"))[0] == "BR-NEW"
    assert (await stands(db, "P2"))[:2] == (None, date(2018, 3, 1))


async def test_partitions_learn_of_the_same_accounts_at_the_same_time(db: Database) -> None:
    numbers = [f"P{number}" for number in range(20)]

    async def partition(place: int) -> None:
        for round_ in range(10):
            day = at(f"2018-03-{20 - round_:02d}", f"{place:02d}:00:00")
            batch = [scan(f"W{place}-{round_}-{number}", "CREATED", day, number, f"BR-{place}") for number in numbers]
            charges = [charge(f"C{place}-{round_}-{number}", charged_at=day, account_no=number) for number in reversed(numbers)]
            await arrive(db, *(batch if (place + round_) % 2 else charges), *(reversed(batch) if place % 2 else ()))

    await asyncio.gather(*(partition(place) for place in (1, 2, 3)))
    for number in numbers:
        assert (await stands(db, number))[:2] == ("BR-1", date(2018, 3, 11))
    versions: dict[str, list[int]] = {}
    for _, state in await published(db):
        versions.setdefault(state["account_no"], []).append(state["version"])
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())


def test_a_sight_keeps_the_least_date_and_the_earliest_parcel() -> None:
    sight = provisional.Sight(date(2018, 3, 2))
    sight.add(date(2018, 3, 1))
    sight.add(date(2018, 3, 3), (at("2018-03-03"), "W2", "BR-2"))
    sight.add(date(2018, 3, 3), (at("2018-03-03"), "W1", "BR-1"))
    assert (sight.seen_on, sight.parcel) == (date(2018, 3, 1), (at("2018-03-03"), "W1", "BR-1"))
