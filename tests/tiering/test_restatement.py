"""What late and corrected charges do to the movements of closed months, and that order, batch and partition cannot change it."""

import json
import random
from typing import Any

import pytest

from shared.db import Database
from shared.events.freight import FreightCharged
from shared.events.tiering import MovementDetected, MovementRestated, MovementWithdrawn
from tests.tiering.conftest import wipe
from tests.tiering.make import World, account, at, charge

COLUMNS = (
    "account_no", "month", "revision", "kind", "zero_months", "state", "withdrawn_reason", "previous_fen", "current_fen",
    "decided_previous_fen", "decided_current_fen", "version",
)  # fmt: skip


async def _fell(world: World) -> None:
    """A fell from 1000 in January to 400 in February; March is running."""
    await world.open(account("A"), account("B"))
    await world.post(charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 400, at("2018-02-10")))
    await world.run("2018-02-01")
    await world.run("2018-03-01")


@pytest.mark.row("T-22")
async def test_only_other_amounts_keep_the_movement_and_its_decision(world: World) -> None:
    await _fell(world)
    await world.post(charge("3", "A", 50, at("2018-02-11")))
    assert await world.movements(("previous_fen", "current_fen")) == [(1000, 400)]
    await world.run("2018-03-05")
    assert await world.movements(COLUMNS) == [("A", "2018-02", 1, "fall_over_half", None, "open", None, 1000, 450, 1000, 400, 2)]
    (event,) = await world.events(MovementRestated.TYPE)
    assert (event["current_fen"], event["decided_current_fen"], event["version"]) == (450, 400, 2)
    assert (event["detected_at"], event["judged_at"]) == ("2018-03-01T00:30:00+08:00", "2018-03-05T00:30:00+08:00")


@pytest.mark.row("T-22")
async def test_what_is_no_longer_true_is_withdrawn_and_may_come_back_as_a_new_revision(world: World) -> None:
    await _fell(world)
    await world.post(charge("3", "A", 100, at("2018-02-11")))
    await world.run("2018-03-05")
    await world.post(charge("3", "A", 0, at("2018-02-11"), version=2))
    await world.run("2018-03-06")
    assert [row[:8] + row[10:] for row in await world.movements(COLUMNS)] == [
        ("A", "2018-02", 1, "fall_over_half", None, "withdrawn", "no_longer_true", 1000, 400, 2),
        ("A", "2018-02", 2, "fall_over_half", None, "open", None, 1000, 400, 1),
    ]
    assert [row["detected_at"] for row in await world.rows("SELECT detected_at FROM movements ORDER BY revision")] == [
        at("2018-03-01", "00:30:00"),
        at("2018-03-06", "00:30:00"),
    ]


@pytest.mark.row("T-22", "T-23")
async def test_another_kind_or_run_length_is_another_movement(world: World) -> None:
    await _fell(world)
    await world.run("2018-04-01")
    await world.run("2018-05-01")
    await world.post(charge("2", "A", 0, at("2018-02-10"), version=2))
    await world.run("2018-05-02")
    assert await world.movements() == [
        ("A", "2018-02", 1, "fall_over_half", None, "withdrawn"),
        ("A", "2018-02", 2, "zero_month", 1, "open"),
        ("A", "2018-03", 1, "zero_month", 1, "withdrawn"),
        ("A", "2018-03", 2, "zero_month", 2, "open"),
        ("A", "2018-04", 1, "zero_month", 2, "withdrawn"),
        ("A", "2018-04", 2, "zero_month", 3, "open"),
    ]
    events = [e for e in await world.events() if e["type"].startswith("tiering.movement")]
    assert [e["withdrawn_reason"] for e in events if e["type"] == MovementWithdrawn.TYPE] == ["restated"] * 3
    for event in events:
        model = {m.TYPE: m for m in (MovementDetected, MovementRestated, MovementWithdrawn)}[event.pop("type")]
        assert json.loads(model.model_validate_json(json.dumps(event)).to_bytes()) == event
    last = [(e["month"], e["revision"], e["state"]) for e in events if e["month"] == "2018-02"]
    assert last == [("2018-02", 1, "open"), ("2018-02", 1, "withdrawn"), ("2018-02", 2, "open")]


async def test_a_charge_thirteen_months_late_moves_the_runs_of_all_months_after_it(empty: World) -> None:
    await empty.begin(at("2017-01-01", "00:00:00"))
    await empty.open(account("A"))
    await empty.post(charge("1", "A", 9, at("2017-01-10")))
    for month in range(2, 13):
        await empty.run(f"2017-{month:02d}-01")
    await empty.run("2018-01-01")
    assert [row[1] for row in await empty.movements()] == ["2017-02", "2017-03", "2017-04"]
    await empty.run("2018-02-01")
    await empty.run("2018-03-01")
    await empty.post(charge("2", "A", 100, at("2017-12-31")))
    await empty.run("2018-03-02")
    assert [(row[1], row[4]) for row in await empty.movements()][3:] == [("2018-01", 1), ("2018-02", 2)]
    await empty.post(charge("3", "A", 7, at("2017-02-01")))
    await empty.run("2018-03-03")
    assert [row[1:] for row in await empty.movements()] == [
        ("2017-02", 1, "zero_month", 1, "withdrawn"),
        ("2017-03", 1, "zero_month", 2, "withdrawn"),
        ("2017-03", 2, "zero_month", 1, "open"),
        ("2017-04", 1, "zero_month", 3, "withdrawn"),
        ("2017-04", 2, "zero_month", 2, "open"),
        ("2017-05", 1, "zero_month", 3, "open"),
        ("2018-01", 1, "zero_month", 1, "open"),
        ("2018-02", 1, "zero_month", 2, "open"),
    ]


async def test_both_accounts_are_judged_where_a_charge_moved(world: World) -> None:
    await world.open(account("A"), account("B"))
    await world.post(charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 1000, at("2018-02-10")))
    await world.post(charge("3", "B", 1000, at("2018-01-10")), charge("4", "B", 400, at("2018-02-10")))
    await world.run("2018-02-01")
    await world.run("2018-03-01")
    assert [row[0] for row in await world.movements()] == ["B"]
    await world.post(charge("2", "B", 1000, at("2018-02-10"), version=2))
    await world.run("2018-03-02")
    assert await world.movements() == [
        ("A", "2018-02", 1, "zero_month", 1, "open"),
        ("B", "2018-02", 1, "fall_over_half", None, "withdrawn"),
    ]


async def test_a_running_month_is_not_judged_and_marks_are_used_up(world: World) -> None:
    await _fell(world)
    await world.post(charge("9", "A", 1, at("2018-03-02")), charge("3", "A", 1, at("2018-01-02")))
    assert len(await world.rows("SELECT * FROM dirty_marks")) == 1
    await world.run("2018-03-05")
    assert await world.rows("SELECT * FROM dirty_marks") == []
    assert await world.movements(("previous_fen", "version")) == [(1001, 2)]
    await world.run("2018-03-06")
    assert await world.movements(("previous_fen", "version")) == [(1001, 2)]


async def test_on_the_first_the_marks_are_judged_after_the_close_with_the_tier_it_decided(world: World) -> None:
    await world.open(account("A"))
    await world.post(
        charge("1", "A", 1000, at("2018-01-10")), charge("2", "A", 900, at("2018-02-10")), charge("3", "A", 800, at("2018-03-10"))
    )
    for day in ("2018-02-01", "2018-03-01"):
        await world.run(day)
    await world.post(charge("2", "A", 100, at("2018-02-10"), version=2))
    await world.run("2018-04-01")
    (row,) = await world.rows("SELECT to_char(month, 'YYYY-MM') AS month, service_tier, detected_at FROM movements")
    assert row == {"month": "2018-02", "service_tier": "vip", "detected_at": at("2018-04-01", "00:30:00")}


def _stream(seed: int) -> list[tuple[str, list[FreightCharged]]]:
    """Days with the charges published before each: late ones, corrections, moves between accounts."""
    rnd = random.Random(seed)
    days = [f"2018-{month:02d}-{day:02d}" for month in (2, 3, 4, 5, 6) for day in (1, 2, 15)]
    stream, known = [], []
    for number, day in enumerate(days):
        published = []
        for n in range(12):
            version, charge_no = 1, f"C{number}-{n}"
            if known and rnd.random() < 0.4:
                charge_no, version = rnd.choice(known), 2 + number
            known.append(charge_no)
            month = rnd.randrange(1, int(day[5:7]))
            published.append(
                charge(
                    charge_no,
                    f"A{rnd.randrange(5)}",
                    rnd.choice((0, 50, 100, 100, 400)),
                    at(f"2018-{month:02d}-1{n % 9}"),
                    version,
                )
            )
        unique = {(event.charge_no, event.version): event for event in published}
        stream.append((day, list(unique.values())))
    return stream


async def _digest(world: World, seed: int, order: int, size: int) -> Any:
    for day, charges in _stream(seed):
        rnd = random.Random(order * 1000 + int(day[5:7]))
        shuffled = charges + rnd.sample(charges, k=len(charges) // 4)
        if order:
            rnd.shuffle(shuffled)
        for start in range(0, len(shuffled), size):
            assert await world.post(*shuffled[start : start + size]) == []
        await world.run(day)
    columns = (*COLUMNS, "movement_id", "decision_id", "detected_at", "judged_at", "service_tier", "branch_code")
    events = [e for e in await world.events() if e["type"].startswith("tiering.movement")]
    tiers = await world.rows("SELECT decision_id, sum_fen, rank, service_tier, grade FROM decisions ORDER BY month, account_no")
    return await world.movements(columns), sorted(map(json.dumps, events)), tiers


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.row("T-22", "T-23")
async def test_order_batch_and_repeats_change_no_revision(tiering: Database, empty: World, seed: int) -> None:
    found = []
    for order, size in ((0, 1000), (0, 1), (1, 5), (2, 50)):
        await wipe(tiering)
        world = World(tiering)
        await world.begin(at("2018-01-01", "00:00:00"))
        await world.open(*(account(f"A{n}") for n in range(5)))
        found.append(await _digest(world, seed, order, size))
    assert found[0] == found[1] == found[2] == found[3]
    movements, events, _ = found[0]
    assert {row[5] for row in movements} == {"open", "withdrawn"}
    assert {row[6] for row in movements} == {None, "restated", "no_longer_true"}
    assert len(events) > len(movements)
