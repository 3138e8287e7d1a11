"""The radar: raised days before the month ends, cleared by a charge, measured against the movements that came."""

import random
from datetime import date, timedelta
from typing import Any

import pytest

from services.tiering import radar
from services.tiering.policies.document import Radar
from services.tiering.season import share
from tests.tiering.make import World, account, at, charge
from tests.tiering.test_routes import Desk
from tests.tiering.test_standing import desk

__all__ = ["desk"]
RULES = Radar()
SEASONS = "SELECT unit_code, season FROM branch_seasons WHERE month = '2018-03-01'"


def days(first: str, last: str) -> list[date]:
    start = date.fromisoformat(first)
    return [start + timedelta(days=n) for n in range((date.fromisoformat(last) - start).days + 1)]


async def daily(world: World, account_no: str, first: str, last: str, fen: int = 1000) -> None:
    await world.post(
        *(charge(f"{account_no}-{day}", account_no, fen, at(day.isoformat(), "10:00:00")) for day in days(first, last))
    )


@pytest.fixture
async def march(world: World) -> World:
    """Three accounts that ship every day; in March two go on for a week only, and one of those comes back."""
    await world.open(account("GOES-ON"), account("STOPS"), account("BACK"), account("EMPTY", "B3"))
    for name in ("GOES-ON", "STOPS", "BACK", "EMPTY"):
        await daily(world, name, "2018-01-01", "2018-02-28")
    await world.run_days("2018-01-02", "2018-03-01")
    await daily(world, "GOES-ON", "2018-03-01", "2018-03-31")
    for name in ("STOPS", "BACK"):
        await daily(world, name, "2018-03-01", "2018-03-05")
    return world


async def alerts(world: World, rule: str = "season") -> dict[str, dict[str, Any]]:
    rows = await world.rows(
        "SELECT * FROM radar_alerts WHERE month = '2018-03-01' AND rule = :rule ORDER BY account_no", rule=rule
    )
    return {row["account_no"]: row for row in rows}


@pytest.mark.row("T-29")
async def test_who_stopped_is_seen_long_before_the_month_ends(march: World, desk: Desk) -> None:
    await march.run_days("2018-03-02", "2018-03-20")
    found = await alerts(march)
    assert set(found) == {"STOPS", "BACK", "EMPTY"}
    assert [found[name]["kind"] for name in found] == ["fall_over_half", "zero_month", "fall_over_half"]
    assert found["STOPS"]["raised_on"] <= date(2018, 3, 20)
    assert found["EMPTY"]["raised_on"] <= date(2018, 3, 13), "no freight at all is said as soon as a third of the month was due"
    raised = await march.events("tiering.radar-raised.v1")
    assert sorted(event["account_no"] for event in raised) == ["BACK", "EMPTY", "STOPS"]

    back = await desk.items("/v1/radar?month=2018-03")
    assert [(item["account_no"], item["state"]) for item in back] == [("BACK", "open"), ("EMPTY", "open"), ("STOPS", "open")]
    missing = found["BACK"]["clear_from_fen"] - found["BACK"]["to_date_fen"]
    await march.post(charge("near", "BACK", missing - 1, at("2018-03-20")))
    assert [item["account_no"] for item in await desk.items("/v1/radar?month=2018-03&state=cleared")] == []
    await march.post(charge("enough", "BACK", 1, at("2018-03-20")))
    assert [item["account_no"] for item in await desk.items("/v1/radar?month=2018-03&state=cleared")] == ["BACK"]
    assert (await alerts(march))["BACK"]["state"] == "open", "the record follows in the morning"
    await march.post(charge("more", "BACK", 20_000, at("2018-03-20")))
    await march.run("2018-03-21")
    assert (await alerts(march))["BACK"]["state"] == "cleared"
    assert [event["account_no"] for event in await march.events("tiering.radar-cleared.v1")] == ["BACK"]
    assert [item["account_no"] for item in await desk.items("/v1/radar?month=2018-03", "branch_manager", "B3")] == ["EMPTY"]
    assert await desk.get("/v1/radar?unit=B1", "branch_manager", "B3") == 404


@pytest.mark.row("T-29")
async def test_nothing_is_raised_in_the_last_days_and_nothing_twice(march: World) -> None:
    await march.run_days("2018-03-02", "2018-03-20")
    before = await alerts(march)
    await march.run("2018-03-20", "12:00:00")
    assert {name: row["version"] for name, row in (await alerts(march)).items()} == {
        name: row["version"] for name, row in before.items()
    }
    await march.run_days("2018-03-21", "2018-03-28")
    await march.rows("UPDATE radar_alerts SET state = 'cleared' RETURNING 1")
    await march.run("2018-03-29")
    again = await march.rows("SELECT account_no FROM radar_alerts WHERE rule = 'season' AND state = 'open'")
    assert {row["account_no"] for row in again} == set(before), "three days are left: there is still time to warn"
    count = len(await march.rows("SELECT 1 FROM radar_alerts"))
    await march.rows("UPDATE radar_alerts SET state = 'cleared' RETURNING 1")
    await march.run("2018-03-30")
    assert {row["state"] for row in await march.rows("SELECT state FROM radar_alerts WHERE rule = 'season'")} == {"cleared"}
    assert len(await march.rows("SELECT 1 FROM radar_alerts")) == count, "two days are left: too late to warn"


@pytest.mark.row("T-29", "X-45")
async def test_the_statement_judges_what_the_plain_rule_says(world: World) -> None:
    chance = random.Random(3)
    names = [f"A{n:02}" for n in range(40)]
    await world.open(*(account(name, chance.choice(["B1", "B3"])) for name in names))
    for name in names:
        for month in (1, 2):
            fen = chance.choice([0, 3_000, 40_000, 900_000])
            await world.post(
                *(charge(f"{name}-{month}-{n}", name, fen // 10, at(f"2018-0{month}-{2 * n + 1:02}")) for n in range(10))
            )
    await world.run_days("2018-01-02", "2018-03-01")
    for name in names:
        for n in range(chance.randrange(4)):
            await world.post(charge(f"{name}-3-{n}", name, chance.choice([1, 2_000, 90_000]), at(f"2018-03-0{n + 1}")))
    await world.run("2018-03-16")
    season = await world.rows(SEASONS)
    learnt = {row["unit_code"]: radar.season.Season.of(row["season"]) for row in season}
    rows = await world.rows(
        "SELECT b.*, a.branch_code, coalesce(t.amount_fen, 0) AS now FROM month_baselines b JOIN accounts a USING (account_no) "
        "LEFT JOIN month_totals t ON t.account_no = b.account_no AND t.month = b.month WHERE b.month = '2018-03-01'"
    )
    assert all(learnt[unit].learnt for unit in ("B1", "B3")), "two months of days teach a branch's season"
    assert {row["basis"] for row in rows} == {"branch"}
    weights = radar.season.lead_weights(date(2018, 3, 1), date(2018, 3, 15))
    found = await alerts(world)
    expected = {}
    for row in rows:
        part = share(date(2018, 3, 1), date(2018, 3, 15), learnt[row["branch_code"]])
        part = min(1, max(0.001, part + sum(a * b for a, b in zip(row["leads"], weights, strict=True))))
        course = radar.judge(row["previous_fen"], row["now"], row["expected_fen"], row["expected_charges"], part, RULES)
        if course.kind is not None:
            expected[row["account_no"]] = tuple(course)
    assert len(expected) >= 5
    names_of = ("projected_fen", "clear_from_fen", "kind", "season_explained")
    assert {name: tuple(row[one] for one in names_of) for name, row in found.items()} == expected


@pytest.mark.row("T-29", "X-45")
async def test_the_statement_judges_at_the_boundaries_as_the_plain_rule_does(march: World) -> None:
    """A fall that the season lets expect, the amount from which all is well, a fall that the season explains: each to the fen."""
    rules = Radar(least_charges=5)
    await march.publish("2018-counted", "2018-03-01", radar={"least_charges": 5})
    seasons = {row["unit_code"]: row["season"] for row in await march.rows(SEASONS)}
    fen = {"GOES-ON": 31_000, "STOPS": 5_000, "BACK": 5_000, "EMPTY": 0}

    def course(name: str, previous: int, expected: int, charges: int, day: int, to_date: int | None = None) -> radar.Course:
        learnt = radar.season.Season.of(seasons["B3" if name == "EMPTY" else "B1"])
        part = share(date(2018, 3, 1), date(2018, 3, day - 1), learnt)
        return radar.judge(previous, fen[name] if to_date is None else to_date, expected, charges, part, rules)

    async def judged(baselines: dict[str, tuple[int, int, int]], day: int, to_date: dict[str, int]) -> None:
        for name, (previous, expected, charges) in baselines.items():
            await march.rows(
                "UPDATE month_baselines SET previous_fen = :p, expected_fen = :e, expected_charges = :c, leads = '{0,0,0}' "
                "WHERE month = '2018-03-01' AND account_no = :name RETURNING 1", p=previous, e=expected, c=charges, name=name,
            )  # fmt: skip
        for name, wanted in to_date.items():
            await march.post(charge(f"{name}-to-{day}", name, wanted - fen[name], at("2018-03-06")))
            fen[name] = wanted
        await march.run(f"2018-03-{day}")
        found = await alerts(march)
        for name, baseline in baselines.items():
            wanted_course = course(name, *baseline, day)
            row = found.get(name)
            assert (row is not None and row["state"] == "open") == (wanted_course.kind is not None), name
            if row is not None and wanted_course.kind is not None:
                assert [row[one] for one in wanted_course._fields] == list(wanted_course), name

    whole = (400_000, 400_000, 31)
    clear = {name: course(name, *whole, 20).clear_from_fen for name in ("GOES-ON", "EMPTY")}
    baselines = {"STOPS": (60_000, 30_000, 7), "BACK": (60_000, 29_999, 3), "GOES-ON": whole, "EMPTY": whole}
    await judged(baselines, 20, {"GOES-ON": clear["GOES-ON"], "EMPTY": clear["EMPTY"] - 1})
    assert {name for name, row in (await alerts(march)).items() if row["state"] == "open"} == {"BACK", "EMPTY"}
    seasonal = (100_000, 30_000, 31)
    for day, projected in ((21, 14_999), (22, 15_000)):
        to_date = next(n for n in range(5_000, 15_000) if course("BACK", *seasonal, day, n).projected_fen >= projected)
        assert course("BACK", *seasonal, day, to_date).projected_fen == projected
        await judged({"BACK": seasonal}, day, {"BACK": to_date})
        assert (await alerts(march))["BACK"]["season_explained"] == (projected == 15_000), "exactly half of what was expected"


@pytest.mark.row("T-29")
async def test_an_account_in_no_branch_is_judged_by_the_shared_calendar(world: World) -> None:
    """The first months of a service whose accounts are not placed yet: nothing teaches a season, and every morning runs."""
    await daily(world, "NOWHERE", "2018-01-01", "2018-01-31")
    await world.run_days("2018-02-01", "2018-02-03")
    await world.run("2018-02-20")
    (row,) = await world.rows("SELECT kind, basis, branch_code, unit_code FROM radar_alerts WHERE rule = 'season'")
    assert row == {"kind": "zero_month", "basis": "calendar", "branch_code": None, "unit_code": "HQ"}


@pytest.mark.row("T-29")
def test_judging_at_the_boundaries() -> None:
    half = radar.judge(31_000, 0, 31_000, 31, 0.5, RULES)
    assert half.kind == "zero_month"
    clear = half.clear_from_fen
    assert radar.judge(31_000, clear, 31_000, 31, 0.5, RULES).kind is None
    assert radar.judge(31_000, clear - 1, 31_000, 31, 0.5, RULES).kind == "fall_over_half"
    assert radar.judge(31_000, 0, 31_000, 31, 0.29, RULES).kind is None, "too early"
    surer = Radar(from_probability_percent=90)
    assert radar.judge(31_000, 0, 31_000, 2, 0.45, RULES).kind is None, "two parcels may well be late"
    assert radar.judge(31_000, 0, 31_000, 2, 0.5, RULES).kind == "zero_month", "by the middle of the month they are missing"
    assert radar.judge(31_000, 0, 31_000, 2, 0.5, surer).kind is None
    assert radar.judge(31_000, 0, 31_000, 2, 0.8, surer).kind == "zero_month"
    needed = [radar.judge(31_000, 0, 31_000, charges, 0.5, RULES).clear_from_fen for charges in (1, 2, 5, 31, 1_000)]
    assert needed == sorted(needed), "the fewer the charges, the more is left to chance"
    assert radar.judge(31_000, 0, 31_000, 2, 0.8, Radar(least_charges=2)).kind is None
    assert radar.judge(0, 0, 0, 0, 0.5, RULES).kind is None
    by_season = radar.judge(100_000, 10_000, 30_000, 2, 0.5, RULES)
    assert (by_season.kind, by_season.season_explained) == ("fall_over_half", True), "marked, never hidden"
    counted = Radar(least_charges=5)
    assert radar.judge(100_000, 10_000, 30_000, 2, 0.5, counted).kind == "fall_over_half", "the season lets expect it"
    assert radar.judge(100_000, 10_000, 60_000, 2, 0.5, counted).kind is None, "one charge was due, five are asked for"
    assert radar.judge(31_000, 15_500, 31_000, 31, 1.0, RULES).kind is None, "exactly half is no fall"
    assert radar.judge(31_000, 15_499, 31_000, 31, 1.0, RULES).kind == "fall_over_half"


@pytest.mark.row("T-29")
async def test_what_the_radar_was_worth(march: World, desk: Desk) -> None:
    await march.run_days("2018-03-02", "2018-03-19")
    await march.post(charge("big", "BACK", 26_000, at("2018-03-19")))
    await march.run_days("2018-03-20", "2018-04-01")
    quality = await desk.get("/v1/radar/quality?from=2018-03&to=2018-03")
    assert (quality["months"], quality["judged"], quality["movements"]) == (1, 4, 2)
    of_season = quality["rules"][0]
    assert (of_season["rule"], of_season["raised"], of_season["hits"]) == ("season", 3, 2), "BACK was a false alarm"
    assert (of_season["precision"], of_season["recall"], of_season["lift"]) == (0.6667, 1.0, 1.33)
    assert of_season["median_lead_days"] >= 12
    assert [quality["rules"][2][name] for name in ("rule", "raised", "precision", "recall")] == ["last_months_fall", 0, None, 0]
    nothing = await desk.get("/v1/radar/quality?from=2019-03&to=2019-03")
    assert (nothing["months"], nothing["rules"][0]["recall"]) == (0, None)
    assert await desk.get("/v1/radar/quality?from=2018-04&to=2018-03") == 422


@pytest.mark.row("X-45", "T-28")
async def test_a_fall_that_the_season_explains_says_so(world: World, desk: Desk) -> None:
    """FESTIVE halves whenever the festival comes, FALLEN does so without a precedent; both movements stay."""
    await world.open(account("FESTIVE", opened_on="2015-01-01"), account("FALLEN", opened_on="2015-01-01"))
    for month in [date(2016 + n // 12, n % 12 + 1, 1) for n in range(25)]:
        low = month in {date(2016, 2, 1), date(2017, 2, 1)}
        for name in ("FESTIVE", "FALLEN"):
            fen = 30_000 if low and name == "FESTIVE" else 100_000
            await world.post(charge(f"{name}-{month}", name, fen, at(month.isoformat())))
    for name in ("FESTIVE", "FALLEN"):
        await world.post(charge(f"{name}-now", name, 30_000, at("2018-02-01")))
    await world.run("2018-02-01")
    await world.run("2018-03-01")
    rows = await world.rows(
        "SELECT m.account_no, m.kind, r.season_explained, r.basis, r.expected_fen FROM movements m "
        "JOIN movement_readings r USING (movement_id) WHERE m.month = '2018-02-01' ORDER BY 1"
    )
    assert [(row["account_no"], row["season_explained"], row["basis"]) for row in rows] == [
        ("FALLEN", False, "own"), ("FESTIVE", True, "own"),
    ]  # fmt: skip
    by_season = await world.rows(
        "SELECT account_no, evidence FROM movement_causes WHERE cause = 'season' AND month = '2018-02-01'"
    )
    assert [(row["account_no"], row["evidence"]["current_fen"]) for row in by_season] == [("FESTIVE", 30_000)]
    items = await desk.items("/v1/movements?month=2018-02")
    assert [(item["account_no"], item["season_explained"], item["season_expected_fen"]) for item in items] == [
        (row["account_no"], row["season_explained"], row["expected_fen"]) for row in rows
    ]
