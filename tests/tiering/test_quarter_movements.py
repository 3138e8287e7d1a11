"""Quarterly movements: the plain rule at its boundaries, and the close that says the same for random worlds."""

import json
import random
from datetime import date
from typing import Any

import pytest

from services.tiering.matrix import Place, responsible_for
from services.tiering.policies.document import shipped
from services.tiering.quarter_movements import list_quarter_movements
from services.tiering.quarter_rules import Compared, QuarterNumbers, Shown, by_ratio, quarter_movements
from shared.events.tiering import QuarterMovementDetected
from shared.ids import natural_id
from shared.paging import PageRequest
from tests.tiering.make import World, account, at, charge

NUMBERS = QuarterNumbers(1, 4, 20, 20)
DAY = date(2017, 1, 1)


def one(name: str, previous: int, current: int, before: bool = False, opened: date = DAY, branch: str | None = "B1") -> Compared:
    return Compared(name, opened, branch, previous, current, before)


def kinds(*accounts: Compared) -> dict[str, tuple[str, int | None]]:
    return {name: tuple(shown) for name, shown in quarter_movements(accounts, NUMBERS).items()}  # type: ignore[misc]


@pytest.mark.row("T-26")
@pytest.mark.parametrize(
    ("previous", "current", "kind"),
    [
        (100, 120, "rise"), (100, 119, None), (100, 80, "fall"), (100, 81, None), (5, 6, "rise"), (6, 7, None), (5, 4, "fall"),
        (6, 5, None), (3, 0, "fall"), (10**15, 12 * 10**14, "rise"), (10**15, 12 * 10**14 - 1, None),
    ],
)  # fmt: skip
def test_exactly_20_percent_counts_on_both_sides(previous: int, current: int, kind: str | None) -> None:
    assert by_ratio(previous, current, NUMBERS) == kind


@pytest.mark.row("T-24", "T-25", "T-26")
def test_one_riser_and_four_decliners_by_yuan_the_rest_by_ratio() -> None:
    found = kinds(
        one("R1", 1000, 1150), one("R2", 100, 249), one("R3", 700, 840), one("R4", 700, 839),
        one("F1", 900, 400), one("F2", 9000, 8600), one("F3", 300, 0), one("F4", 1000, 800), one("F5", 100, 80),
        one("F6", 100, 81),
    )  # fmt: skip
    assert found == {
        "R1": ("riser", 1), "R2": ("rise", None), "R3": ("rise", None),
        "F1": ("decliner", 1), "F2": ("decliner", 2), "F3": ("decliner", 3), "F4": ("decliner", 4), "F5": ("fall", None),
    }  # fmt: skip


@pytest.mark.row("T-25")
def test_a_tie_at_place_4_goes_to_the_longer_tenure_then_to_the_number() -> None:
    newer = date(2017, 1, 2)
    tied = [one(f"D{n}", 1000, 990, opened=newer) for n in range(5)]
    assert kinds(*tied) == {f"D{n}": ("decliner", n + 1) for n in range(4)}
    assert kinds(*tied, one("Z", 1000, 990)) == {"Z": ("decliner", 1)} | {f"D{n}": ("decliner", n + 2) for n in range(3)}
    assert kinds(one("a", 5, 9), one("B", 5, 9)) == {"B": ("riser", 1), "a": ("rise", None)}


@pytest.mark.row("T-24", "T-26")
def test_a_base_of_0_is_resumed_or_new_and_competes_for_nothing() -> None:
    found = kinds(one("N", 0, 10_000), one("S", 0, 9_000, before=True), one("R", 100, 101), one("O", 0, 0, before=True))
    assert found == {"S": ("resumed", None), "R": ("riser", 1)}


@pytest.mark.row("T-24", "T-25")
def test_there_is_none_where_there_is_none_and_each_branch_has_its_own() -> None:
    assert kinds(one("A", 100, 100), one("B", 0, 0)) == {}
    found = kinds(one("A", 100, 99), one("B", 100, 98, branch="B2"), one("C", 100, 0, branch=None))
    assert found == {"A": ("decliner", 1), "B": ("decliner", 1)}


async def rows(world: World, quarter: str) -> dict[str, dict[str, Any]]:
    found = await world.rows("SELECT * FROM quarter_movements WHERE quarter = :quarter", quarter=date.fromisoformat(quarter))
    return {row["account_no"]: row for row in found}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.row("T-24", "T-25", "T-26", "T-27")
async def test_the_statement_finds_what_the_plain_rule_says(world: World, seed: int) -> None:
    """Ties, exact 20 %, pauses, zero bases, edges of quarters, late openings, no branch: SQL against `quarter_rules` for two."""
    rnd = random.Random(seed)
    branches = ("B1", "B1", "B2", "B3", None)
    states, amounts = {}, {}
    for n in range(140):
        name = f"A{n:03d}"
        states[name] = (rnd.choice(branches), rnd.choice(("2016-05-01", "2016-05-02", "2018-03-31", "2018-04-01", "2018-06-30")))
        for month in ("2017-09", "2017-10", "2018-01", "2018-06"):
            if rnd.random() < 0.7:
                amounts[name, month] = rnd.choice((0, 80, 81, 100, 100, 119, 120, 1_000, rnd.randrange(3_000)))
    await world.open(*(account(name, branch, opened) for name, (branch, opened) in states.items()))
    await world.post(*(charge(f"{a}{m}", a, fen, at(f"{m}-09")) for (a, m), fen in amounts.items()))
    await world.run("2018-07-01")
    for quarter, base, current, earlier, end in (
        ("2018-01-01", "2017-10", "2018-01", ("2017-09",), "2018-03-31"),
        ("2018-04-01", "2018-01", "2018-06", ("2017-09", "2017-10"), "2018-06-30"),
    ):
        compared = [
            Compared(
                name, date.fromisoformat(opened), branch, amounts.get((name, base), 0), amounts.get((name, current), 0),
                any(amounts.get((name, month), 0) > 0 for month in earlier),
            )
            for name, (branch, opened) in states.items() if opened <= end
        ]  # fmt: skip
        expected = quarter_movements(compared, NUMBERS)
        found = await rows(world, quarter)
        assert {name: Shown(row["kind"], row["place"]) for name, row in found.items()} == expected
        assert {shown.kind for shown in expected.values()} == {"riser", "decliner", "rise", "fall", "resumed"}
        for one_judged in compared:
            if one_judged.account_no in found:
                row = found[one_judged.account_no]
                assert (row["previous_fen"], row["current_fen"]) == (one_judged.previous_fen, one_judged.current_fen)


async def quarter_of_falls(world: World, **rules: Any) -> None:
    """V is VIP and rises most, to exactly 3,000 yuan a month; K falls most, a fen below; G falls at O1 by 20 %; S is back."""
    await world.publish("2018-one", "2018-01-01", tiers={"vip_top_n": 1, "key_top_n": 1}, quarter={"decliner_n": 1, **rules})
    await world.open(account("V"), account("K"), account("G", outlet="O1"), account("S"))
    before = {"V": 500_000, "K": 1_500_000, "G": 500}
    now = {"V": 900_000, "K": 899_999, "G": 400, "S": 700}
    await world.post(
        charge("s0", "S", 5, at("2017-08-01")),
        *(charge(f"b{name}", name, fen, at("2017-11-01")) for name, fen in before.items()),
        *(charge(f"n{name}", name, fen, at("2018-01-01")) for name, fen in now.items()),
    )
    await world.run("2018-04-01")


@pytest.mark.row("T-15", "T-31", "T-32", "T-33", "T-34", "T-35", "T-36")
async def test_each_movement_names_who_answers_for_it_and_is_told_once(world: World) -> None:
    await quarter_of_falls(world)
    found = await rows(world, "2018-01-01")
    names = ("kind", "place", "service_tier", "responsible_role", "responsible_unit", "in_person", "assist", "priority")
    care = [{"role": "care_rep", "unit_code": "B1"}]
    assert {account_no: tuple(row[name] for name in names) for account_no, row in found.items()} == {
        "V": ("riser", 1, "vip", "branch_manager", "B1", False, [], True),
        "K": ("decliner", 1, "key", "branch_manager", "B1", False, [], False),
        "G": ("fall", None, "general", "outlet_staff", "O1", False, care, False),
        "S": ("resumed", None, "general", "outlet_staff", "B1", False, care, False),
    }
    told = await world.rows("SELECT key, event_id, data FROM outbox WHERE type = :type", type=QuarterMovementDetected.TYPE)
    assert len(told) == 4
    for row in told:
        event = QuarterMovementDetected.model_validate_json(row["data"])
        assert (row["event_id"], row["key"]) == (event.event_id, event.account_no)
        assert json.loads(event.to_bytes()) == json.loads(row["data"])
        assert event.movement_id == natural_id("quarter-movement", event.account_no, "2018-Q1")
        stored = found[event.account_no]
        assert (event.role, event.unit_code) == (stored["responsible_role"], stored["responsible_unit"])


@pytest.mark.row("T-15")
async def test_a_monthly_movement_is_maintained_first_by_the_average_of_the_newest_decided_quarter(world: World) -> None:
    await world.open(*(account(name) for name in "PQR"))
    await world.post(
        *(charge(f"P{month}", "P", 300_000, at(f"2018-0{month}-10")) for month in (1, 2, 3)),
        charge("Q", "Q", 899_999, at("2018-03-10")), charge("R", "R", 5_000_000, at("2017-12-10")),
        charge("R3", "R", 800_000, at("2018-03-10")),
    )  # fmt: skip
    await world.run("2018-04-01")
    await world.run("2018-05-01")
    found = await world.rows("SELECT account_no, priority FROM movements WHERE month = '2018-04-01' ORDER BY 1")
    assert [tuple(row.values()) for row in found] == [("P", True), ("Q", False), ("R", False)]


@pytest.mark.row("T-31", "T-32", "T-33")
async def test_a_monthly_movement_names_who_answers_for_it_by_its_tier(world: World) -> None:
    await world.publish("2018-one", "2018-01-01", tiers={"vip_top_n": 1, "key_top_n": 1})
    await world.open(account("G", outlet="O1"), account("K"), account("V"), account("X", None))
    amounts = {"G": 500, "K": 800, "V": 900, "X": 500}
    await world.post(*(charge(name, name, fen, at("2018-03-10")) for name, fen in amounts.items()))
    await world.run("2018-04-01")
    await world.run("2018-05-01")
    found = await world.rows("SELECT account_no, responsible_role, responsible_unit, in_person, assist FROM movements ORDER BY 1")
    assert [tuple(row.values()) for row in found] == [
        ("G", "outlet_staff", "O1", False, [{"role": "care_rep", "unit_code": "B1"}]),
        ("K", "branch_manager", "B1", True, []),
        ("V", "district_head", "D1", False, []),
        ("X", "outlet_staff", "HQ", False, [{"role": "care_rep", "unit_code": "HQ"}]),
    ]
    told = await world.events("tiering.movement-detected.v1")
    assert [(one["account_no"], one["role"], one["unit_code"], one["in_person"], one["assist"]) for one in told] == [
        tuple(row.values()) for row in found
    ]


@pytest.mark.row("T-31")
async def test_a_district_may_name_who_assists_its_head(world: World) -> None:
    rows_of = [
        {"scope": "tier", "tier": "vip", "role": "district_head", "level": "district",
         "assist": [{"role": "planning", "level": "hq"}]},
        {"scope": "tier", "tier": "key", "role": "branch_manager", "level": "branch", "in_person": True},
        {"scope": "tier", "tier": "general", "role": "outlet_staff", "level": "outlet"},
    ]  # fmt: skip
    await world.publish("D1-own", "2018-01-01", unit="D1", responsibility=rows_of)
    await world.open(account("A"), account("B", "B3"))
    await world.post(charge("1", "A", 500, at("2018-03-10")), charge("2", "B", 500, at("2018-03-10")))
    await world.run("2018-04-01")
    await world.run("2018-05-01")
    found = await world.rows("SELECT account_no, responsible_role, responsible_unit, assist FROM movements ORDER BY 1")
    assert [tuple(row.values()) for row in found] == [
        ("A", "district_head", "D1", [{"role": "planning", "unit_code": "HQ"}]), ("B", "district_head", "D2", []),
    ]  # fmt: skip


@pytest.mark.row("T-31", "T-32", "T-33", "T-34", "T-35")
def test_the_matrix_names_role_unit_and_helpers() -> None:
    matrix, place = shipped("2008-new").responsibility, Place("D1", "B1", "O1")
    named = {what: responsible_for(matrix, what, None, place, "HQ") for what in ("vip", "key", "general")}
    assert {what: (one.role, one.unit_code, one.in_person) for what, one in named.items()} == {
        "vip": ("district_head", "D1", False), "key": ("branch_manager", "B1", True), "general": ("outlet_staff", "O1", False),
    }  # fmt: skip
    assert named["general"].assist == (("care_rep", "B1"),)
    for kind in ("riser", "decliner"):
        assert responsible_for(matrix, "vip", kind, place, "HQ") == ("branch_manager", "B1", False, ())
    for kind in ("rise", "fall", "resumed"):
        assert responsible_for(matrix, "vip", kind, place, "HQ") == ("outlet_staff", "O1", False, (("care_rep", "B1"),))
    nowhere = Place(None, None, None)
    assert [responsible_for(matrix, what, None, nowhere, "HQ").unit_code for what in ("vip", "key", "general")] == ["HQ"] * 3


@pytest.mark.row("T-25")
async def test_what_was_decided_stays_when_a_charge_comes_late(world: World) -> None:
    await quarter_of_falls(world)
    before = await rows(world, "2018-01-01")
    await world.post(charge("late", "G", 100, at("2018-02-02")))
    await world.run("2018-04-02")
    assert await rows(world, "2018-01-01") == before
    (late,) = await world.rows(
        "SELECT account_no, month::text, charge_no, version, change_fen, at FROM restatements WHERE charge_no = 'late'"
    )
    assert late == {
        "account_no": "G", "month": "2018-02-01", "charge_no": "late", "version": 1, "change_fen": 100,
        "at": at("2018-04-01", "00:30:00"),
    }  # fmt: skip


@pytest.mark.row("T-24", "T-25", "T-26")
@pytest.mark.parametrize(
    ("day", "time", "fen", "expected"),
    [
        ("2017-09-30", "23:59:59", 100, None), ("2018-04-01", "00:00:00", 100, None),
        ("2017-10-01", "00:00:00", 100, ("fall", 600, 400)), ("2017-12-31", "23:59:59", 100, ("fall", 600, 400)),
        ("2018-01-01", "00:00:00", 1, (None, 500, 401)), ("2018-03-31", "23:59:59", 1, (None, 500, 401)),
    ],
)  # fmt: skip
async def test_what_today_says_of_a_quarter_counts_both_quarters_from_their_first_instant_to_their_last(
    world: World, day: str, time: str, fen: int, expected: tuple[str | None, int, int] | None
) -> None:
    """G fell from 500 to 400, which is exactly 20 %: one fen more, and it did not."""
    await quarter_of_falls(world)
    await world.post(charge("late", "G", fen, at(day, time)))
    async with world.db.transaction() as session:
        listed = await list_quarter_movements(session, "HQ", PageRequest())
    changed = {item["account_no"]: item["restated"] for item in listed["items"] if item["restated"] is not None}
    assert changed == (
        {"G": dict(zip(("kind", "place", "previous_fen", "current_fen"), (expected[0], None, *expected[1:]), strict=True))}
        if expected
        else {}
    )


@pytest.mark.row("T-27")
async def test_a_policy_without_the_quarterly_rules_finds_none(world: World) -> None:
    await quarter_of_falls(world, judged=False)
    assert await world.movements(), "the monthly rules go on"
    assert await rows(world, "2018-01-01") == {}
    assert await world.events(QuarterMovementDetected.TYPE) == []


@pytest.mark.row("T-27")
async def test_a_policy_without_the_monthly_rules_finds_the_quarterly_movements_only(world: World) -> None:
    await world.publish("2018-quarterly", "2018-01-01", movements={"judged": False})
    await world.open(account("STOPS"), account("FALLS"))
    for name, months in (("STOPS", {"2017-12": 100, "2018-01": 300}), ("FALLS", {"2018-01": 100, "2018-02": 1, "2018-03": 1})):
        await world.post(*(charge(f"{name}{month}", name, fen, at(f"{month}-10")) for month, fen in months.items()))
    await world.run("2018-04-01")
    assert await world.movements() == []
    assert {name: row["kind"] for name, row in (await rows(world, "2018-01-01")).items()} == {"STOPS": "riser"}
