"""Bands, high and low end, focus, entitlements, milestones and prospects: the plain rules, and the close that says the same."""

import random
from datetime import date
from typing import Any

import pytest

from services.tiering import axes, entitlements, prospects
from services.tiering.axes import EntitlementRules, Shipper
from shared.events.tiering import TiersChanged
from shared.ids import natural_id
from shared.paging import PageRequest
from tests.tiering.make import World, account, at, charge, moved

RULES = EntitlementRules(("vip",), ("vip",), 500_000, {"vip": "vip", "key": "key", "general": "general"})
CLOSES = ("2018-02-01", "2018-03-01", "2018-04-01")


async def decided(world: World, month: str = "2018-03") -> dict[str, dict[str, Any]]:
    rows = await world.rows("SELECT * FROM decisions WHERE month = :month", month=date.fromisoformat(f"{month}-01"))
    return {row["account_no"]: row for row in rows}


@pytest.mark.parametrize(
    ("previous_fen", "current_fen", "said"), [(10_000, 5_000, "50.0"), (10_000, 5_001, "49.9"), (7, 0, "100.0"), (3, 1, "66.6")]
)
def test_a_fall_is_said_in_percent_and_never_larger_than_it_is(previous_fen: int, current_fen: int, said: str) -> None:
    assert axes.fall_text(previous_fen, current_fen) == said


@pytest.mark.row("T-10", "T-11")
@pytest.mark.parametrize(
    ("place", "of", "band"),
    [
        (1, 1, "A"), (1, 2, "A"), (2, 2, "C"), (1, 20, "A"), (2, 20, "B"), (4, 20, "B"), (5, 20, "C"), (1, 21, "A"), (2, 21, "A"),
        (5, 21, "B"), (6, 21, "C"), (5, 100, "A"), (6, 100, "B"), (20, 100, "B"), (21, 100, "C"), (6, 101, "A"), (None, 50, "C"),
    ],
)  # fmt: skip
def test_bands_are_rounded_up_and_cumulative(place: int | None, of: int, band: str) -> None:
    assert axes.band_for(place, of, 5, 20) == band


@pytest.mark.row("T-08")
def test_diamond_and_gold_are_the_high_end() -> None:
    assert [axes.end_for(grade) for grade in ("diamond", "gold", "silver")] == ["high", "high", "low"]


@pytest.mark.row("T-14", "T-15")
def test_focus_compares_the_quarters_sum_with_three_times_3000_yuan() -> None:
    assert [axes.is_focus("general", fen, 300_000) for fen in (900_000, 899_999)] == [True, False]
    assert [axes.is_focus(tier, 900_000, 300_000) for tier in ("vip", "key", None)] == [False, False, False]
    assert [axes.is_priority(fen, 300_000) for fen in (900_000, 899_999)] == [True, False]


@pytest.mark.row("T-16", "T-64")
def test_special_claims_need_the_amount_and_the_area_unless_vip() -> None:
    enough, less = 1_500_000, 1_499_999
    found = {
        (tier, fen, away): axes.entitled(tier, fen, non_insured=away, rules=RULES).special_claims
        for tier in ("vip", "key", "general")
        for fen in (enough, less)
        for away in (True, False)
    }
    assert {key for key, special in found.items() if special} == {
        *(("vip", fen, away) for fen in (enough, less) for away in (True, False)),
        ("key", enough, True),
        ("general", enough, True),
    }
    assert axes.entitled("vip", 0, non_insured=False, rules=RULES) == (True, True, "vip")
    assert axes.entitled("key", 0, non_insured=False, rules=RULES) == (False, False, "key")
    assert axes.entitled(None, 0, non_insured=False, rules=RULES) == (False, False, None)


@pytest.mark.row("C-03")
def test_prospects_ascend_from_star_to_sun_at_2000_and_10000_yuan() -> None:
    amounts = (0, 199_999, 200_000, 999_999, 1_000_000)
    assert [axes.prospect_grade(fen, 200_000, 1_000_000) for fen in amounts] == ["star", "star", "moon", "moon", "sun"]


@pytest.mark.row("C-03")
async def test_a_prospect_is_graded_by_todays_policy_with_the_reason_in_both_languages(world: World) -> None:
    async with world.db.transaction() as session:
        found = await prospects.grade(session, 200_000)
    assert (found["grade"], found["thresholds"]) == ("moon", {"moon_from_fen": 200_000, "sun_from_fen": 1_000_000})
    assert found["explanation"] == [
        "A prospect of 2000.00 yuan a month is a moon: moon from 2000.00, sun from 10000.00 yuan (policy 2008-new)."
    ]
    assert "月亮级" in found["explanation_zh"][0]
    await world.publish("2018-strict", "2018-01-01", grades={"diamond_from_fen": 900, "gold_from_fen": 300})
    async with world.db.transaction() as session:
        assert (await prospects.grade(session, 899))["grade"] == "moon"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.row("T-08", "T-10", "T-11", "T-14", "T-16", "T-64")
async def test_the_close_decides_what_the_plain_rules_say(world: World, seed: int) -> None:
    """Ties, two districts, an outlet and a district without insurance: every account of a quarter's close against `axes`."""
    rnd = random.Random(seed)
    await world.publish("2018-areas", "2018-01-01", tiers={"vip_top_n": 4}, entitlements={"non_insured_units": ["D2", "O1"]})
    places = {"O1": ("B1", "O1"), "B1": ("B1", None), "B2": ("B2", None), "B3": ("B3", None), None: (None, None)}
    states, sums = {}, {}
    for n in range(130):
        name, where = f"A{n:03d}", rnd.choice(list(places))
        states[name] = (where, rnd.choice(("2017-01-01", "2017-01-02")))
        sums[name] = rnd.choice((0, 1, 500, 899_999, 900_000, 1_499_999, 1_500_000, 5_000_000, rnd.randrange(2_000_000)))
    await world.open(
        *(account(name, places[where][0], opened, outlet=places[where][1]) for name, (where, opened) in states.items())
    )
    await world.post(*(charge(name, name, fen, at(f"2018-0{rnd.randrange(1, 4)}-07")) for name, fen in sums.items() if fen))
    await world.run("2018-04-01")
    found = await decided(world)
    district = {"B1": "D1", "B2": "D1", "B3": "D2", None: None}
    ranks = axes.band_places(
        Shipper(name, opened, district[places[where][0]], sums[name]) for name, (where, opened) in states.items()
    )
    for name, (where, _) in states.items():
        row, (place, of) = found[name], ranks.get(name, (None, 0))
        assert (row["band_place"], row["band"]) == (place, axes.band_for(place, of, 5, 20)), name
        assert row["focus_general"] == axes.is_focus(row["service_tier"], sums[name], 300_000)
        expected = axes.entitled(row["service_tier"], sums[name], non_insured=where in {"O1", "B3"}, rules=RULES)
        assert (row["green_channel"], row["special_claims"], row["points_plan"]) == expected
    assert {row["band"] for row in found.values()} == {"A", "B", "C"}
    assert {row["special_claims"] for row in found.values()} == {True, False}
    told = {event["account_no"]: event["contribution_grade"]["end"] for event in await world.events(TiersChanged.TYPE)}
    assert told == {name: axes.end_for(row["grade"]) for name, row in found.items()}
    assert {row["grade"] for row in found.values()} == {"diamond", "gold", "silver"}


async def test_within_a_quarter_nothing_of_the_quarter_is_decided(world: World) -> None:
    await world.open(account("A"))
    await world.post(charge("1", "A", 5_000_000, at("2018-01-10")))
    await world.run("2018-02-01")
    row = (await decided(world, "2018-01"))["A"]
    names = "quarter_fen service_tier band band_place focus_general special_claims green_channel points_plan previous_quarter_fen"
    assert {row[name] for name in names.split()} == {None}
    assert len(row["digest"]) == 32


@pytest.mark.row("T-64", "T-16")
async def test_entitlements_are_told_where_they_changed(world: World) -> None:
    await world.publish("2018-one", "2018-01-01", tiers={"vip_top_n": 1})
    await world.open(account("A"), account("B"), account("C"))
    await world.post(
        charge("1", "A", 900, at("2018-01-10")),
        charge("2", "B", 800, at("2018-01-10")),
        charge("3", "B", 900, at("2018-04-10")),
        charge("4", "C", 500, at("2018-04-10")),
    )
    for month in range(2, 8):
        await world.run(f"2018-{month:02d}-01")
    told = await world.events("tiering.entitlements-changed.v1")
    assert [(e["quarter"], e["account_no"], e["green_channel"], e["special_claims"], e["points_plan"]) for e in told] == [
        ("2018-Q1", "A", True, True, "vip"),
        ("2018-Q1", "B", False, False, "key"),
        ("2018-Q1", "C", False, False, "general"),
        ("2018-Q2", "A", False, False, "general"),
        ("2018-Q2", "B", True, True, "vip"),
        ("2018-Q2", "C", False, False, "key"),
    ]
    assert told[0]["decision_id"] == str(natural_id("decision", "A", "2018-03"))


@pytest.mark.row("T-11")
async def test_a_late_cancellation_leaves_fewer_accounts_to_take_a_share_of(world: World) -> None:
    """Of six accounts the second is B, of five it would be C."""
    fen = {"A": 600, "B": 500, "C": 400, "D": 300, "E": 200, "F": 100}
    await world.open(*(account(name) for name in fen))
    await world.post(*(charge(name, name, amount, at("2018-01-10")) for name, amount in fen.items()))
    await world.run("2018-04-01")

    async def bands() -> dict[str, tuple[str, str | None]]:
        async with world.db.transaction() as session:
            listed = await entitlements.list_bands(session, "HQ", PageRequest())
        return {item["account_no"]: (item["band"], item["restated"]) for item in listed["items"]}

    decided = {"A": ("A", None), "B": ("B", None), **dict.fromkeys("CDEF", ("C", None))}
    around = [("2017-12-31", "23:59:59"), ("2018-04-01", "00:00:00")]
    await world.post(
        charge("late", "A", 1, at("2018-03-31", "23:59:59")),
        *(charge(f"C{n}", "C", 10_000, at(day, time)) for n, (day, time) in enumerate(around)),
    )
    assert await bands() == decided, "the second of six is B still; other quarters do not count"
    await world.post(charge("F", "F", 0, at("2018-01-10"), version=2))
    assert await bands() == decided | {"B": ("B", "C")}


@pytest.mark.row("T-13")
async def test_a_milestone_is_reached_once_and_exactly_10000_yuan_is_enough(world: World) -> None:
    await world.open(account("A"), account("B"), moved("C", ("B3", None, "2017-01-01")))
    await world.post(
        charge("1", "A", 1_000_000, at("2018-01-10")), charge("2", "B", 999_999, at("2018-01-10")),
        charge("3", "A", 2_000_000, at("2018-02-10")), charge("4", "B", 1_000_000, at("2018-03-10")),
        charge("5", "C", 600_000, at("2018-02-10")), charge("6", "C", 600_000, at("2018-03-10")),
    )  # fmt: skip
    await world.run("2018-04-01")
    told = await world.events("tiering.account-reached-milestone.v1")
    assert [(e["account_no"], e["month"], e["amount_fen"], e["branch_code"]) for e in told] == [
        ("A", "2018-01", 1_000_000, "B1"), ("B", "2018-03", 1_000_000, "B1"),
    ]  # fmt: skip
    assert len(await world.rows("SELECT * FROM milestones")) == 2


@pytest.mark.row("T-05")
async def test_the_old_policy_leaves_zero_freight_untiered_and_entitled_to_nothing(world: World) -> None:
    await world.publish("2018-old", "2018-01-01", tiers={"zero_freight_is_general": False})
    await world.open(account("A"), account("Z"), account("N", None))
    await world.post(charge("1", "A", 1, at("2018-01-10")), charge("2", "N", 1, at("2018-01-10")))
    await world.run("2018-04-01")
    found = await decided(world)
    assert [found[name]["service_tier"] for name in "AZN"] == ["vip", None, "general"], "one fen is freight, in a branch or not"
    assert (found["Z"]["points_plan"], found["Z"]["band"], found["Z"]["focus_general"]) == (None, "C", False)
