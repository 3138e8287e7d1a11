"""A replay decides every close again from the ledger and gives the same digests, or names the late charge that changed one."""

from datetime import date

import pytest
from sqlalchemy import text

from services.tiering.replaying import LateEvent, replay
from tests.tiering.make import World, account, at, charge
from tests.tiering.scoring import live

UNTIL = date(2018, 6, 30)


async def half_a_year(world: World) -> None:
    """Six closed months with tiers, movements, and two quarters to compare."""
    names = [f"A{n:02d}" for n in range(20)]
    await world.open(*(account(name, ("B1", "B2", "B3")[n % 3]) for n, name in enumerate(names)), account("Z", None))
    for month in range(1, 7):
        await world.post(
            *(
                charge(f"{name}-{month}", name, (n * 7919 * month) % 40_000, at(f"2018-0{month}-10"))
                for n, name in enumerate(names)
            )
        )
        await world.run(f"2018-0{month + 1}-01")


@pytest.mark.row("T-17")
async def test_the_same_ledger_gives_the_same_digests_and_nothing_stays(world: World) -> None:
    await half_a_year(world)
    before = await world.rows("SELECT month, account_no, digest FROM decisions ORDER BY 1, 2")
    events = await world.events()
    heard: list[date] = []
    found = await replay(world.db, UNTIL, heard.append)
    assert (found.different, found.differences) == (0, ())
    assert heard == [date(2018, month, 1) for month in range(1, 7)] == list(found.months)
    assert found.compared["decision"] == len(before) == 6 * 21
    assert found.compared["quarter_movement"] == len(await world.rows("SELECT * FROM quarter_movements"))
    assert await world.rows("SELECT month, account_no, digest FROM decisions ORDER BY 1, 2") == before
    assert await world.events() == events


@pytest.mark.row("T-17")
async def test_a_late_charge_that_changed_a_digest_is_named(world: World) -> None:
    await half_a_year(world)
    first = await replay(world.db, date(2018, 1, 31))
    assert (first.different, first.compared["decision"]) == (0, 21)
    await world.post(charge("late-1", "A07", 5_000_000, at("2018-05-20"), version=3))
    await world.run("2018-07-02")
    found = await replay(world.db, UNTIL)
    late = LateEvent("late-1", 3, "A07", date(2018, 5, 1), 5_000_000)
    mine = [d for d in found.differences if d.account_no == "A07" and d.what == "decision"]
    assert [(d.month, d.late) for d in mine] == [(date(2018, 5, 1), (late,)), (date(2018, 6, 1), (late,))]
    assert {"previous_fen", "sum_fen", "grade", "quarter_fen", "rank"} <= set(mine[1].fields)
    others = [d for d in found.differences if d.account_no != "A07" and d.month == date(2018, 6, 1) and d.what == "decision"]
    assert others
    assert {d.late for d in others} == {(late,)}, "whose rank it took"
    assert (await replay(world.db, date(2018, 1, 31))).different == 0


async def test_what_no_charge_explains_says_so(world: World) -> None:
    await half_a_year(world)
    async with world.db.transaction() as session:
        await session.execute(text("UPDATE accounts SET opened_on = '2016-01-01' WHERE account_no = 'Z'"))
    found = await replay(world.db, UNTIL)
    (first, *_) = [d for d in found.differences if d.account_no == "Z"]
    assert (first.fields, first.late) == (("opened_on",), ())


@pytest.mark.row("C-63", "T-60", "C-32")
async def test_scores_are_made_again_with_equal_digests_or_the_late_charge_is_named(world: World) -> None:
    """Three hundred accounts, so that models are fitted, tried and used."""
    await live(world, 300, "2018-01", 9)
    before = await world.rows("SELECT month, account_no, digest FROM scores ORDER BY 1, 2")
    models = await world.rows("SELECT * FROM score_models ORDER BY month")
    assert models[-1]["purchase_model"] != "average"
    assert all(row["digest"] for row in before)
    found = await replay(world.db, date(2018, 9, 30))
    assert (found.different, found.differences) == (0, ())
    assert (found.compared["score"], found.compared["score_model"]) == (len(before), len(models))
    assert await world.rows("SELECT month, account_no, digest FROM scores ORDER BY 1, 2") == before
    await world.post(charge("late", "S0007", 5_000_000, at("2018-08-15")))
    late = LateEvent("late", 1, "S0007", date(2018, 8, 1), 5_000_000)
    changed = [one for one in (await replay(world.db, date(2018, 9, 30))).differences if one.what.startswith("score")]
    mine = [one for one in changed if one.account_no == "S0007"]
    assert [(one.month, one.late) for one in mine] == [(date(2018, 8, 1), (late,)), (date(2018, 9, 1), (late,))]
    assert {"amount_fen", "total_fen", "amount_12_fen", "clv_fen"} <= set(mine[0].fields)
    assert {one.month for one in changed} <= {date(2018, 8, 1), date(2018, 9, 1)}, "what was before it stays"
    (learned, *_) = [one for one in changed if one.what == "score_model"]
    assert (learned.account_no, learned.late) == (None, (late,))
    assert len({one.account_no for one in changed if one.what == "score"}) < 150, (
        "not everybody is scored otherwise for one charge"
    )


async def test_a_charge_without_an_amount_counts_in_scores_and_is_named(world: World) -> None:
    await half_a_year(world)
    await world.post(charge("late", "A07", 0, at("2018-05-20")))
    found = await replay(world.db, UNTIL)
    late = LateEvent("late", 1, "A07", date(2018, 5, 1), 0)
    assert {(one.what, one.account_no, one.late) for one in found.differences} >= {("score", "A07", (late,))}
    assert not [one for one in found.differences if one.what == "decision"]


async def test_how_long_a_grade_was_held_is_explained_by_the_charge_that_changed_the_close_before(world: World) -> None:
    await world.open(account("A"))
    await world.run("2018-02-01")
    await world.post(charge("late", "A", 700_000, at("2018-01-20")))
    await world.run("2018-03-01")
    found = await replay(world.db, date(2018, 2, 28))
    late = LateEvent("late", 1, "A", date(2018, 1, 1), 700_000)
    told = {one.month: one for one in found.differences if one.what == "decision"}
    assert told[date(2018, 2, 1)].fields == ("grade_since",)
    assert {one.late for one in told.values()} == {(late,)}
