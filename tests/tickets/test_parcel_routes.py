"""Routes: where the parcels of a month went, told once when it is over."""

from datetime import datetime

import pytest
from sqlalchemy import text

from services.tickets import parcel_routes
from shared.db import Database
from shared.events.tickets import RoutesCounted
from tests.tickets.make import at, drive, record, rows, scan


async def count(db: Database, instant: datetime) -> list[RoutesCounted]:
    """Let the schedule run at an instant and return all that was ever told."""
    await drive(db, instant)
    async with db.transaction() as session:
        await parcel_routes.count(session, instant)
    told = await rows(db, "SELECT data FROM outbox WHERE type = :type ORDER BY seq", type=RoutesCounted.TYPE)
    return [RoutesCounted.model_validate_json(row["data"]) for row in told]


@pytest.mark.row("T-28")
async def test_a_month_is_told_once_with_what_was_picked_up_in_it(tickets_db: Database) -> None:
    edge = {"route": ("SP", "RJ"), "account_no": "A1"}
    await record(
        tickets_db,
        scan("PICKED_UP", at("2018-02-28", "23:59:59"), waybill_no="W0", **edge),
        scan("PICKED_UP", at("2018-03-01", "00:00:00"), waybill_no="W1", **edge),
        scan("PICKED_UP", at("2018-03-31", "23:59:59"), waybill_no="W2", **edge),
        scan("PICKED_UP", at("2018-03-31", "22:00:00"), waybill_no="W2", **edge),
        scan("PICKED_UP", at("2018-04-01", "00:00:00"), waybill_no="W3", **edge),
        scan("CREATED", at("2018-03-05"), waybill_no="W4", **edge),
        scan("PICKED_UP", at("2018-03-05"), waybill_no="W5", account_no="A1", route=("", "MG")),
        scan("PICKED_UP", at("2018-03-05"), waybill_no="W6", account_no="A1", route=("SP", "")),
        scan("PICKED_UP", at("2018-03-05"), waybill_no="W7", account_no=None, route=("SP", "RJ")),
        scan("PICKED_UP", at("2018-03-06"), waybill_no="W8", account_no="A1", route=("SP", "RJ")),
        scan("DELIVERED", at("2018-03-07"), waybill_no="W8", account_no="A2"),
    )
    assert await count(tickets_db, at("2018-03-31", "00:30:00")) == []
    first, second = await count(tickets_db, at("2018-04-01", "00:30:00"))
    assert (first.account_no, first.month.isoformat(), first.parcels) == ("A1", "2018-03-01", 3)
    assert [(one.origin_region, one.destination_region, one.parcels, one.waybill_nos) for one in first.routes] == [
        ("SP", "RJ", 2, ("W1", "W2")),
        ("", "MG", 1, ("W5",)),
    ]
    assert (second.account_no, second.parcels) == ("A2", 1), "the account it is of in the end"
    assert len(await count(tickets_db, at("2018-04-01", "01:00:00"))) == 2, "a month is told once"


async def test_what_is_said_of_a_route_does_not_depend_on_the_order(tickets_db: Database) -> None:
    for order in (1, -1):
        await rows(tickets_db, "DELETE FROM route_months RETURNING 1")
        async with tickets_db.transaction() as session:
            for table in ("scans", "parcels", "outbox"):
                await session.execute(text(f"DELETE FROM {table}"))
        said = [scan("PICKED_UP", at("2018-03-05"), route=route) for route in (("SP", "RJ"), ("", "SC"), ("SP", ""))]
        for one in said[::order]:
            await record(tickets_db, one)
        (told,) = await count(tickets_db, at("2018-04-01", "00:30:00"))
        assert [(one.origin_region, one.destination_region) for one in told.routes] == [("SP", "SC")]
