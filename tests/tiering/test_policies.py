"""Policies as data: both shipped versions, versions of districts and branches, locks, and what counts on a day."""

from datetime import date
from typing import Any

import pytest

from services.tiering import policies
from services.tiering.policies.book import Origin, Place, Version, chain_of, make_book, resolve
from services.tiering.policies.document import PolicyDocument, shipped
from services.tiering.policy import Contender, movement_for, service_tiers
from tests.tiering.make import World, account, at, charge

OLD, NEW = shipped("2007-old"), shipped("2008-new")


def _branch(accounts: int) -> list[Contender]:
    """One branch outside any district, so that nobody is VIP; the last one has no freight."""
    return [Contender(f"A{n:03d}", date(2017, 1, 1), "B9", None, 1000 - n) for n in range(accounts - 1)] + [
        Contender(f"A{accounts - 1:03d}", date(2017, 1, 1), "B9", None, 0)
    ]


@pytest.mark.row("T-03", "T-04")
def test_key_are_the_first_25_of_the_old_version_and_the_first_12_of_the_new_one() -> None:
    old, new = service_tiers(_branch(30), OLD), service_tiers(_branch(30), NEW)
    assert (old["A024"], old["A025"]) == (("key", 25), ("general", 26))
    assert (new["A011"], new["A012"]) == (("key", 12), ("general", 13))


@pytest.mark.row("T-05", "T-06")
def test_without_freight_an_account_is_untiered_in_the_old_version_and_general_in_the_new_one() -> None:
    accounts = [Contender("A", date(2017, 1, 1), "B1", "D1", 1), Contender("B", date(2017, 1, 1), "B1", "D1", 0)]
    assert service_tiers(accounts, OLD) == {"A": ("vip", 1), "B": (None, None)}
    assert service_tiers(accounts, NEW) == {"A": ("vip", 1), "B": ("general", None)}


@pytest.mark.row("T-27")
def test_the_default_runs_both_rule_sets_and_the_old_version_the_monthly_one_only() -> None:
    assert (NEW.movements.judged, NEW.quarter.judged) == (True, True)
    assert (OLD.movements.judged, OLD.quarter.judged) == (True, False)
    assert movement_for([100, 49], OLD) == movement_for([100, 49], NEW) is not None
    quarterly = NEW.model_copy(update={"movements": NEW.movements.model_copy(update={"judged": False})})
    assert movement_for([100, 49], quarterly) is None


@pytest.mark.row("T-27")
def test_the_shipped_default_says_what_the_code_does() -> None:
    assert PolicyDocument(policy_version="2008-new", effective_from=date(2000, 1, 1)) == NEW


async def _quarter(world: World) -> dict[str, Any]:
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    rows = await world.rows(
        "SELECT account_no, service_tier, rank, grade, policy_version FROM decisions WHERE month = '2018-03-01'"
    )
    return {row.pop("account_no"): row for row in rows}


@pytest.mark.row("T-03", "T-05")
async def test_a_close_under_the_old_version_ranks_25_and_leaves_zero_freight_untiered(world: World) -> None:
    await world.publish("old", "2018-01-01", tiers={"vip_top_n": 0, "key_top_n": 25, "zero_freight_is_general": False})
    await world.open(*(account(f"A{n:02d}") for n in range(28)))
    await world.post(*(charge(f"{n}", f"A{n:02d}", 1000 - n, at("2018-02-10")) for n in range(27)))
    found = await _quarter(world)
    assert [(found[f"A{n}"]["service_tier"], found[f"A{n}"]["rank"]) for n in (24, 25, 26, 27)] == [
        ("key", 25),
        ("general", 26),
        ("general", 27),
        (None, None),
    ]


@pytest.mark.row("X-14")
async def test_a_branch_decides_by_its_own_numbers_and_inherits_the_rest(world: World) -> None:
    """D1 (B1, B2) has one VIP, B1 one key account and its own gold; B3 has what the organisation says."""
    await world.publish("D1.1", "2018-01-01", "D1", tiers={"vip_top_n": 1})
    await world.publish(
        "B1.1", "2018-03-31", "B1", tiers={"key_top_n": 1}, grades={"gold_from_fen": 10}, movements={"judged": False}
    )
    branches = {"P": "B1", "Q": "B1", "R": "B1", "S": "B2", "T": "B2", "U": "B3", "V": "B3"}
    await world.open(*(account(name, branch) for name, branch in branches.items()))
    for place, name in enumerate(branches):
        await world.post(*(charge(f"{name}{month}", name, 900 - 100 * place, at(f"2018-0{month}-10")) for month in (1, 2)))
        await world.post(charge(f"{name}3", name, 90 - place, at("2018-03-10")))
    found = await _quarter(world)
    assert {name: (row["service_tier"], row["rank"]) for name, row in found.items()} == {
        "P": ("vip", 1), "Q": ("key", 1), "R": ("general", 2), "S": ("key", 1), "T": ("key", 2), "U": ("vip", 1), "V": ("vip", 2),
    }  # fmt: skip
    assert {name: row["policy_version"] for name, row in found.items()} == {
        **dict.fromkeys("PQR", "2008-new+D1.1+B1.1"),
        **dict.fromkeys("ST", "2008-new+D1.1"),
        **dict.fromkeys("UV", "2008-new"),
    }
    assert {name: row["grade"] for name, row in found.items()} == {
        **dict.fromkeys("PQR", "gold"),
        **dict.fromkeys("STUV", "silver"),
    }
    fallen = await world.rows("SELECT account_no, policy_version FROM movements WHERE month = '2018-03-01' ORDER BY account_no")
    assert [tuple(row.values()) for row in fallen] == [
        ("S", "2008-new+D1.1"), ("T", "2008-new+D1.1"), ("U", "2008-new"), ("V", "2008-new"),
    ]  # fmt: skip
    await world.post(charge("late", "Q", 5, at("2018-02-11")), charge("late2", "S", 5000, at("2018-03-11")))
    await world.run("2018-04-02")
    assert [row[0] for row in await world.movements(("account_no", "month", "state")) if row[1:] == ("2018-03", "open")] == [
        *"TUV"
    ]


@pytest.mark.row("X-14")
def test_the_highest_of_several_locks_counts_and_an_unknown_branch_has_what_its_district_says() -> None:
    day = date(2018, 1, 1)
    versions = {
        None: Version("HQ.1", None, day, {"tiers": {"key_top_n": 7}}, ("tiers",)),
        "D1": Version("D1.1", "D1", day, {"tiers": {"key_top_n": 3}, "quarter": {"riser_n": 2}}, ("tiers", "quarter")),
        "B1": Version("B1.1", "B1", day, {"tiers": {"key_top_n": 1}, "quarter": {"riser_n": 4}, "focus": {"focus_from_fen": 5}}),
    }
    paths = {"HQ": ("hq", ("HQ",)), "D1": ("district", ("HQ", "D1")), "B1": ("branch", ("HQ", "D1", "B1"))}
    tree = {unit: Place(unit, kind, path) for unit, (kind, path) in paths.items()}
    found = resolve(chain_of(tree["B1"], versions, tree))
    assert (found.document.tiers.key_top_n, found.document.quarter.riser_n, found.document.focus.focus_from_fen) == (7, 2, 5)
    assert (found.locks["tiers.key_top_n"], found.locks["quarter.riser_n"]) == (Origin(None, "HQ.1"), Origin("D1", "D1.1"))
    book = make_book(versions, tree)
    assert book.of("NEW", "D1").quarter.riser_n == 2
    assert book.of("NEW", "D2") == book.base


async def test_a_branch_that_was_moved_under_values_its_own_do_not_agree_with_is_closed_all_the_same(world: World) -> None:
    await world.publish("D1.1", "2018-01-01", "D1", grades={"gold_from_fen": 900})
    await world.publish("B1.1", "2018-01-01", "B1", grades={"diamond_from_fen": 800})
    await world.open(account("A"))
    await world.post(charge("1", "A", 2400, at("2018-01-10")))
    await world.run("2018-02-01")
    assert await world.rows("SELECT grade FROM decisions") == [{"grade": "diamond"}]


@pytest.mark.row("X-14")
async def test_a_locked_key_stays_as_it_was_inherited(world: World) -> None:
    await world.publish("HQ.1", "2018-01-01", locks=["tiers"], tiers={"key_top_n": 7})
    await world.publish("B1.1", "2018-01-01", "B1", tiers={"key_top_n": 1}, quarter={"riser_n": 3})
    await world.publish("B2.1", "2018-01-01", "B2", tiers={"key_top_n": 1})
    async with world.db.transaction() as session:
        book = await policies.in_force(session, date(2018, 1, 31))
    assert (book.of("B1", "D1").tiers.key_top_n, book.of("B1", "D1").quarter.riser_n) == (7, 3)
    assert (book.of("B2", "D1"), book.of(None, None), book.branches) == (book.base, book.base, ("B1",))
    assert book.branch_rows("policy_version", "riser_n") == {"unit_code": ["B1"], "policy_version": ["HQ.1+B1.1"], "riser_n": [3]}
