"""On how few accounts a unit's freight hangs: the top ones, the fewest that bring 80 %, and how those fluctuate."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from services.tiering.concentration import fluctuation
from shared.events.retention import TaskOpened
from tests.tiering.make import World, account, at, charge, moved
from tests.tiering.test_facts import contact, happen, task
from tests.tiering.test_routes import Desk
from tests.tiering.test_standing import desk

__all__ = ["desk"]
SOMEBODY = UUID("0c8f5a7e-91f5-4b0a-8f57-6e9f3a4d2c11")


@pytest.fixture
async def january(world: World) -> World:
    """B1: 500, 300, 100, 60, 40. B2: 1000. N in no branch, Z without freight; the month is closed."""
    amounts = {"V": 500, "W": 300, "X": 100, "Y": 60, "A": 40}
    await world.open(
        *(account(name, "B1") for name in amounts), account("B", "B2"), account("Z", "B1"), moved("N", (None, None, "2017-01-01"))
    )
    await world.post(*(charge(name, name, fen, at("2018-01-10")) for name, fen in amounts.items()))
    await world.post(charge("b", "B", 1000, at("2018-01-10")), charge("n", "N", 7, at("2018-01-10")))
    await world.run("2018-02-01")
    return world


@pytest.mark.row("T-12")
async def test_the_units_of_a_close(january: World, desk: Desk) -> None:
    items = {item["unit_code"]: item for item in await desk.items("/v1/concentration")}
    assert set(items) == {"HQ", "D1", "B1", "B2"}, "D2 and its branch had no freight"
    b1 = items["B1"]
    assert (b1["accounts"], b1["freight_fen"], b1["month"]) == (5, 1000, "2018-01")
    assert [b1[f"top_{n}_share"] for n in (1, 3, 10)] == [0.5, 0.9, 1.0]
    assert (b1["core_accounts"], b1["core_share"]) == (2, 0.4), "exactly 80 % are enough"
    assert (items["D1"]["accounts"], items["D1"]["top_1_share"], items["HQ"]["freight_fen"]) == (6, 0.5, 2007)
    assert [item["unit_code"] for item in await desk.items("/v1/concentration", "branch_manager", "B1")] == ["B1"]
    assert await desk.items("/v1/concentration?month=2017-12") == []


async def test_the_figures_stay_as_they_were_at_the_close(january: World, desk: Desk) -> None:
    before = await desk.items("/v1/concentration")
    await january.post(charge("late", "A", 9_000, at("2018-01-20")))
    await january.run("2018-02-02")
    assert await desk.items("/v1/concentration") == before


@pytest.mark.row("T-12", "T-30")
async def test_the_core_accounts_and_how_they_fluctuate(january: World, desk: Desk) -> None:
    await january.post(charge("v1", "V", 400, at("2017-03-01")), charge("v0", "V", 9999, at("2017-02-28")))
    await january.open(account("OLD", "B3", "2016-12-31"), account("D", "B3"), account("C", "B3"))
    await january.post(charge("v2", "V", 1500, at("2018-02-10")), charge("w2", "W", 300, at("2018-02-10")))
    await january.post(*(charge(f"{name}2", name, fen, at("2018-02-10")) for name, fen in (("C", 398), ("D", 204), ("OLD", 398))))
    await january.run("2018-03-01")
    found = await desk.get("/v1/pareto?unit=B1&month=2018-02")
    assert (found["accounts"], found["core_accounts"], found["core_share"], found["freight_fen"]) == (2, 1, 0.5, 1800)
    (core,) = found["items"]
    assert (core["account_no"], core["place"], core["share"], core["cumulative_share"]) == ("V", 1, 0.8333, 0.8333)
    assert (core["months"], core["mean_fen"]) == (12, 200), "months without freight since the opening count"
    assert core["fluctuation"] == 2.1311
    first = await desk.get("/v1/pareto?unit=B1&month=2018-01&limit=1")
    assert [item["account_no"] for item in first["items"]] == ["V"]
    second = await desk.get(f"/v1/pareto?unit=B1&month=2018-01&limit=1&cursor={first['next_cursor']}")
    assert [(item["account_no"], item["cumulative_share"]) for item in second["items"]] == [("W", 0.8)]
    assert second["next_cursor"] is None
    assert (await desk.get("/v1/pareto?unit=D1&month=2018-01"))["core_accounts"] == 3
    tied = (await desk.get("/v1/pareto?unit=B3&month=2018-02"))["items"]
    assert [item["account_no"] for item in tied] == ["OLD", "C", "D"], "79.6 % are not enough; the longer tenure first"
    assert await desk.get("/v1/pareto?unit=B2", "branch_manager", "B1") == 404


async def test_before_the_first_close_there_is_no_core(world: World, desk: Desk) -> None:
    found = await desk.get("/v1/pareto")
    assert (found["month"], found["items"], found["core_share"]) == (None, [], None)


@pytest.mark.row("T-30")
def test_fluctuation_of_short_and_even_histories() -> None:
    march = date(2018, 3, 1)
    even = {date(2018, n, 1): 100 for n in (1, 2, 3)}
    assert fluctuation(even, date(2018, 1, 15), march) == {"months": 3, "mean_fen": 100, "fluctuation": 0}
    assert fluctuation({march: 100}, date(2018, 3, 31), march)["fluctuation"] is None, "one month fluctuates not"
    assert fluctuation({}, date(2017, 1, 1), march) == {"months": 12, "mean_fen": 0, "fluctuation": None}
    before_opening = fluctuation({date(2018, 2, 1): 100, march: 300}, date(2018, 3, 5), march)
    assert (before_opening["months"], before_opening["fluctuation"]) == (2, 0.5)


async def test_on_whom_an_account_hangs(january: World, desk: Desk) -> None:
    async def said(account_no: str = "V") -> tuple[Any, Any]:
        items = (await desk.get("/v1/pareto?unit=B1&month=2018-01"))["items"]
        item = next(item for item in items if item["account_no"] == account_no)
        return item["hangs_on"], item["staff_id"]

    assert await said() == ("no_contact", None)
    when = {"contacted_at": at("2018-01-20"), "entered_at": at("2018-01-20")}
    await happen(january, task(TaskOpened), contact(1, staff_id=SOMEBODY, **when), contact(2, staff_id=SOMEBODY, **when))
    assert await said() == ("one", str(SOMEBODY))
    await happen(january, contact(3, staff_id=UUID(int=5), **when))
    assert await said() == ("several", None)
    await happen(january, contact(4, staff_id=None, **when))
    assert await said() == ("no_data", None)
    assert await said("W") == ("no_contact", None)
    at_edges = [
        (5, "2017-01-31", "23:59:59"),
        (6, "2018-02-01", "00:00:00"),
        (7, "2017-02-01", "00:00:00"),
        (8, "2018-01-31", "23:59:59"),
    ]
    for (number, day, time), hangs_on in zip(at_edges, ("no_contact", "no_contact", "one", "several"), strict=True):
        edge = {"contacted_at": at(day, time), "entered_at": at("2018-02-01"), "staff_id": UUID(int=number)}
        await happen(january, contact(number, account_no="W", **edge))
        assert (await said("W"))[0] == hangs_on, (day, time)
