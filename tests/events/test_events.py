"""What an event says of itself: its key, its id, its form on the wire."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pytest
from pydantic import ValidationError

from shared.events import FreightCharged, MonthClosed, ShipmentStatusChanged, TicketOpened
from shared.events.shipments import KNOWN_STATUSES, Destination, Origin
from shared.ids import natural_id


def charge(**changes: object) -> FreightCharged:
    fields = {
        "charge_no": "CH-1",
        "version": 1,
        "waybill_no": "WB-1",
        "account_no": "A-1",
        "amount_fen": 1872,
        "charged_at": datetime(2018, 3, 1, 2, 15, tzinfo=UTC),
    }
    return FreightCharged.model_validate(fields | changes)


def test_instants_leave_with_the_offset_of_shanghai() -> None:
    assert json.loads(charge().to_bytes())["charged_at"] == "2018-03-01T10:15:00+08:00"


def test_the_same_statement_has_the_same_id_whatever_offset_it_came_in() -> None:
    elsewhere = charge(charged_at=datetime(2018, 2, 28, 23, 15, tzinfo=timezone(timedelta(hours=-3))))
    assert elsewhere.event_id == charge().event_id
    assert elsewhere.content_digest() == charge().content_digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 1873},
        {"account_no": "A-2"},
        {"product": "EXPRESS"},
        {"charged_at": datetime(2018, 3, 1, 2, 15, 1, tzinfo=UTC)},
    ],
)
def test_other_content_under_the_same_version_is_another_statement(changes: dict[str, object]) -> None:
    assert charge(**changes).event_id != charge().event_id


def test_a_scan_is_the_same_by_parcel_status_and_instant() -> None:
    def scan(occurred_at: datetime, pieces: int = 1) -> ShipmentStatusChanged:
        return ShipmentStatusChanged(
            waybill_no="WB-1",
            status="DELIVERED",
            occurred_at=occurred_at,
            origin=Origin(city="", region=""),
            destination=Destination(city="", region=""),
            pieces=pieces,
        )

    utc = datetime(2018, 3, 1, 2, 15, tzinfo=UTC)
    first = scan(utc)
    assert first.event_id == scan(utc.astimezone(timezone(timedelta(hours=8))), pieces=2).event_id
    assert first.event_id != scan(utc + timedelta(seconds=1)).event_id
    assert first.key() == "WB-1"
    assert first.event_id == natural_id("shipment.status-changed.v1", "WB-1", "DELIVERED", "2018-03-01T10:15:00+08:00")
    assert first.event_id.version == 8


def test_months_are_dates_in_code_and_text_on_the_wire() -> None:
    closed = MonthClosed(
        month=date(2018, 3, 1), quarter=date(2018, 1, 1), closed_at=datetime(2018, 3, 31, 16, 30, tzinfo=UTC), accounts=3
    )
    assert json.loads(closed.to_bytes()) == {
        "month": "2018-03",
        "quarter": "2018-Q1",
        "closed_at": "2018-04-01T00:30:00+08:00",
        "accounts": 3,
    }
    assert closed.key() == "2018-03"
    assert MonthClosed.model_validate_json(closed.to_bytes()) == closed
    for month in (date(2018, 3, 2), datetime(2018, 3, 1, tzinfo=UTC), 201803, "2018-13", None):
        with pytest.raises(ValidationError):
            MonthClosed.model_validate({**closed.model_dump(), "month": month})


def test_the_class_of_a_ticket_is_called_class_on_the_wire() -> None:
    ticket = TicketOpened(
        ticket_id=UUID(int=1),
        ticket_class="complaint",
        cause_hint=None,
        waybill_no=None,
        account_no="A-1",
        branch_code=None,
        priority="P2",
        opened_at=datetime(2018, 3, 1, tzinfo=UTC),
        due_at=datetime(2018, 3, 2, tzinfo=UTC),
        state="open",
        changed_at=datetime(2018, 3, 1, tzinfo=UTC),
        version=1,
    )
    wire = json.loads(ticket.to_bytes())
    assert wire["class"] == "complaint"
    assert "ticket_class" not in wire
    assert TicketOpened.model_validate_json(ticket.to_bytes()) == ticket
    assert ticket.key() == "00000000-0000-0000-0000-000000000001"


def test_events_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        charge().amount_fen = 1  # type: ignore[misc]


def test_naive_instants_are_refused_in_code_too() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        charge(charged_at=datetime(2018, 3, 1))  # noqa: DTZ001 - the naive instant is the case


def test_the_known_statuses_are_those_of_the_contract() -> None:
    assert len(KNOWN_STATUSES) == 16
    assert {
        "CREATED",
        "PICKED_UP",
        "DELIVERED",
        "CANCELLED",
        "RETURNED",
        "REFUSED",
        "DELAYED",
        "DAMAGED",
        "LOST",
    } < KNOWN_STATUSES
