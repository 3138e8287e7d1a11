"""Late parcels: judged in event time, to the second, when the promise has passed."""

import pytest

from shared.db import Database
from shared.ids import natural_id
from tests.conftest import Server
from tests.tickets.make import at, judge, published, record, rows, scan, tickets_of

PROMISED = at("2018-03-09", "23:59:59")
NEXT_DAY = at("2018-03-10", "00:30:00")
LATER = at("2018-03-20", "00:30:00")


@pytest.mark.row("K-41")
async def test_a_parcel_not_delivered_by_its_promise_gets_one_ticket_opened_at_the_promise(tickets_db: Database) -> None:
    """Of K-41 the problem parcels are due here, and complaints and opinions by hand (test_tickets)."""
    await record(tickets_db, scan("CREATED", promised_at=PROMISED))
    for instant in (NEXT_DAY, NEXT_DAY, LATER):
        await judge(tickets_db, instant)
    (ticket,) = await rows(tickets_db, "SELECT * FROM tickets")
    assert ticket["ticket_id"] == natural_id("ticket", "W1", "late")
    assert (ticket["class"], ticket["cause_hint"], ticket["priority"], ticket["state"]) == (
        "problem_parcel",
        "late",
        "P3",
        "open",
    )
    assert (ticket["opened_at"], ticket["due_at"]) == (PROMISED, at("2018-03-14", "15:00:00"))
    assert (ticket["account_no"], ticket["branch_code"]) == ("A1", "BR-SP")
    assert await published(tickets_db, "state", "changed_at") == [("opened", "open", "2018-03-10T00:30:00+08:00")]


@pytest.mark.row("K-41")
@pytest.mark.parametrize(
    ("delivered", "late"), [("23:59:58", False), ("23:59:59", False), ("23:59:59.000001", True)], ids=["before", "same", "after"]
)
async def test_delivered_in_the_promised_second_is_in_time(tickets_db: Database, delivered: str, late: bool) -> None:
    await record(tickets_db, scan("CREATED", promised_at=PROMISED), scan("DELIVERED", at("2018-03-09", delivered)))
    await judge(tickets_db, NEXT_DAY)
    assert len(await tickets_of(tickets_db)) == late


async def test_a_promise_of_the_very_instant_of_the_run_is_judged_by_the_next_one(tickets_db: Database) -> None:
    await record(tickets_db, scan("CREATED", promised_at=NEXT_DAY))
    await judge(tickets_db, NEXT_DAY)
    assert await tickets_of(tickets_db) == []
    await record(tickets_db, scan("DELIVERED", NEXT_DAY))
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == []


@pytest.mark.parametrize("status", ["DELIVERED", "CANCELLED", "RETURNED", "REFUSED"])
async def test_what_settles_a_parcel_by_its_promise_keeps_it_whatever_scans_follow(tickets_db: Database, status: str) -> None:
    await record(
        tickets_db,
        scan("CREATED", promised_at=PROMISED),
        scan(status, at("2018-03-07")),
        scan("PICKED_UP", at("2018-03-08")),
        scan("IN_TRANSIT", at("2018-03-12")),
    )
    await judge(tickets_db, LATER)
    assert [ticket[1] for ticket in await tickets_of(tickets_db)] == (["refused"] if status == "REFUSED" else [])


@pytest.mark.row("K-61")
async def test_cancelled_after_the_promise_or_only_damaged_is_late(tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=PROMISED, waybill_no="W1"), scan("CANCELLED", at("2018-03-11"), waybill_no="W1"))
    await record(
        tickets_db, scan(promised_at=PROMISED, waybill_no="W2"), scan("AT_PICKUP_POINT", at("2018-03-08"), waybill_no="W2")
    )
    await judge(tickets_db, LATER)
    assert [ticket[:3] for ticket in await tickets_of(tickets_db)] == [("W1", "late", "open"), ("W2", "late", "open")]


async def test_a_delivery_after_the_promise_is_noted_and_announces_nothing(tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=PROMISED))
    await judge(tickets_db, NEXT_DAY)
    await record(tickets_db, scan("DELIVERED", at("2018-03-12")))
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == [("W1", "late", "open", PROMISED, at("2018-03-12"))]
    assert [event for event, *_ in await published(tickets_db)] == ["opened"]


async def test_a_delivery_known_before_the_judging_is_noted_at_once(tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=PROMISED), scan("DELIVERED", at("2018-03-10", "00:10:00")))
    await judge(tickets_db, NEXT_DAY)
    assert await tickets_of(tickets_db) == [("W1", "late", "open", PROMISED, at("2018-03-10", "00:10:00"))]


@pytest.mark.row("K-41")
async def test_a_scan_that_proves_delivery_in_time_refutes_the_ticket(tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=PROMISED))
    await judge(tickets_db, NEXT_DAY)
    await record(tickets_db, scan("DELIVERED", PROMISED))
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == [("W1", "late", "refuted", PROMISED, PROMISED)]
    assert [event for event, *_ in await published(tickets_db)] == ["opened", "refuted"]


async def test_a_refuted_ticket_is_late_again_by_a_promise_that_comes_to_light(tickets_db: Database) -> None:
    await record(tickets_db, scan("CREATED", promised_at=PROMISED))
    await judge(tickets_db, NEXT_DAY)
    await record(tickets_db, scan("DELIVERED", at("2018-03-09")))
    earlier = scan("ARRIVED", at("2018-03-08", "10:00:00"), promised_at=at("2018-03-08", "18:00:00"))
    await record(tickets_db, earlier)
    assert await tickets_of(tickets_db) == [("W1", "late", "open", at("2018-03-08", "18:00:00"), at("2018-03-09"))]
    assert [event for event, *_ in await published(tickets_db)] == ["opened", "refuted", "changed"]


async def test_a_new_promise_said_in_time_takes_the_place_of_the_old_one(tickets_db: Database) -> None:
    await record(
        tickets_db, scan("CREATED", promised_at=PROMISED), scan("PICKED_UP", at("2018-03-08"), promised_at=at("2018-03-15"))
    )
    await judge(tickets_db, at("2018-03-15", "00:30:00"))
    assert await tickets_of(tickets_db) == []
    await judge(tickets_db, at("2018-03-16", "00:30:00"))
    assert [ticket[3] for ticket in await tickets_of(tickets_db)] == [at("2018-03-15")]


async def test_a_new_promise_said_after_the_old_one_had_passed_does_not_heal_it(tickets_db: Database) -> None:
    await record(
        tickets_db,
        scan("CREATED", promised_at=PROMISED),
        scan("DELAYED", at("2018-03-10", "08:00:00"), promised_at=at("2018-03-15")),
        scan("DELIVERED", at("2018-03-14")),
    )
    await judge(tickets_db, LATER)
    assert ("W1", "late", "open", PROMISED, at("2018-03-14")) in await tickets_of(tickets_db)


async def test_a_new_promise_that_arrives_late_refutes_and_is_judged_in_its_turn(tickets_db: Database) -> None:
    await record(tickets_db, scan("CREATED", promised_at=PROMISED))
    await judge(tickets_db, NEXT_DAY)
    await record(tickets_db, scan("PICKED_UP", at("2018-03-08"), promised_at=at("2018-03-15")))
    assert [ticket[2] for ticket in await tickets_of(tickets_db)] == ["refuted"]
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == [("W1", "late", "open", at("2018-03-15"), None)]
    assert [event for event, *_ in await published(tickets_db)] == ["opened", "refuted", "changed"]


async def test_without_a_promise_nothing_is_late(tickets_db: Database) -> None:
    await record(tickets_db, scan("CREATED"))
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == []


async def test_what_a_person_resolved_is_not_refuted(tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=PROMISED))
    await judge(tickets_db, NEXT_DAY)
    await rows(tickets_db, "UPDATE tickets SET state = 'resolved' RETURNING 1")
    await record(tickets_db, scan("DELIVERED", at("2018-03-09")))
    await judge(tickets_db, LATER)
    assert await tickets_of(tickets_db) == [("W1", "late", "resolved", PROMISED, at("2018-03-09"))]


async def test_the_schedule_finds_its_parcels_by_an_index(tickets_db: Database, postgres: Server) -> None:
    await rows(
        tickets_db,
        "INSERT INTO parcels (waybill_no, next_due_at) SELECT n, timestamptz '2020-01-01' + n * interval '1 minute' "
        "FROM generate_series(1, 20000) n RETURNING 1",
    )
    await postgres.analyze(tickets_db, "parcels")
    async with tickets_db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = await connection.exec_driver_sql(
            "EXPLAIN SELECT waybill_no FROM parcels WHERE next_due_at < '2020-01-01 02:00' ORDER BY waybill_no FOR UPDATE"
        )
        assert "parcels_next_due" in "".join(line for (line,) in plan)
