"""The customer 360: one page, built from events in any order."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from sqlalchemy import text

from services.customer import accounts, organisation
from services.customer.customer_360 import parcels, reading
from services.customer.schemas import Account360
from services.customer.subscriptions import SUBSCRIPTIONS
from shared import events
from shared.consumer import Dispatcher
from shared.db import Database, HotReads, Scope
from shared.events.envelope import Delivery
from shared.problems import NotFound
from shared.schemas import instant_text
from tests.customer import make
from tests.customer.make import at, charge, closed, movement, said, scan, scores, set_clock, task, ticket, tiers
from tests.deliveries import deliver

pytestmark = pytest.mark.row("C-18", "X-23")

ROOT = Scope(unit_code="HQ", everything=True)


async def arrive(db: Database, *batch: Delivery[Any]) -> None:
    """Hand one batch of one partition to the service, as its consumer does."""
    async with db.transaction() as session:
        assert not await Dispatcher("customer", SUBSCRIPTIONS).handle(session, batch)


async def page(web: Database, account_no: str = "A1", scope: Scope = ROOT) -> dict[str, Any]:
    body = await reading.read(web.hot, scope, account_no)
    Account360.model_validate_json(body)
    answer: dict[str, Any] = orjson.loads(body)
    return answer


def story() -> list[Delivery[Any]]:
    """A shipper's half year: charges, corrections, a fall, a task, late parcels; publication instants as in life."""
    told: list[Delivery[Any]] = [
        deliver(charge("CH-1", 1, 5000, at("2018-02-03")), time=at("2018-02-03")),
        deliver(charge("CH-1", 2, 4000, at("2018-02-03")), time=at("2018-04-10")),
        deliver(charge("CH-2", 1, 1000, at("2018-03-31", "23:59:59")), time=at("2018-03-31")),
        deliver(charge("CH-3", 1, 700, at("2018-03-31", "23:59:59") + timedelta(seconds=1)), time=at("2018-04-01")),
        deliver(charge("CH-4", 1, 900, at("2018-03-01"), "A2"), time=at("2018-03-01")),
        deliver(charge("CH-4", 2, 800, at("2018-03-01"), "A1"), time=at("2018-03-20")),
        deliver(charge("CH-5", 1, 300, at("2018-03-01"), "A1"), time=at("2018-03-01")),
        deliver(charge("CH-5", 2, 0, at("2018-03-01"), "A2"), time=at("2018-03-20")),
        deliver(tiers(month=date(2018, 2, 1), quarter=None), 1, at("2018-03-01", "00:30:00")),
        deliver(tiers(month=date(2018, 3, 1)), 3, at("2018-04-01", "00:30:00")),
        deliver(closed(date(2018, 3, 1)), 1, at("2018-04-01", "00:30:00")),
        deliver(movement(), 2, at("2018-04-01", "00:30:00")),
        deliver(movement(events.MovementRestated, version=2, current_fen=1800), 4, at("2018-04-11", "00:30:00")),
        deliver(movement(month=date(2018, 2, 1), kind="zero_month", zero_months=1), 5, at("2018-04-11", "00:30:00")),
        deliver(scores(), 6, at("2018-04-01", "00:30:00")),
        deliver(scores(version=2, churn_risk=37), 7, at("2018-04-05", "00:30:00")),
        deliver(task(), 1, at("2018-04-01", "00:30:00")),
        deliver(task(events.TaskClaimed, version=2, state="claimed"), 2, at("2018-04-02")),
        deliver(ticket(), 1, at("2018-03-05")),
        deliver(ticket(events.TicketChanged, version=2, state="assigned"), 2, at("2018-03-06")),
        deliver(ticket(waybill_no="W2"), 1, at("2018-03-05")),
        deliver(ticket(events.TicketRefuted, waybill_no="W2", version=2, state="refuted"), 2, at("2018-03-07")),
        deliver(ticket(waybill_no="W3", account_no=None), 1, at("2018-03-05")),
    ]
    for number in range(23):
        first = at("2018-03-01") + timedelta(hours=number)
        for status, after in (("CREATED", 0), ("PICKED_UP", 0), ("DELIVERED", 30), ("TELEPORTED", 99)):
            when = first + timedelta(hours=after)
            account_no = None if status == "DELIVERED" else "A1"
            told.append(deliver(scan(f"W{number:02d}", status, when, account_no), time=when))
    return told


def partitions(told: Sequence[Delivery[Any]]) -> list[list[Delivery[Any]]]:
    """Batches as partitions give them: of our own topics each key in order, the inbound ones in any."""
    kept: dict[tuple[str, str], list[Delivery[Any]]] = {}
    for delivery in told:
        kept.setdefault((delivery.topic, delivery.event.key()), []).append(delivery)
    return list(kept.values())


async def opened(db: Database) -> None:
    await set_clock(db, at("2018-04-15"))
    async with db.transaction() as session:
        await accounts.put_accounts(session, [said(), said("A2")], make.SEAL, "tests")


async def test_a_story_in_any_order_and_twice_gives_one_page(db: Database, web: Database) -> None:
    """C-18, in part: account, unit path, tiers, freight, movements, tasks, tickets and parcels in one call; money beyond
    freight, touches and campaigns come later."""
    await opened(db)
    pages: list[dict[str, Any]] = []
    for seed in range(5):
        chance = random.Random(seed)
        told = story()
        if seed:
            async with db.transaction() as session:
                for table in ("charges", "months", "tiers", "scores", "items", "parcels"):
                    await session.execute(text(f"DELETE FROM overview_{table}"))
                await session.execute(text("DELETE FROM closed_months"))
                await session.execute(
                    text(
                        "UPDATE account_360 SET scores = NULL, "
                        "movements = NULL, tasks = NULL, tickets = NULL, parcels = NULL, months = '{}', "
                        "freight_as_of = NULL, tiers_as_of = NULL, service_tier = NULL, contribution_grade = NULL"
                    )
                )
            inbound = [delivery for delivery in told if delivery.topic in events.INBOUND_TOPICS]
            inbound += chance.sample(inbound, len(inbound) // 2)
            chance.shuffle(inbound)
            streams = [[delivery] for delivery in inbound]
            streams += partitions([delivery for delivery in told if delivery.topic not in events.INBOUND_TOPICS])
            streams += chance.sample(streams, len(streams) // 3)
            chance.shuffle(streams)
            told = list(itertools.chain.from_iterable(streams))
        size = (len(told), 1, 7, 40, 100)[seed]
        for start in range(0, len(told), size):
            await arrive(db, *told[start : start + size])
        pages.append({"A1": await page(web), "A2": await page(web, "A2")})
    assert pages[0]["A1"] == EXPECTED
    assert pages[0]["A2"]["freight"]["months"][12] == {"month": "2018-03", "amount_fen": 0}
    assert all(other == pages[0] for other in pages)


GRADE = {
    "grade": "gold",
    "month": "2018-03",
    "average_fen": 23333,
    "since": "2018-04-01T00:30:00+08:00",
    "decision_id": make.decision_id("A1", date(2018, 3, 1)),
    "end": "high",
}
TIER = {
    "service_tier": "vip",
    "rank": 3,
    "amount_fen": 70000,
    "quarter": "2018-Q1",
    "since": "2018-04-01T00:30:00+08:00",
    "decision_id": make.decision_id("A1", date(2018, 3, 1)),
    "band": "A",
    "focus_general": False,
    "green_channel": True,
    "special_claims": True,
    "points_plan": "vip",
}
EXPECTED = {
    "account": {
        "account_no": "A1",
        "branch_code": "BR-1",
        "district_code": "D1",
        "outlet_code": None,
        "opened_on": "2017-05-04",
        "status": "open",
    },
    "unit_path": ["HQ", "D1", "BR-1"],
    "tiers": {"as_of": "2018-04-01T00:30:00+08:00", "service_tier": TIER, "contribution_grade": GRADE},
    "freight": {
        "as_of": "2018-04-10T10:00:00+08:00",
        "months": [
            *({"month": f"2017-{month:02d}", "amount_fen": 0} for month in range(3, 13)),
            {"month": "2018-01", "amount_fen": 0},
            {"month": "2018-02", "amount_fen": 4000},
            {"month": "2018-03", "amount_fen": 1800},
            {"month": "2018-04", "amount_fen": 700},
        ],
    },
    "scores": {
        "as_of": "2018-04-05T00:30:00+08:00",
        "month": "2018-03",
        "rfm": {"recency_score": 5, "frequency_score": 4, "money_score": 3},
        "clv_fen": 250_000,
        "churn_risk": 37,
        "forecast": {"forecast_fen": 20_000, "low_fen": 15_000, "high_fen": 25_000},
    },
    "movements": {
        "as_of": "2018-04-11T00:30:00+08:00",
        "items": [
            {
                "movement_id": str(make.movement(month=month).movement_id),
                "account_no": "A1",
                "branch_code": "BR-1",
                "month": month.strftime("%Y-%m"),
                "kind": kind,
                "zero_months": zero_months,
                "previous_fen": 5000,
                "current_fen": current_fen,
                "state": "open",
                "detected_at": "2018-04-01T00:30:00+08:00",
                "decision_id": str(make.movement(month=month).decision_id),
            }
            for month, kind, zero_months, current_fen in (
                (date(2018, 2, 1), "zero_month", 1, 1000),
                (date(2018, 3, 1), "fall_over_half", None, 1800),
            )
        ],
    },
    "tasks": {
        "as_of": "2018-04-02T10:00:00+08:00",
        "items": [
            {
                "task_id": str(make.task().task_id),
                "kind": "movement",
                "account_no": "A1",
                "role": "district_head",
                "unit_code": "D1",
                "state": "claimed",
                "due_at": "2018-07-01T00:00:00+08:00",
                "reason": {
                    "movement_id": str(make.movement().movement_id),
                    "month": "2018-03",
                    "quarter": None,
                    "kind": "fall_over_half",
                },
                "in_person": False,
                "priority": False,
                "assist": [],
            }
        ],
    },
    "tickets": {
        "as_of": "2018-03-07T10:00:00+08:00",
        "items": [
            {
                "ticket_id": str(make.ticket().ticket_id),
                "class": "problem_parcel",
                "cause_hint": "late",
                "waybill_no": "W1",
                "account_no": "A1",
                "priority": "P3",
                "opened_at": "2018-03-05T10:00:00+08:00",
                "due_at": "2018-03-08T16:00:00+08:00",
                "state": "assigned",
            }
        ],
    },
    "parcels": {
        "as_of": (at("2018-03-02", "16:00:00") + timedelta(hours=22)).isoformat(),
        "items": [
            {
                "waybill_no": f"W{number:02d}",
                "account_no": "A1",
                "status": "DELIVERED",
                "occurred_at": (at("2018-03-02", "16:00:00") + timedelta(hours=number)).isoformat(),
            }
            for number in range(22, 2, -1)
        ],
    },
}


async def test_a_page_is_read_with_one_statement(db: Database, web: Database, account: str) -> None:
    asked: list[str] = []
    reads = HotReads(web.url, web.settings, 1)
    await reading.read(reads, Scope("BR-1"), account)
    reads.idle[0].add_query_logger(lambda record: asked.append(record.query))
    await reading.read(reads, Scope("BR-1"), account)
    await asyncio.sleep(0)  # the driver tells its loggers afterwards
    reads.close()
    assert len(asked) == 1


async def test_a_read_that_was_given_up_or_lost_leaves_no_connection_that_answers_it(web: Database, account: str) -> None:
    reads = HotReads(web.url, web.settings, 1)
    slow = asyncio.create_task(reads.row("SELECT pg_sleep(4)"))
    await asyncio.sleep(0.1)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    with pytest.raises(asyncpg.DivisionByZeroError):
        await reads.row("SELECT 1 / 0")
    assert orjson.loads(await reading.read(reads, ROOT, account))["account"]["account_no"] == "A1"
    reads.idle[0].terminate()
    assert orjson.loads(await reading.read(reads, ROOT, account))["account"]["account_no"] == "A1"
    assert len(reads.idle) == 1
    reads.close()


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        (Scope("HQ", everything=True), True),
        (Scope("HQ"), True),
        (Scope("D1"), True),
        (Scope("BR-1"), True),
        (Scope(account_no="A1"), True),
        (Scope("OUT-1"), False),
        (Scope("BR-2"), False),
        (Scope("D2"), False),
        (Scope("NOWHERE"), False),
        (Scope(), False),
        (Scope(account_no="A2"), False),
    ],
)
async def test_what_lies_outside_the_caller_s_unit_is_not_found(web: Database, account: str, scope: Scope, seen: bool) -> None:
    if seen:
        assert (await page(web, scope=scope))["account"]["account_no"] == "A1"
        return
    with pytest.raises(NotFound):
        await page(web, scope=scope)


async def test_one_caller_s_scope_never_reaches_the_next(db: Database, web: Database, account: str) -> None:
    async def ask(scope: Scope) -> bool:
        try:
            await reading.read(web.hot, scope, account)
        except NotFound:
            return False
        return True

    scopes = [(Scope("BR-1"), True), (Scope("BR-2"), False), (ROOT, True), (Scope(account_no="A2"), False), (Scope(), False)] * 40
    random.Random(1).shuffle(scopes)
    assert await asyncio.gather(*(ask(scope) for scope, _ in scopes)) == [seen for _, seen in scopes]
    for connection in web.hot.idle:
        assert await connection.fetchval("SELECT count(*) FROM account_360") == 0


async def test_a_new_account_has_an_empty_page(db: Database, web: Database, account: str) -> None:
    await set_clock(db, at("2018-01-01", "00:00:00"))
    answer = await page(web)
    nothing = {"as_of": "2017-05-04T00:00:00+08:00", "items": []}
    assert answer["tiers"] == {"as_of": "2017-05-04T00:00:00+08:00", "service_tier": None, "contribution_grade": None}
    assert [answer[section] for section in ("movements", "tasks", "tickets", "parcels")] == [nothing] * 4
    months = [item["month"] for item in answer["freight"]["months"]]
    assert (months[0], months[-1]) == ("2016-12", "2018-01")
    assert {item["amount_fen"] for item in answer["freight"]["months"]} == {0}


@pytest.mark.row("C-63")
async def test_the_page_shows_what_tiering_thinks_the_account_is_worth(db: Database, web: Database, account: str) -> None:
    """And to the shipper itself an empty section: what the carrier thinks of it is not its business."""
    empty = {
        "as_of": "2017-05-04T00:00:00+08:00",
        "month": None,
        "rfm": None,
        "clv_fen": None,
        "churn_risk": None,
        "forecast": None,
    }
    assert (await page(web))["scores"] == empty
    await arrive(db, deliver(scores(version=2, churn_risk=37), 2, at("2018-04-05", "00:30:00")))
    await arrive(db, deliver(scores(), 1, at("2018-04-01", "00:30:00")))
    assert (await page(web))["scores"] == EXPECTED["scores"]
    assert (await page(web, scope=Scope(account_no="A1")))["scores"] == empty


async def test_the_running_month_follows_the_business_clock(db: Database, web: Database, account: str) -> None:
    await arrive(db, deliver(charge(charged_at=at("2018-03-01", "00:00:00"))))
    for instant, first, last in (
        (at("2018-03-31", "23:59:59"), "2017-02", "2018-03"),
        (at("2018-03-31", "23:59:59") + timedelta(seconds=1), "2017-03", "2018-04"),
        (at("2018-12-31"), "2017-11", "2018-12"),
        (at("2019-04-01"), "2018-03", "2019-04"),
        (at("2019-05-01"), "2018-04", "2019-05"),
    ):
        await set_clock(db, instant)
        months = (await page(web))["freight"]["months"]
        assert (months[0]["month"], months[-1]["month"]) == (first, last)
        assert sum(month["amount_fen"] for month in months) == (0 if first > "2018-03" else 1000)


async def test_a_close_without_news_confirms_what_was_decided(db: Database, web: Database, account: str) -> None:
    await set_clock(db, at("2018-08-01", "00:30:00"))
    await arrive(db, deliver(tiers(month=date(2018, 3, 1))), deliver(closed(date(2018, 3, 1))))
    await arrive(db, deliver(closed(date(2018, 4, 1))))
    answer = (await page(web))["tiers"]
    assert answer["as_of"] == "2018-05-01T00:30:00+08:00"
    assert answer["service_tier"] == TIER
    assert answer["contribution_grade"] == GRADE | {
        "month": "2018-04",
        "decision_id": make.decision_id("A1", date(2018, 4, 1)),
    }
    await arrive(db, deliver(closed(date(2018, 7, 1))))
    answer = (await page(web))["tiers"]
    assert answer["service_tier"] == TIER | {"quarter": "2018-Q2", "decision_id": make.decision_id("A1", date(2018, 6, 1))}
    assert answer["contribution_grade"] == GRADE | {
        "month": "2018-07",
        "decision_id": make.decision_id("A1", date(2018, 7, 1)),
    }


async def test_a_close_confirms_nothing_for_an_account_opened_after_it(db: Database, web: Database) -> None:
    async with db.transaction() as session:
        await accounts.put_accounts(session, [said(opened_on="2018-05-01")], make.SEAL, "tests")
    await arrive(db, deliver(tiers(month=date(2018, 3, 1))), deliver(closed(date(2018, 4, 1))))
    assert (await page(web))["tiers"]["contribution_grade"] == GRADE
    await arrive(db, deliver(closed(date(2018, 5, 1))))
    assert (await page(web))["tiers"]["contribution_grade"]["month"] == "2018-05"


async def test_an_old_state_never_comes_back(db: Database, web: Database, account: str) -> None:
    await arrive(db, deliver(task(events.TaskDone, version=3, state="done"), 9))
    await arrive(db, deliver(task(), 7), deliver(tiers(grade="silver"), 5))
    await arrive(db, deliver(tiers(grade="gold"), 5))
    answer = await page(web)
    assert answer["tasks"]["items"] == []
    assert answer["tiers"]["contribution_grade"]["grade"] == "silver"


async def test_a_ticket_that_changes_its_account_changes_pages(db: Database, web: Database) -> None:
    await opened(db)
    await arrive(db, deliver(ticket(), 1))
    await arrive(db, deliver(ticket(events.TicketChanged, version=2, account_no="A2"), 2))
    assert (await page(web, "A1"))["tickets"]["items"] == []
    assert len((await page(web, "A2"))["tickets"]["items"]) == 1


async def test_what_is_said_before_the_account_is_known_shows_once_it_is(db: Database, web: Database) -> None:
    await arrive(db, deliver(task(account_no="P1"), 1), deliver(tiers("P1"), 1))
    with pytest.raises(NotFound):
        await page(web, "P1")
    await arrive(db, deliver(scan(account_no="P1")))
    answer = await page(web, "P1", Scope("BR-1"))
    assert len(answer["tasks"]["items"]) == 1
    assert answer["tiers"]["service_tier"]["rank"] == 3


async def test_a_moved_unit_and_a_moved_account_show_their_new_path(db: Database, web: Database, account: str) -> None:
    await set_clock(db, at("2018-03-01"))
    async with db.transaction() as session:
        await organisation.put_units(session, [organisation.Unit("BR-1", "branch", "D2", None)], "tests")
    answer = await page(web, scope=Scope("D2"))
    assert (answer["unit_path"], answer["account"]["district_code"]) == (["HQ", "D2", "BR-1"], "D2")
    async with db.transaction() as session:
        await accounts.put_accounts(session, [said(branch="BR-2")], make.SEAL, "tests")
    assert (await page(web, scope=Scope("BR-2")))["unit_path"] == ["HQ", "D1", "BR-2"]
    with pytest.raises(NotFound):
        await page(web, scope=Scope("D2"))


async def test_partitions_of_all_topics_meet_on_the_same_pages(db: Database, web: Database) -> None:
    """Freight, scans, tickets and tasks of the same accounts at the same time: no deadlock, no lost part."""
    numbers = [f"A{number}" for number in range(12)]
    async with db.transaction() as session:
        await accounts.put_accounts(session, [said(number) for number in numbers], make.SEAL, "tests")
    await set_clock(db, at("2018-04-15"))

    def batches(place: int) -> list[list[Delivery[Any]]]:
        chance = random.Random(place)
        told = []
        for round_ in range(8):
            mixed = chance.sample(numbers, len(numbers))
            charges = [deliver(charge(f"C{number}-{place}-{round_}", account_no=number)) for number in mixed]
            scans = [deliver(scan(f"W{number}-{place}-{round_}", account_no=number)) for number in mixed]
            tickets = [deliver(ticket(waybill_no=f"W{number}-{place}-{round_}", account_no=number), 1) for number in mixed]
            changed = [
                deliver(ticket(events.TicketChanged, f"W{number}-{place}-{round_}", 2, "resolved", number), 2)
                for number in mixed[:6]
            ]
            told.append(([*charges], [*scans], [*tickets, *changed])[(place + round_) % 3])
        return told

    async def partition(place: int) -> None:
        for batch in batches(place):
            await arrive(db, *batch)

    await asyncio.gather(*(partition(place) for place in range(4)))
    told = [delivery for place in range(4) for batch in batches(place) for delivery in batch]
    for number in numbers:
        mine = [delivery.event for delivery in told if delivery.event.account_no == number]
        answer = await page(web, number)
        charged = sum(event.amount_fen for event in mine if isinstance(event, events.FreightCharged))
        scanned = sum(isinstance(event, events.ShipmentStatusChanged) for event in mine)
        opened_ = sum(isinstance(event, events.TicketOpened) for event in mine)
        resolved = sum(isinstance(event, events.TicketChanged) for event in mine)
        assert answer["freight"]["months"][12]["amount_fen"] == charged
        assert len(answer["parcels"]["items"]) == scanned
        assert len(answer["tickets"]["items"]) == opened_ - resolved


async def test_the_latest_parcels_are_those_of_all_scans_however_they_come(db: Database, web: Database) -> None:
    """Twenty of many, by last scan and then number; scans come late, again, on the same instant, and name another account."""
    await opened(db)
    chance = random.Random(7)
    told = []
    for number in range(45):
        start = at("2018-03-01") + timedelta(hours=chance.randrange(40))
        for step, status in enumerate(("CREATED", "PICKED_UP", "DELIVERED")):
            account_no = "A2" if chance.random() < 0.15 else "A1"
            instant = start + timedelta(hours=step, microseconds=chance.choice((0, 0, 1)))
            told.append(
                deliver(scan(f"W{number}", status, instant, account_no), time=at("2018-03-05") + len(told) * timedelta(1))
            )
    chance.shuffle(told)
    while told:
        size = chance.randrange(1, 12)
        await arrive(db, *told[:size])
        told = told[size:] + (chance.sample(told[:size], 1) if chance.random() < 0.5 and len(told) > size else [])
        for account_no in ("A1", "A2"):
            async with db.transaction() as session:
                rows = (
                    await session.execute(
                        text(
                            "SELECT waybill_no, account_no, status, occurred_at, as_of FROM overview_parcels "
                            "WHERE account_no = :account_no ORDER BY occurred_at DESC, waybill_no"
                        ),
                        {"account_no": account_no},
                    )
                ).all()
            shown = [{**row._asdict(), "occurred_at": instant_text(row.occurred_at)} for row in rows[:20]]
            as_of = [one.pop("as_of") for one in shown] and instant_text(max(row.as_of for row in rows))
            assert (await page(web, account_no))["parcels"]["items"] == shown
            assert not shown or (await page(web, account_no))["parcels"]["as_of"] == as_of
    assert len((await page(web, "A1"))["parcels"]["items"]) == 20


async def test_a_scan_that_was_taken_back_is_not_on_the_page(db: Database, web: Database) -> None:
    """An event that fails is parked and its savepoint taken back; its neighbours of the same batch stand."""
    await opened(db)
    await arrive(db, deliver(scan("W1", "CREATED", at("2018-03-01"))))
    async with db.transaction() as session:
        savepoint = await session.begin_nested()
        await parcels.note_scans(session, [deliver(scan("W1", "DELIVERED", at("2018-03-03"))), deliver(scan("W2"))])
        await savepoint.rollback()
        await parcels.note_scans(session, [deliver(scan("W3", "PICKED_UP", at("2018-03-02")))])
    items = (await page(web))["parcels"]["items"]
    assert [(item["waybill_no"], item["status"]) for item in items] == [("W3", "PICKED_UP"), ("W1", "CREATED")]
