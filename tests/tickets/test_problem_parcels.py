"""Problem parcels by scans: one ticket per waybill and cause, and its deadline in working hours."""

from datetime import datetime

import pytest

from services.tickets import deadlines
from shared import working_days
from shared.db import Database
from shared.ids import natural_id
from tests.tickets.make import at, published, record, rows, scan, tickets_of


@pytest.mark.row("K-41")
@pytest.mark.parametrize("status", ["DAMAGED", "LOST", "REFUSED", "DELAYED"])
async def test_a_problem_opens_its_ticket_at_its_instant(tickets_db: Database, status: str) -> None:
    await record(tickets_db, scan(status, at("2018-03-07", "10:00:00")))
    (ticket,) = await rows(tickets_db, "SELECT * FROM tickets")
    assert ticket["ticket_id"] == natural_id("ticket", "W1", status.lower())
    assert (ticket["class"], ticket["cause_hint"], ticket["priority"], ticket["state"]) == (
        "problem_parcel",
        status.lower(),
        "P3",
        "open",
    )
    assert (ticket["opened_at"], ticket["due_at"]) == (at("2018-03-07", "10:00:00"), at("2018-03-09", "16:00:00"))
    ((event, data),) = [(event, data) for event, *data in await published(tickets_db, "class", "waybill_no", "account_no")]
    assert (event, data) == ("opened", ["problem_parcel", "W1", "A1"])


async def test_a_parcel_has_one_ticket_for_each_cause(tickets_db: Database) -> None:
    await record(
        tickets_db, scan("DELAYED", at("2018-03-07")), scan("DAMAGED", at("2018-03-08")), scan("DELAYED", at("2018-03-09"))
    )
    await record(tickets_db, scan("DELAYED", at("2018-03-10")))
    assert [ticket[1:4] for ticket in await tickets_of(tickets_db)] == [
        ("damaged", "open", at("2018-03-08")),
        ("delayed", "open", at("2018-03-07")),
    ]
    assert [event for event, *_ in await published(tickets_db)] == ["opened", "opened"]


async def test_an_earlier_scan_that_arrives_later_moves_opening_and_deadline_back(tickets_db: Database) -> None:
    await record(tickets_db, scan("LOST", at("2018-03-08", "10:00:00")))
    await record(tickets_db, scan("LOST", at("2018-03-07", "10:00:00")))
    (ticket,) = await rows(tickets_db, "SELECT opened_at, due_at, version FROM tickets")
    assert ticket == {"opened_at": at("2018-03-07", "10:00:00"), "due_at": at("2018-03-09", "16:00:00"), "version": 2}
    assert await published(tickets_db, "version") == [("opened", 1), ("changed", 2)]


async def test_tickets_follow_their_parcel_to_another_account(tickets_db: Database) -> None:
    await record(tickets_db, scan("DAMAGED", at("2018-03-07"), account_no=None, branch=None))
    await record(tickets_db, scan("ARRIVED", at("2018-03-08"), account_no="A9", branch="BR-RJ"))
    assert await rows(tickets_db, "SELECT account_no, branch_code FROM tickets") == [{"account_no": "A9", "branch_code": "BR-RJ"}]
    assert await published(tickets_db, "account_no", "branch_code") == [("opened", None, None), ("changed", "A9", "BR-RJ")]


async def test_events_say_no_free_text_and_no_person(tickets_db: Database) -> None:
    await record(tickets_db, scan("DAMAGED", exception_code="E1"))
    (row,) = await rows(tickets_db, "SELECT data::jsonb AS data FROM outbox")
    assert set(row["data"]) == {
        "ticket_id", "class", "cause_hint", "waybill_no", "account_no", "branch_code", "priority", "opened_at", "due_at", "state",
        "changed_at", "version", "cause_code",
    }  # fmt: skip


@pytest.mark.row("K-41")
@pytest.mark.parametrize(
    ("opened_at", "due_at"),
    [
        (at("2018-03-05", "09:00:00"), at("2018-03-07", "15:00:00")),  # Monday morning
        (at("2018-03-09", "17:00:00"), at("2018-03-14", "14:00:00")),  # Friday evening, over a weekend
        (at("2018-03-10", "11:00:00"), at("2018-03-14", "15:00:00")),  # a Saturday
        (at("2018-02-14", "12:00:00"), at("2018-02-23", "18:00:00")),  # Spring Festival: 15-21 February
        (at("2018-02-23", "09:00:00"), at("2018-02-26", "15:00:00")),  # Saturday 24 February makes up for the festival
        (at("2018-04-28", "03:00:00"), at("2018-05-03", "15:00:00")),  # make-up Saturday before 1 May
    ],
)
async def test_24_working_hours_respect_weekends_festivals_and_make_up_days(
    tickets_db: Database, opened_at: datetime, due_at: datetime
) -> None:
    async with tickets_db.transaction() as session:
        calendar = await working_days.load(session, *deadlines.days_needed([opened_at]))
    assert deadlines.due_at(calendar, opened_at, "P3") == due_at


@pytest.mark.row("K-41")
@pytest.mark.parametrize(
    ("priority", "due_at"),
    [
        ("P1", at("2018-03-05", "12:00:00")),
        ("P2", at("2018-03-05", "18:00:00")),
        ("P3", at("2018-03-07", "16:00:00")),
        ("P4", at("2018-03-15", "10:00:00")),
    ],
)
async def test_the_deadline_hangs_on_the_priority(tickets_db: Database, priority: str, due_at: datetime) -> None:
    opened_at = at("2018-03-05", "10:00:00")
    async with tickets_db.transaction() as session:
        calendar = await working_days.load(session, *deadlines.days_needed([opened_at]))
    assert deadlines.due_at(calendar, opened_at, priority) == due_at
