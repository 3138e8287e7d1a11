"""Movements at the close: falls of more than half, zero months and their runs, by account and month once."""

import json
import random
from datetime import date

import pytest

from services.tiering import policy
from services.tiering.policies.document import shipped
from shared.events.tiering import MovementDetected
from shared.ids import natural_id
from shared.months import add_months, month_text
from tests.tiering.make import World, account, at, charge, moved


@pytest.mark.row("T-22")
async def test_a_fall_of_more_than_half_is_a_movement_exactly_half_is_not(world: World) -> None:
    await world.open(*(account(name) for name in "ABC"))
    await world.post(
        charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 500, at("2018-02-10")),
        charge("3", "B", 1000, at("2018-01-10")), charge("4", "B", 499, at("2018-02-10")),
        charge("5", "C", 1, at("2018-01-10")), charge("6", "C", 3, at("2018-02-10")),
    )  # fmt: skip
    await world.run("2018-02-01")
    await world.run("2018-03-01")
    assert await world.movements() == [("B", "2018-02", 1, "fall_over_half", None, "open")]


@pytest.mark.row("T-22", "T-23")
async def test_amounts_near_the_limits_are_compared_exactly(world: World) -> None:
    huge = 10**15
    await world.open(account("A"), account("B"))
    for name, later in (("A", 45 * huge // 10), ("B", 45 * huge // 10 - 1)):
        await world.post(*(charge(f"{name}{n}", name, huge, at("2018-01-10")) for n in range(9)))
        await world.post(*(charge(f"{name}l{n}", name, later // 9 + (n < later % 9), at("2018-02-10")) for n in range(9)))
    await world.run("2018-02-01")
    await world.run("2018-03-01")
    assert await world.movements(("account_no", "month", "previous_fen", "current_fen")) == [
        ("B", "2018-02", 9 * huge, 45 * huge // 10 - 1)
    ]


@pytest.mark.row("T-23")
async def test_the_first_three_zero_months_of_a_run_raise_and_zero_goes_before_fall(world: World) -> None:
    await world.open(account("A"), account("N"))
    await world.post(charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 5, at("2018-07-10")))
    for month in range(2, 10):
        await world.run(f"2018-{month:02d}-01")
    assert await world.movements() == [
        ("A", "2018-02", 1, "zero_month", 1, "open"),
        ("A", "2018-03", 1, "zero_month", 2, "open"),
        ("A", "2018-04", 1, "zero_month", 3, "open"),
        ("A", "2018-08", 1, "zero_month", 1, "open"),
    ]
    runs = await world.rows("SELECT zero_months FROM decisions WHERE account_no = 'A' ORDER BY month")
    assert [row["zero_months"] for row in runs] == [None, 1, 2, 3, 4, 5, None, 1]


@pytest.mark.row("T-22", "T-23")
async def test_accounts_are_judged_before_their_opening_and_without_one(world: World) -> None:
    await world.open(account("A", opened_on="2018-05-01"))
    await world.post(
        charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 100, at("2018-02-10")), charge("3", "U", 7, at("2018-01-10"))
    )
    for day in ("2018-02-01", "2018-03-01"):
        await world.run(day)
    assert await world.movements() == [
        ("A", "2018-02", 1, "fall_over_half", None, "open"),
        ("U", "2018-02", 1, "zero_month", 1, "open"),
    ]
    assert await world.rows("SELECT account_no, branch_code, unit_code, service_tier FROM movements ORDER BY account_no") == [
        {"account_no": "A", "branch_code": "B1", "unit_code": "B1", "service_tier": "general"},
        {"account_no": "U", "branch_code": None, "unit_code": "HQ", "service_tier": "general"},
    ]


async def test_the_event_carries_the_tier_in_force_after_the_run_and_the_place_of_its_day(world: World) -> None:
    await world.open(moved("A", ("B1", "O1", "2017-01-01"), ("B3", None, "2018-04-01")), account("K", "B2"))
    await world.post(
        charge("1", "A", 5000, at("2018-02-10")), charge("2", "A", 2499, at("2018-03-10")),
        charge("3", "A", 1, at("2018-04-10")), charge("4", "K", 10, at("2018-03-10")),
    )  # fmt: skip
    for day in ("2018-03-01", "2018-04-01", "2018-05-01"):
        await world.run(day)
    rows = await world.rows("SELECT key, event_id, data FROM outbox WHERE type = :type ORDER BY seq", type=MovementDetected.TYPE)
    events = [MovementDetected.model_validate_json(row["data"]) for row in rows]
    for row, event in zip(rows, events, strict=True):
        assert (row["key"], row["event_id"]) == (event.account_no, event.event_id)
        assert json.loads(event.to_bytes()) == json.loads(row["data"])
    assert [
        (e.account_no, month_text(e.month), e.service_tier, e.branch_code, e.outlet_code, e.district_code) for e in events
    ] == [
        ("A", "2018-03", "vip", "B3", None, "D2"),
        ("A", "2018-04", "vip", "B3", None, "D2"),
        ("K", "2018-04", "vip", "B2", None, "D1"),
    ]
    march = events[0]
    assert march.movement_id == natural_id("movement", "A", "2018-03", 1)
    assert march.decision_id == natural_id("movement-decision", "A", "2018-03", 1)
    assert march.detected_at == march.judged_at == at("2018-04-01", "00:30:00")
    assert (march.previous_fen, march.current_fen, march.decided_previous_fen, march.decided_current_fen) == (
        5000,
        2499,
        5000,
        2499,
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.row("T-22", "T-23")
async def test_the_statement_finds_what_the_plain_rule_says(world: World, seed: int) -> None:
    rnd = random.Random(seed)
    names = [f"A{n:03d}" for n in range(150)]
    freight = {
        (name, m): rnd.choice((0, 1, 2, 3, 99, 100, 200, 401)) for name in names for m in range(1, 8) if rnd.random() < 0.55
    }
    await world.open(*(account(name) for name in names))
    await world.post(*(charge(f"{name}{m}", name, fen, at(f"2018-0{m}-09")) for (name, m), fen in freight.items()))
    for month in range(1, 8):
        await world.run(month_text(add_months(date(2018, month, 1), 1)) + "-01")
    expected = []
    for name in names:
        amounts = [freight.get((name, m), 0) for m in range(1, 8)]
        for month in range(1, 8):
            found = policy.movement_for(amounts[:month], shipped("2008-new"))
            if found is not None:
                expected.append((name, f"2018-0{month}", *found))
    columns = ("account_no", "month", "kind", "zero_months", "previous_fen", "current_fen")
    assert await world.movements(columns) == expected
