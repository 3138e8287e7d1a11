"""Where an account stands right now: the close's order on the quarter so far, neighbours that may be seen, yuan to each line."""

import random
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.tiering.main import app
from services.tiering.policies import PolicyDocument
from services.tiering.policies.document import Tiers
from services.tiering.policy import Contender, service_tiers
from services.tiering.season import CALENDAR, FLAT
from services.tiering.standing import project_quarter
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Dispatcher
from shared.db import Database, Scope
from shared.events.customer import AccountState
from tests.conftest import Server
from tests.deliveries import deliver
from tests.serving import serving, settings_of
from tests.tiering.make import World, account, at, charge, moved
from tests.tiering.test_routes import Desk


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


async def check_sums(world: World) -> None:
    """Add all charges up again: every quarter's row holds its months, their sum, and where the account is today."""
    expected: dict[tuple[str, date], list[int]] = {}
    for row in await world.rows("SELECT account_no, month, amount_fen FROM charges"):
        month = row["month"]
        sums = expected.setdefault((row["account_no"], month.replace(month=(month.month - 1) // 3 * 3 + 1)), [0] * 6)
        sums[(month.month - 1) % 3] += row["amount_fen"]
        sums[(month.month - 1) % 3 + 3] += 1
    places = {row["account_no"]: row for row in await world.rows("SELECT account_no, branch_code, opened_on FROM accounts")}
    found = await world.rows("SELECT * FROM quarter_sums")
    names = ("fen_1", "fen_2", "fen_3", "charges_1", "charges_2", "charges_3")
    kept = {(row["account_no"], row["quarter"]): [row[name] for name in names] for row in found}
    assert {key: sums for key, sums in kept.items() if any(sums)} == expected
    for row in found:
        assert row["sum_fen"] == sum(row[name] for name in names[:3])
        place = places.get(row["account_no"], {"branch_code": None, "opened_on": None})
        assert (row["branch_code"], row["opened_on"]) == (place["branch_code"], place["opened_on"])


async def assigned(world: World, *states: AccountState) -> None:
    """Accounts by the service's own subscription, which ranks them where they are."""
    world.sequence += 1
    async with world.db.transaction() as session:
        deliveries = [deliver(state, sequence=world.sequence) for state in states]
        assert await Dispatcher("tiering", SUBSCRIPTIONS).handle(session, deliveries) == []


async def stand(world: World, account_no: str, vip_n: int = 2, key_n: int = 2, as_if: int | None = None) -> dict[str, Any]:
    rows = await world.rows(
        "SELECT * FROM set_config('crm.everything', 'on', true), live_standing(:account, '2018-01-01', '2018-03-31', :vip, :key, "
        "CAST(:as_if AS bigint))",
        account=account_no, vip=vip_n, key=key_n, as_if=as_if,
    )  # fmt: skip
    return rows[0]


@pytest.mark.row("T-01", "T-02", "T-04", "T-06", "T-17")
async def test_every_account_stands_where_a_close_would_put_it(world: World) -> None:
    """A recount by the plain rules, with ties in amount and day, branches in two districts and none, and corrections."""
    chance = random.Random(7)
    branches = ["B1", "B2", "B3", None]
    states = [
        account(f"A{n:03}", chance.choice(branches), f"2017-0{chance.randrange(1, 4)}-01", None) for n in range(60)
    ]  # fmt: skip
    await assigned(world, *states)
    days = [at(f"2018-0{month}-1{day}") for month in (1, 2, 3) for day in range(10)]
    charges = [
        charge(f"C{n}", f"A{chance.randrange(60):03}", chance.choice([100, 200, 500, 5_000, 70_000]), chance.choice(days))
        for n in range(150)
    ]
    await world.post(*charges[:80])
    await world.post(*charges[80:], *(charge(f"C{n}", "A007", 100, at("2018-02-03"), version=2) for n in range(0, 30, 3)))
    totals = {row["account_no"]: row["fen"] for row in await world.rows(
        "SELECT account_no, sum(amount_fen)::bigint AS fen FROM month_totals GROUP BY 1")}  # fmt: skip
    place = {state.account_no: state.memberships[0].branch_code for state in states}
    district = {"B1": "D1", "B2": "D1", "B3": "D2", None: None}
    contenders = [
        Contender(s.account_no, s.opened_on, place[s.account_no], district[place[s.account_no]], totals.get(s.account_no, 0))
        for s in states
    ]
    policy = PolicyDocument(policy_version="t", effective_from=date(2000, 1, 1), tiers=Tiers(vip_top_n=5, key_top_n=3))
    expected = service_tiers(contenders, policy)
    found = {}
    for state in states:
        row = await stand(world, state.account_no, 5, 3)
        found[state.account_no] = (row["service_tier"], row["place"])
    assert found == expected
    await check_sums(world)


@pytest.mark.row("T-17")
async def test_one_fen_more_or_less_and_a_tie(world: World) -> None:
    await assigned(
        world,
        account("OLD", "B1", "2016-01-01"), account("NEW", "B1", "2017-01-01"), account("TWIN", "B1", "2017-01-01"),
        account("POOR", "B1", "2015-01-01"),
    )  # fmt: skip
    day = at("2018-02-01")
    await world.post(charge("1", "OLD", 1000, day), charge("2", "NEW", 1000, day), charge("3", "TWIN", 1000, day))
    rows = {name: await stand(world, name, vip_n=0, key_n=2) for name in ("OLD", "NEW", "TWIN", "POOR")}
    assert [rows[name]["place"] for name in rows] == [1, 2, 3, None], "the longer tenure, then the account number"
    assert (rows["TWIN"]["above_account"], rows["TWIN"]["to_next_fen"], rows["TWIN"]["to_key_fen"]) == ("NEW", 1, 1)
    assert (rows["NEW"]["above_account"], rows["NEW"]["below_account"]) == ("OLD", "TWIN")
    assert rows["POOR"]["service_tier"] == "general"
    assert rows["POOR"]["to_key_fen"] == 1000, "opened first, it wins the tie"
    await world.post(charge("4", "TWIN", 1, day))
    assert (await stand(world, "TWIN", 0, 2))["place"] == 1
    await world.post(charge("1", "OLD", 1001, day, version=2))
    assert (await stand(world, "TWIN", 0, 2))["place"] == 2
    await world.post(charge("3", "TWIN", 0, day, version=2), charge("4", "TWIN", 0, day, version=2))
    assert (await stand(world, "TWIN", 0, 2))["place"] is None, "all cancelled: not ranked"


async def test_the_lines_of_vip_and_key(world: World) -> None:
    await assigned(
        world, *(account(name, branch) for name, branch in (("V", "B1"), ("W", "B2"), ("K", "B1"), ("L", "B1"), ("G", "B1")))
    )
    day = at("2018-01-05")
    await world.post(*(charge(f"c{n}", name, fen, day) for n, (name, fen) in enumerate(
        [("V", 900), ("W", 800), ("K", 700), ("L", 600), ("G", 500)])))  # fmt: skip
    vip, other, first_key, general = [await stand(world, name, 2, 2) for name in ("V", "W", "K", "G")]
    assert (vip["service_tier"], vip["place"], vip["below_account"], vip["to_vip_fen"]) == ("vip", 1, "W", None)
    assert (other["place"], other["above_fen"], other["to_next_fen"], other["below_account"]) == (2, 900, 101, "K")
    assert (first_key["service_tier"], first_key["place"], first_key["above_account"]) == ("key", 1, None)
    assert first_key["to_vip_fen"] == 100, "opened on the same day, K wins the tie against W"
    assert (general["service_tier"], general["place"], general["to_key_fen"], general["to_next_fen"]) == ("general", 3, 100, 100)
    assert (await stand(world, "G", 2, 2, as_if=900))["place"] == 1
    assert (await stand(world, "G", 2, 2, as_if=900))["service_tier"] == "vip"


@pytest.mark.row("X-10")
async def test_who_may_see_what(desk: Desk, world: World) -> None:
    await assigned(world, account("V", "B1"), account("W", "B2"), account("X", "B1"), moved("N", (None, None, "2017-01-01")))
    await world.post(
        charge("1", "V", 900, at("2018-01-05")), charge("2", "W", 800, at("2018-01-05")), charge("3", "N", 5, at("2018-01-05"))
    )
    path = "/v1/accounts/{}/standing"
    mine = await desk.get(path.format("V"), "branch_manager", "B1")
    assert mine["below"] == {"account_no": None, "amount_fen": 800}, "W lies in another branch: its amount only"
    assert (await desk.get(path.format("V"), "district_head", "D1"))["below"] == {"account_no": "W", "amount_fen": 800}
    assert (await desk.get(path.format("V"), "shipper", shipper="V"))["below"] == {"account_no": None, "amount_fen": 800}
    assert await desk.get(path.format("W"), "branch_manager", "B1") == 404
    assert await desk.get(path.format("W"), "shipper", shipper="V") == 404
    nowhere = await desk.get(path.format("N"))
    assert (nowhere["place"], nowhere["branch_code"], nowhere["amount_fen"], nowhere["above"]) == (None, None, 5, None)
    empty = await desk.get(path.format("X"))
    assert (empty["place"], empty["service_tier"], empty["to_gold_fen"]) == (None, "general", 600_000)


@pytest.mark.row("X-10")
async def test_the_counting_function_answers_only_about_what_its_caller_may_see(world: World, web: Database) -> None:
    """The function runs with its owner's eyes, so it must itself look who asks."""
    await assigned(world, account("V", "B1"), account("W", "B3"))
    await world.post(charge("1", "V", 900, at("2018-01-05")), charge("2", "W", 800, at("2018-01-05")))
    asked = text("SELECT place FROM live_standing(:account, '2018-01-01', '2018-03-31', 10, 12, NULL)")
    for scope, seen in ((Scope(), []), (Scope("B1"), ["V"]), (Scope("HQ"), ["V", "W"]), (Scope(account_no="W"), ["W"])):
        async with web.transaction(scope) as session:
            found = [name for name in ("V", "W") if (await session.execute(asked, {"account": name})).first()]
            assert found == seen, scope
            rows = (await session.execute(text("SELECT account_no FROM quarter_sums ORDER BY 1"))).scalars().all()
            assert rows == seen, "the sums themselves stay behind row-level security"
    public = "SELECT has_function_privilege('public', p.oid, 'EXECUTE') AS open FROM pg_proc p WHERE p.proname = 'live_standing'"
    assert await world.rows(public) == [{"open": False}]


async def test_an_account_that_moves_is_ranked_where_it_is_now(world: World) -> None:
    await world.post(charge("1", "S", 900, at("2018-01-05")))
    assert await world.rows("SELECT branch_code, opened_on FROM quarter_sums") == [{"branch_code": None, "opened_on": None}]
    await assigned(world, account("S", "B1"), account("T", "B2"))
    await world.post(charge("2", "T", 500, at("2018-01-05")))
    assert (await stand(world, "S", 0))["place"] == 1
    await assigned(world, moved("S", ("B1", None, "2017-01-01"), ("B2", None, "2018-02-01")))
    assert (await stand(world, "T", 0))["place"] == 2
    await check_sums(world)


async def test_late_charges_of_a_quarter_that_is_over_are_not_ranked(world: World) -> None:
    await assigned(world, account("S", "B1"))
    await world.post(charge("1", "S", 900, at("2018-01-05")), charge("2", "S", 50, at("2018-04-01", "00:10:00")))
    await world.run_days("2018-01-02", "2018-04-01")
    await world.post(charge("3", "S", 7, at("2018-03-31")), charge("4", "S", 7, at("2018-04-02")))
    sums = "SELECT quarter, fen_1, fen_2, fen_3, sum_fen FROM quarter_sums ORDER BY quarter"
    assert [tuple(row.values()) for row in await world.rows(sums)] == [
        (date(2018, 1, 1), 900, 0, 7, 907),
        (date(2018, 4, 1), 57, 0, 0, 57),
    ]
    asked = "live_standing('S', '2018-04-01', '2018-06-30', 10, 12, NULL)"
    found = await world.rows(f"SELECT sum_fen FROM set_config('crm.everything', 'on', true), {asked}")
    assert found == [{"sum_fen": 57}]


async def test_a_month_from_which_every_charge_has_gone_is_no_month(world: World) -> None:
    await assigned(world, account("S", "B1"), account("T", "B1"))
    await world.post(charge("1", "S", 900, at("2018-02-05")), charge("2", "S", 0, at("2018-03-31", "23:59:59")))
    await world.post(charge("1", "T", 900, at("2018-04-01", "00:00:00"), version=2))
    assert await world.totals() == {("S", "2018-03"): (0, 1), ("T", "2018-04"): (900, 1)}
    await check_sums(world)


def test_the_projection_of_a_quarter() -> None:
    months = [date(2017, n, 1) for n in range(1, 13)]
    even = dict.fromkeys(months, 310_000)
    at_start = project_quarter(even, date(2018, 1, 1), date(2018, 1, 1), 0, FLAT)
    assert abs(at_start.fen - 310_000 * 90 // 31) < 30_000
    half = project_quarter({**even, date(2018, 1, 1): 0}, date(2018, 1, 1), date(2018, 1, 17), 0, FLAT)
    assert half.fen < at_start.fen / 2, "half a month without freight weighs against the history"
    fresh = project_quarter({date(2018, 1, 1): 160_000}, date(2018, 1, 1), date(2018, 1, 17), 160_000, FLAT)
    assert abs(fresh.fen - 160_000 * 90 // 16) <= 30_000, "without a history the month goes on as it began"
    assert project_quarter({}, date(2018, 1, 1), date(2018, 1, 1), 0, CALENDAR).fen == 0
    last = project_quarter({**even, date(2018, 3, 1): 1}, date(2018, 1, 1), date(2018, 3, 31) + timedelta(days=0), 620_001, FLAT)
    assert 620_001 <= last.fen < 640_000
    assert last.growth < 1.02
