"""The close: what it decides, when, and that no charge falls between the close and a restatement."""

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import closing, freight, policy
from services.tiering.policies.document import shipped
from services.tiering.policy import Contender
from shared.db import Database
from shared.directory import Unit, apply_units
from shared.events.tiering import MonthClosed, TiersChanged
from shared.ids import natural_id
from shared.months import add_months, last_day
from tests.deliveries import deliver
from tests.tiering.make import World, account, at, charge, moved

DECISIONS = "SELECT * FROM decisions WHERE month = :month ORDER BY account_no"


async def decisions(world: World, month: str) -> dict[str, dict[str, Any]]:
    rows = await world.rows(DECISIONS, month=date.fromisoformat(f"{month}-01"))
    return {row["account_no"]: row for row in rows}


async def test_a_month_is_closed_on_the_first_of_the_next_and_not_before(world: World) -> None:
    await world.open(account("A"))
    await world.run("2018-01-31")
    assert await world.rows("SELECT * FROM month_closes") == []
    await world.run("2018-02-01")
    (closed,) = await world.rows("SELECT month::text, state, closed_at, policy_version, accounts FROM month_closes")
    assert closed == {
        "month": "2018-01-01",
        "state": "closed",
        "closed_at": at("2018-02-01", "00:30:00"),
        "policy_version": "2008-new",
        "accounts": 1,
    }
    await world.run("2018-02-02")
    assert len(await world.rows("SELECT * FROM month_closes")) == 1


async def test_months_before_the_start_count_as_closed_also_when_it_began_on_the_last_day(empty: World) -> None:
    await empty.begin(at("2018-01-31", "00:00:00"))
    await empty.post(charge("1", "A", 10, at("2017-12-31")), charge("2", "A", 10, at("2018-01-31")))
    assert await empty.rows("SELECT month::text FROM dirty_marks") == [{"month": "2017-12-01"}]
    await empty.run("2018-01-31")
    await empty.run("2018-02-01")
    assert await empty.rows("SELECT month::text FROM month_closes") == [{"month": "2018-01-01"}]


async def test_missed_closes_run_in_order_and_the_schedule_records_once(world: World) -> None:
    await world.open(account("A"))
    await world.run("2018-05-20")
    rows = await world.rows("SELECT month::text, state FROM month_closes ORDER BY month")
    assert [row["month"][:7] for row in rows] == ["2018-01", "2018-02", "2018-03", "2018-04"]
    assert len(await world.rows("SELECT * FROM schedule_runs WHERE schedule = 'close'")) == 1


async def test_a_year_end_lies_across_the_three_months_of_a_grade_and_closes_a_quarter(empty: World) -> None:
    await empty.begin(at("2017-11-01", "00:00:00"))
    await empty.open(account("A"))
    await empty.post(*(charge(month, "A", 100, at(f"{month}-15")) for month in ("2017-11", "2017-12", "2018-01")))
    for day in ("2017-12-01", "2018-01-01", "2018-02-01"):
        await empty.run(day)
    assert (await decisions(empty, "2017-12"))["A"]["quarter_fen"] == 200
    january = (await decisions(empty, "2018-01"))["A"]
    assert (january["sum_fen"], january["quarter_fen"], january["service_tier"]) == (300, None, None)


@pytest.mark.row("T-07", "T-09")
async def test_grades_at_the_boundaries_of_the_average(world: World) -> None:
    sums = {"A": 3_000_000, "B": 2_999_997, "C": 600_000, "D": 599_997, "E": 2_999_999, "F": 0}
    await world.open(*(account(name) for name in sums))
    await world.post(*(charge(name, name, fen, at("2018-03-15")) for name, fen in sums.items()))
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    found = await decisions(world, "2018-03")
    assert {name: found[name]["grade"] for name in sums} == {
        "A": "diamond",
        "B": "gold",
        "C": "gold",
        "D": "silver",
        "E": "gold",
        "F": "silver",
    }
    assert {row["sum_fen"] for row in found.values()} == set(sums.values())


@pytest.mark.row("T-07")
async def test_a_month_before_the_opening_counts_what_was_charged_in_it(world: World) -> None:
    await world.open(account("A", opened_on="2018-02-28"), account("B", opened_on="2018-03-01"))
    await world.post(charge("1", "A", 600_000, at("2018-01-10")))
    await world.run("2018-02-01")
    assert await decisions(world, "2018-01") == {}
    await world.run("2018-03-01")
    found = await decisions(world, "2018-02")
    assert list(found) == ["A"]
    assert (found["A"]["grade"], found["A"]["sum_fen"], found["A"]["before_previous_fen"]) == ("gold", 600_000, 0)


@pytest.mark.row("T-01", "T-02", "T-04", "T-06", "T-17")
async def test_service_tiers_are_decided_at_the_quarters_end_by_the_branch_of_its_last_day(world: World) -> None:
    names = [f"A{n:02d}" for n in range(30)]
    async with world.db.transaction() as session:
        await apply_units(session, [Unit("B9", "branch", "HQ")], [1])
    await world.open(*(account(name, "B1") for name in names), account("Z", None), account("Q", "B1"), account("N", "B9"))
    await world.open(moved("M", ("B1", None, "2017-01-01"), ("B3", None, "2018-03-31"), ("B2", None, "2018-04-01")))
    await world.post(
        *(charge(name, name, 1000 - n, at(f"2018-0{1 + n % 3}-10")) for n, name in enumerate(names)),
        charge("M", "M", 1, at("2018-03-31", "23:59:59")),
        charge("Z", "Z", 9999, at("2018-02-10")),
        charge("N", "N", 9999, at("2018-02-10")),
    )
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    found = await decisions(world, "2018-03")
    tiers = {name: (row["service_tier"], row["rank"]) for name, row in found.items()}
    assert [tiers[name] for name in names[:10]] == [("vip", n) for n in range(1, 11)]
    assert [tiers[name] for name in names[10:22]] == [("key", n) for n in range(1, 13)]
    assert [tiers[name] for name in names[22:]] == [("general", n) for n in range(13, 21)]
    assert (tiers["Q"], tiers["Z"]) == (("general", None), ("general", None))
    assert tiers["N"] == ("key", 1), "its branch lies in no district"
    assert (tiers["M"], found["M"]["branch_code"], found["M"]["district_code"]) == (("vip", 1), "B3", "D2")
    assert found["A00"]["decision_id"] == natural_id("decision", "A00", "2018-03")


@pytest.mark.row("T-01")
async def test_tiers_stay_as_decided_whatever_is_charged_later(world: World) -> None:
    await world.open(account("A"), account("B"))
    await world.post(charge("1", "A", 10, at("2018-03-10")), charge("2", "B", 20, at("2018-03-10")))
    await world.run("2018-04-01")
    before = await decisions(world, "2018-03")
    await world.post(charge("3", "A", 5000, at("2018-03-11")))
    await world.run("2018-04-02")
    assert await decisions(world, "2018-03") == before
    assert (before["B"]["rank"], before["A"]["rank"]) == (1, 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.row("T-01", "T-02", "T-04", "T-06", "T-07", "T-17", "T-23")
async def test_the_statement_decides_what_the_plain_rules_say(world: World, seed: int) -> None:
    """Many ties, moves, missing branches, late openings: SQL against `policy` for every account and month."""
    rnd = random.Random(seed)
    branches = ("B1", "B1", "B2", "B3", None)
    states, freight_of = [], {}
    for n in range(120):
        name = f"A{n:03d}"
        opened = rnd.choice(("2017-05-01", "2017-05-02", "2018-01-31", "2018-02-01", "2018-03-31", "2018-04-01"))
        memberships = [(rnd.choice(branches), None, opened)]
        if rnd.random() < 0.4:
            memberships.append((rnd.choice(branches), None, rnd.choice(("2018-02-10", "2018-03-31", "2018-04-01", "2018-06-30"))))
            memberships = sorted({day: (b, o, day) for b, o, day in memberships}.values(), key=lambda m: m[2])
        states.append(moved(name, *memberships, opened_on=opened))
        for month in range(1, 7):
            if rnd.random() < 0.6:
                freight_of[name, month] = rnd.choice((0, 1, 100, 100, 200_000, 599_999, 1_000_000, rnd.randrange(3_000_000)))
    await world.open(*states)
    await world.post(*(charge(f"{a}{m}", a, fen, at(f"2018-0{m}-09")) for (a, m), fen in freight_of.items()))
    districts = {"B1": "D1", "B2": "D1", "B3": "D2", None: None}
    for month in range(1, 7):
        await world.run(f"2018-0{month + 1}-01")
        found = await decisions(world, f"2018-0{month}")
        end = last_day(date(2018, month, 1))
        opened = [state for state in states if state.opened_on <= end]
        assert set(found) == {state.account_no for state in opened}
        contenders = []
        for state in opened:
            name = state.account_no
            amounts = [freight_of.get((name, m), 0) for m in range(1, month + 1)]
            row = found[name]
            assert row["grade"] == policy.grade_for(sum(amounts[-3:]), shipped("2008-new"))
            assert row["zero_months"] == policy.zero_run(amounts)
            here = [m for m in state.memberships if m.from_on <= end] or [state.memberships[0]]
            branch = here[-1].branch_code
            contenders.append(Contender(name, state.opened_on, branch, districts[branch], sum(amounts[-3:])))
        if month % 3 == 0:
            expected = policy.service_tiers(contenders, shipped("2008-new"))
            assert {name: (row["service_tier"], row["rank"]) for name, row in found.items()} == expected


@pytest.mark.row("T-01")
async def test_since_is_the_first_close_of_the_unbroken_run(world: World) -> None:
    await world.open(account("A"))
    await world.post(charge("1", "A", 600_000, at("2018-02-10")), charge("2", "A", 600_000, at("2018-09-10")))
    for month in range(2, 12):
        await world.run(f"2018-{month:02d}-01")
    held = {month: (await decisions(world, f"2018-{month:02d}"))["A"] for month in range(1, 11)}
    assert [held[month]["grade"] for month in range(1, 11)] == ["silver", *["gold"] * 3, *["silver"] * 4, *["gold"] * 2]
    assert [held[month]["grade_since"].astimezone(at("2018-01-01").tzinfo).month for month in range(1, 11)] == [
        2, 3, 3, 3, 6, 6, 6, 6, 10, 10,
    ]  # fmt: skip
    tiers = [(held[month]["service_tier"], held[month]["tier_since"]) for month in (3, 6, 9)]
    assert tiers == [
        ("vip", at("2018-04-01", "00:30:00")),
        ("general", at("2018-07-01", "00:30:00")),
        ("vip", at("2018-10-01", "00:30:00")),
    ]
    await world.post(charge("3", "A", 1, at("2018-12-10")))
    await world.run("2019-01-01")
    december = (await decisions(world, "2018-12"))["A"]
    assert (december["service_tier"], december["tier_since"]) == ("vip", at("2018-10-01", "00:30:00")), "a second quarter of it"


async def test_only_what_changed_is_published_and_a_close_is_published_once(world: World) -> None:
    await world.open(account("A"), account("B"))
    await world.post(charge("1", "A", 900, at("2018-01-10")), charge("2", "A", 900, at("2018-04-10")))
    for month in range(2, 8):
        await world.run(f"2018-{month:02d}-01")
    rows = await world.rows("SELECT type, key, event_id, data FROM outbox ORDER BY seq")
    tiers = [TiersChanged.model_validate_json(row["data"]) for row in rows if row["type"] == TiersChanged.TYPE]
    closes = [MonthClosed.model_validate_json(row["data"]) for row in rows if row["type"] == MonthClosed.TYPE]
    for row in rows:
        model = {TiersChanged.TYPE: TiersChanged, MonthClosed.TYPE: MonthClosed}.get(row["type"])
        if model is not None:
            event = model.model_validate_json(row["data"])
            assert (row["event_id"], row["key"]) == (event.event_id, event.key())
            assert json.loads(event.to_bytes()) == json.loads(row["data"])
    assert sorted((e.account_no, e.month.month) for e in tiers) == [("A", 1), ("A", 3), ("B", 1), ("B", 3)]
    assert [(e.month.month, e.quarter and e.quarter.month, e.accounts) for e in closes] == [
        (1, None, 2), (2, None, 2), (3, 1, 2), (4, None, 2), (5, None, 2), (6, 4, 2),
    ]  # fmt: skip
    third = next(e for e in tiers if e.account_no == "A" and e.month.month == 3)
    assert third.service_tier is not None
    assert (third.service_tier.service_tier, third.service_tier.rank, third.service_tier.amount_fen) == ("vip", 1, 900)
    assert third.service_tier.decision_id == natural_id("decision", "A", "2018-03")
    assert third.contribution_grade is not None
    assert third.contribution_grade.average_fen == 300
    assert third.contribution_grade.since == at("2018-02-01", "00:30:00")


async def test_each_thing_that_is_otherwise_than_in_the_closes_before_is_told_and_nothing_else(world: World) -> None:
    """Every account ships the same each month; then one thing of a decision before is made otherwise for each of them."""
    of_quarter = {
        "service_tier": "'vip'", "rank": "rank + 1", "quarter_fen": "quarter_fen + 1", "band": "'A'",
        "focus_general": "NOT focus_general", "green_channel": "NOT green_channel", "special_claims": "NOT special_claims",
        "points_plan": "'another'",
    }  # fmt: skip
    of_month = {"grade": "'gold'", "sum_fen": "sum_fen + 3"}
    unsaid = {"zero_months": "9", "non_insured": "NOT non_insured"}
    await world.publish("2018-few", "2018-01-01", tiers={"vip_top_n": 1, "key_top_n": 1})
    accounts = {column: column.replace("_", "-") for column in (*of_quarter, *of_month, *unsaid)}
    names = [*accounts.values(), "FIRST", "SECOND", "SAME-AVERAGE"]
    await world.open(*(account(name) for name in names), account("NEW", opened_on="2018-06-30"))
    fen = {"FIRST": 9_000, "SECOND": 8_000}
    for month in range(1, 7):
        await world.post(*(charge(f"{name}-{month}", name, fen.get(name, 300), at(f"2018-0{month}-10")) for name in names))
    for month in range(2, 7):
        await world.run(f"2018-0{month}-01")
    changes = [("2018-03-01", accounts[column], column, value) for column, value in (of_quarter | unsaid).items()]
    changes += [("2018-05-01", accounts[column], column, value) for column, value in of_month.items()]
    for day, name, column, value in [*changes, ("2018-05-01", "SAME-AVERAGE", "sum_fen", "sum_fen + 1")]:
        changed = f"UPDATE decisions SET {column} = {value} WHERE account_no = :name AND month = '{day}' RETURNING 1"
        assert await world.rows(changed, name=name)
    await world.run("2018-07-01")
    told = [event["account_no"] for event in await world.events(TiersChanged.TYPE) if event["month"] == "2018-06"]
    assert sorted(told) == sorted(["NEW", *(accounts[column] for column in (*of_quarter, *of_month))])
    marked = await world.rows("SELECT account_no FROM decisions WHERE month = '2018-06-01' AND changed")
    assert sorted(row["account_no"] for row in marked) == sorted(told)


async def test_within_a_quarter_the_event_carries_the_tier_in_force(world: World) -> None:
    await world.open(account("A"))
    await world.post(charge("1", "A", 900, at("2018-03-10")), charge("2", "A", 600_000, at("2018-04-10")))
    for day in ("2018-04-01", "2018-05-01"):
        await world.run(day)
    last = TiersChanged.model_validate(
        {k: v for k, v in (await world.events(TiersChanged.TYPE))[-1].items() if k != "type"}, strict=False
    )
    assert last.month == date(2018, 4, 1)
    assert last.service_tier is not None
    assert (last.service_tier.quarter, last.service_tier.amount_fen) == (date(2018, 1, 1), 900)
    assert last.contribution_grade is not None
    assert last.contribution_grade.grade == "gold"


async def test_a_policy_counts_from_its_day_on(world: World) -> None:
    await world.publish(
        "2018-trial",
        "2018-02-01",
        tiers={"vip_top_n": 1, "key_top_n": 1},
        grades={"diamond_from_fen": 300, "gold_from_fen": 30},
        movements={"fall_over_percent": 10, "zero_months_raised": 1},
    )
    await world.open(account("A"), account("B"), account("C"))
    await world.post(
        *(
            charge(f"{name}{m}", name, fen, at(f"2018-0{m}-09"))
            for name, fen in (("A", 300), ("B", 200), ("C", 29))
            for m in (1, 2, 3)
        )
    )
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    assert (await decisions(world, "2018-01"))["A"]["policy_version"] == "2008-new"
    found = await decisions(world, "2018-03")
    assert {name: (row["grade"], row["service_tier"], row["rank"]) for name, row in found.items()} == {
        "A": ("diamond", "vip", 1),
        "B": ("gold", "key", 1),
        "C": ("silver", "general", 2),
    }
    assert {row["policy_version"] for row in found.values()} == {"2018-trial"}


async def _close(world: World, day: str) -> None:
    async def record(_: AsyncSession) -> bool:
        return True

    await closing.close_months(world.db, at(day, "00:30:00"), record)


async def test_a_posting_held_open_across_a_close_is_in_the_close(world: World) -> None:
    """The gate waits for it: nothing that was posted before the mark is missed."""
    await world.open(account("A"))
    async with world.db.transaction() as session:
        await freight.post(session, [deliver(charge("1", "A", 77, at("2018-01-31")))])
        task = asyncio.create_task(_close(world, "2018-02-01"))
        await asyncio.sleep(0.3)
        assert not task.done()
    await task
    assert (await decisions(world, "2018-01"))["A"]["amount_fen"] == 77
    assert await world.rows("SELECT * FROM dirty_marks") == []


async def test_a_posting_after_the_snapshot_is_in_a_restatement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The close has let the gate go and decides from its snapshot; the charge leaves a mark that the next run judges."""
    await world.open(account("A"))
    await world.post(charge("0", "A", 500, at("2018-01-05")))
    decide = closing._decide
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(session: AsyncSession, month: date, instant: datetime) -> None:
        entered.set()
        await go_on.wait()
        await decide(session, month, instant)

    monkeypatch.setattr(closing, "_decide", slow)
    task = asyncio.create_task(_close(world, "2018-02-01"))
    await entered.wait()
    await world.post(charge("1", "A", 77, at("2018-01-31")))
    go_on.set()
    await task
    assert (await decisions(world, "2018-01"))["A"]["amount_fen"] == 500
    assert await world.rows("SELECT account_no, month::text FROM dirty_marks") == [{"account_no": "A", "month": "2018-01-01"}]
    assert await world.totals() == {("A", "2018-01"): (577, 2)}
    assert [event["change_fen"] for event in await world.events("tiering.month-restated.v1")] == [77]


async def test_with_postings_all_the_time_every_charge_is_in_the_close_or_marked(world: World) -> None:
    """There are more writers than the pool has connections: those that wait at the gate do not starve the close."""
    names = [f"A{n}" for n in range(40)]
    await world.open(*(account(name) for name in names))
    stop = asyncio.Event()
    posted = [asyncio.Event() for _ in range(8)]

    async def writer(number: int) -> None:
        count = 0
        while not stop.is_set():
            await world.post(charge(f"{number}-{count}", names[count % 40], 1, at("2018-01-20")))
            posted[number].set()
            count += 1

    async def everyone_posts() -> None:
        for one in posted:
            one.clear()
        await asyncio.gather(*(one.wait() for one in posted))

    writers = [asyncio.create_task(writer(number)) for number in range(8)]
    await everyone_posts()
    await _close(world, "2018-02-01")
    await everyone_posts()
    stop.set()
    await asyncio.gather(*writers)
    found, totals = await decisions(world, "2018-01"), await world.totals()
    marked = {row["account_no"] for row in await world.rows("SELECT account_no FROM dirty_marks")}
    assert marked
    assert any(row["amount_fen"] for row in found.values())
    for name in names:
        assert found[name]["amount_fen"] == totals.get((name, "2018-01"), (0, 0))[0] or name in marked


async def test_a_close_that_broke_off_is_done_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.open(account("A"))
    await world.post(charge("0", "A", 500, at("2018-01-05")))

    async def broken(*_: Any) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(closing, "_decide", broken)
        with pytest.raises(ConnectionError):
            await _close(world, "2018-02-01")
    assert await world.rows("SELECT month::text, state FROM month_closes") == [{"month": "2018-01-01", "state": "closing"}]
    assert await decisions(world, "2018-01") == {}
    await world.post(charge("1", "A", 77, at("2018-01-31")))
    await world.run("2018-02-01")
    assert (await decisions(world, "2018-01"))["A"]["amount_fen"] == 577
    assert await world.rows("SELECT state FROM month_closes") == [{"state": "closed"}]


def _months(first: date, count: int) -> Sequence[date]:
    return [add_months(first, n) for n in range(count)]


async def test_the_close_says_where_accounts_stood_and_keeps_the_thresholds(world: World, web: Database) -> None:
    await world.open(account("A", "B1", outlet="O1"), account("N", None))
    for month in _months(date(2018, 2, 1), 2):
        await world.run(month.isoformat())
    found = await decisions(world, "2018-02")
    assert (found["A"]["unit_code"], found["N"]["unit_code"], found["N"]["branch_code"]) == ("O1", "HQ", None)
    assert [found["A"][name] for name in ("vip_top_n", "key_top_n", "diamond_from_fen", "gold_from_fen")] == [
        10,
        12,
        1_000_000,
        200_000,
    ]
    async with web.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM decisions"))).scalar() == 0
