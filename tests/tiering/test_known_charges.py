"""The charges behind a decision are those known when it was taken, to the fen and to the version, whatever came since."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.tiering import known_charges
from shared.db import Database, Scope
from shared.events.freight import FreightCharged
from shared.ids import natural_id
from shared.paging import PageRequest
from shared.problems import NotFound
from tests.tiering.make import World, account, at, charge

Known = set[tuple[str, int, int]]


async def listed(world: World, decision_id: UUID, limit: int = 200) -> tuple[dict[str, Any], Known]:
    """The whole list, page by page, and its charges as (number, version, fen)."""
    items: list[dict[str, Any]] = []
    after: tuple[Any, ...] | None = None
    while True:
        async with world.db.transaction() as session:
            page = await known_charges.list_charges(session, decision_id, PageRequest(limit, after))
        items += page["items"]
        if page["next_cursor"] is None:
            break
        last = await world.rows("SELECT CAST(:month AS date) AS month", month=at(f"{items[-1]['month']}-01").date())
        after = (last[0]["month"], items[-1]["charge_no"])
    assert page["charges"] == len(items)
    assert page["sum_fen"] == sum(item["amount_fen"] for item in items) == page["input_fen"]
    return page, {(item["charge_no"], item["version"], item["amount_fen"]) for item in items}


async def closed_january(world: World, *charges: FreightCharged) -> UUID:
    await world.open(account("A"), account("B"))
    await world.post(*charges)
    await world.run("2018-02-01")
    return natural_id("decision", "A", "2018-01")


@pytest.mark.row("T-17", "T-07")
async def test_late_and_corrected_charges_change_nothing_of_what_was_known(world: World) -> None:
    january = at("2018-01-10")
    decided = await closed_january(
        world,
        *(charge(f"c{n}", "A", 100 * n, january) for n in range(1, 6)),
        charge("same", "A", 70, january), charge("twice", "A", 10, january), charge("twice", "A", 20, january, version=2),
    )  # fmt: skip
    known = {("c1", 1, 100), ("c2", 1, 200), ("c3", 1, 300), ("c4", 1, 400), ("c5", 1, 500), ("same", 1, 70), ("twice", 2, 20)}
    assert (await listed(world, decided))[1] == known
    await world.post(charge("late", "A", 9_999, january), charge("nothing", "A", 0, january))
    await world.post(charge("late", "A", 8_888, january, version=3))  # a late correction of a late charge
    await world.post(charge("late", "A", 7_777, january, version=2))  # out of order, never stood
    await world.post(charge("c1", "B", 100, january, version=2))  # to another account
    await world.post(charge("c2", "A", 200, at("2018-02-03"), version=2))  # to a month that is open
    await world.post(charge("c3", "A", 0, january, version=2))  # cancelled
    await world.post(charge("c4", "A", 450, january, version=4))
    await world.post(charge("c4", "A", 420, january, version=3))  # between the known one and the standing one
    await world.post(charge("same", "A", 70, january, version=2, product="T6"))  # the amount stays
    await world.post(charge("c1", "A", 100, january, version=3))  # and back again
    for day in ("2018-02-02", "2018-02-03", "2018-03-01"):
        await world.run(day)
        assert (await listed(world, decided))[1] == known
    _, later = await listed(world, natural_id("decision", "A", "2018-02"))
    assert later == {
        ("c1", 3, 100), ("c2", 2, 200), ("c3", 2, 0), ("c4", 4, 450), ("c5", 1, 500), ("same", 2, 70), ("twice", 2, 20),
        ("late", 3, 8_888), ("nothing", 1, 0),
    }  # fmt: skip


async def test_pages_go_on_by_month_and_number_and_name_the_event(world: World) -> None:
    january = at("2018-01-10")
    said = [charge(f"c{n:02d}", "A", n, january, product="T4", weight_grams=1200) for n in range(7)]
    decided = await closed_january(world, *said)
    await world.post(charge("c00", "A", 5, at("2018-02-05")))
    async with world.db.transaction() as session:
        page = await known_charges.list_charges(session, decided, PageRequest(3))
        assert [item["charge_no"] for item in page["items"]] == ["c00", "c01", "c02"]
        assert (page["charges"], page["sum_fen"], page["input_fen"]) == (7, 21, 21)
        assert page["items"][1]["event_id"] == said[1].event_id, "the id that the event had on the bus"
        beyond = await known_charges.list_charges(session, decided, PageRequest(3, (january.date(), "c99")))
        assert (beyond["items"], beyond["charges"], beyond["next_cursor"]) == ([], 7, None)
        with pytest.raises(NotFound):
            await known_charges.list_charges(session, natural_id("nothing"), PageRequest())
    assert len((await listed(world, decided, limit=2))[1]) == 7


async def test_a_month_that_is_not_listed_yet_is_looked_up_in_the_whole_ledger(world: World) -> None:
    january = at("2018-01-10")
    decided = await closed_january(world, charge("c1", "A", 100, january), charge("c2", "A", 5, january))
    await world.post(charge("c1", "B", 100, january, version=2), charge("c3", "A", 7, january))
    expected = {("c1", 1, 100), ("c2", 1, 5)}
    assert (await listed(world, decided))[1] == expected
    async with world.db.transaction() as session:
        await session.execute(text("DELETE FROM month_charges"))
        await session.execute(text("UPDATE month_closes SET listed = false"))
    assert (await listed(world, decided))[1] == expected
    await world.run("2018-02-02")
    assert (await listed(world, decided))[1] == expected
    assert len(await world.rows("SELECT * FROM month_charges")) == 2


async def test_a_charge_that_went_to_another_unit_is_still_shown_to_whom_it_was_decided_for(world: World, web: Database) -> None:
    await world.open(account("A", "B1"), account("C", "B3"))
    await world.post(charge("c1", "A", 100, at("2018-01-10")), charge("c2", "C", 7, at("2018-01-10")))
    await world.run("2018-02-01")
    await world.post(charge("c1", "C", 100, at("2018-01-10"), version=2), charge("c2", "A", 7, at("2018-01-10"), version=2))
    async with web.transaction(Scope("B1")) as session:
        page = await known_charges.list_charges(session, natural_id("decision", "A", "2018-01"), PageRequest())
        assert [(item["charge_no"], item["version"]) for item in page["items"]] == [("c1", 1)]
        with pytest.raises(NotFound):
            await known_charges.list_charges(session, natural_id("decision", "C", "2018-01"), PageRequest())


ACCOUNTS = tuple("ABCDEF")
COUNT = """
SELECT {id} AS id, account_no, '{kind}' AS kind, {at} AS at FROM {table}"""
DECIDED = " UNION ALL ".join(
    COUNT.format(id="decision_id", kind=kind, at=column, table=table)
    for kind, column, table in (
        ("close", "decided_at", "decisions"), ("movement", "detected_at", "movements"),
        ("quarter", "detected_at", "quarter_movements"),
    )
)  # fmt: skip


@pytest.mark.row("T-17", "T-22", "T-23", "T-26")
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_decision_of_a_random_history_stands_on_what_stood_then(world: World, seed: int) -> None:
    draw = random.Random(seed)
    await world.open(*(account(name, "B1") for name in ACCOUNTS))
    days = [f"2018-{month:02d}-{day:02d}" for month in range(1, 8) for day in (1, 9, 20)]
    versions: dict[str, int] = {}
    stood: dict[Any, list[dict[str, Any]]] = {}
    for place, day in enumerate(days):
        stood[at(day, "00:30:00")] = await world.rows("SELECT * FROM charges")
        await world.run(day)
        for _ in range(draw.randrange(1, 4)):
            batch = []
            for _ in range(draw.randrange(1, 12)):
                number = f"c{draw.randrange(90)}"
                version = max(1, versions.get(number, 0) + draw.choice((-2, -1, 1, 1, 2, 3)))
                if number in versions and version <= versions[number] and draw.random() < 0.5:
                    continue
                versions[number] = max(version, versions.get(number, 0))
                charged_at = at(draw.choice(days[max(0, place - 9) : place + 1]))
                amount = draw.choice((0, 100, 100, draw.randrange(100_000)))
                batch.append(charge(number, draw.choice(ACCOUNTS), amount, charged_at, version))
            await world.post(*batch)
    kinds = {}
    for decision in await world.rows(DECIDED):
        page, found = await listed(world, decision["id"])
        months = {(item["month"]) for item in page["items"]}
        kinds[decision["kind"]] = kinds.get(decision["kind"], 0) + 1
        basis = await _months(world, decision)
        expected = {
            (row["charge_no"], row["version"], row["amount_fen"])
            for row in stood[decision["at"]]
            if row["account_no"] == decision["account_no"] and row["month"].isoformat()[:7] in basis
        }
        assert found == expected, decision
        assert months <= basis
    assert min(kinds.get(kind, 0) for kind in ("close", "movement", "quarter")) >= 5
    revised = await world.rows("SELECT * FROM movements WHERE revision > 1")
    assert revised, "movements that late charges opened are among them"


async def _months(world: World, decision: dict[str, Any]) -> set[str]:
    queries = {
        "close": "SELECT month AS last, 3 AS count FROM decisions WHERE decision_id = :id",
        "movement": "SELECT month AS last, 2 AS count FROM movements WHERE decision_id = :id",
        "quarter": "SELECT (quarter + INTERVAL '2 months')::date AS last, 6 AS count FROM quarter_movements "
        "WHERE decision_id = :id",
    }
    (row,) = await world.rows(queries[decision["kind"]], id=decision["id"])
    number = row["last"].year * 12 + row["last"].month - 1
    return {f"{one // 12}-{one % 12 + 1:02d}" for one in range(number - row["count"] + 1, number + 1)}
