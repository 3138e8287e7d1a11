"""Tickets over HTTP: opened by hand, assigned, resolved; who sees them; what is refused and why."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import httpx2
import pytest

from services.tickets.main import app
from services.tickets.schemas import CauseCode
from services.tickets.tickets import CAUSE_CODES
from shared.db import Database
from shared.settings import Settings
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of
from tests.tickets.make import at, drive, judge, organise, published, record, rows, scan

NOW = at("2018-03-05", "10:00:00")
REP = ("care_rep", "BR-SP")
SHIPPER = ("shipper", "A1")


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    def as_(self, role: str, place: str) -> dict[str, str]:
        place_of = {"account": place} if role == "shipper" else {"unit": place}
        return bearer(self.settings, role, **place_of, person=f"{role}-1")

    async def get(self, path: str, role: str = "ops_hq", place: str = "HQ") -> httpx2.Response:
        return await self.client.get(path, headers=self.as_(role, place))

    async def post(self, path: str, who: tuple[str, str], body: Any, **headers: str) -> httpx2.Response:
        return await self.client.post(path, json=body, headers=self.as_(*who) | headers)

    async def open(self, who: tuple[str, str] = REP, **body: Any) -> dict[str, Any]:
        answer = await self.post("/v1/tickets", who, {"class": "complaint", "text": "left in the rain"} | body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture
async def desk(tickets_db: Database, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    await organise(tickets_db)
    await drive(tickets_db, NOW)
    settings = settings_of("tickets", postgres, tickets_db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


def test_cause_codes_are_the_ones_callers_may_send() -> None:
    assert set(get_args(CauseCode)) == set(CAUSE_CODES)


@pytest.mark.row("K-41")
@pytest.mark.parametrize("ticket_class", ["complaint", "suggestion", "enquiry", "problem_parcel", "claim", "quote"])
async def test_a_ticket_of_each_class_is_opened_by_hand(desk: Desk, tickets_db: Database, ticket_class: str) -> None:
    """Of K-41 the classes, assignment and resolution are due here; workflows and SLA clocks come later."""
    opened = await desk.open(REP, **{"class": ticket_class, "account_no": "A1", "priority": "P1"})
    listed = (await desk.get(f"/v1/tickets?class={ticket_class}&state=open&unit=SP-1", *REP)).json()
    assert listed == {
        "items": [
            {
                "ticket_id": opened["ticket_id"],
                "class": ticket_class,
                "cause_hint": None,
                "waybill_no": None,
                "account_no": "A1",
                "priority": "P1",
                "opened_at": "2018-03-05T10:00:00+08:00",
                "due_at": "2018-03-05T12:00:00+08:00",
                "state": "open",
            }
        ],
        "next_cursor": None,
    }
    assert UUID(opened["ticket_id"]).version == 8
    assert (opened["text"], opened["opened_by"]) == ("left in the rain", "care_rep-1")
    assert await published(tickets_db, "ticket_id", "class", "state") == [("opened", opened["ticket_id"], ticket_class, "open")]


@pytest.mark.row("K-41")
async def test_a_ticket_is_assigned_handed_on_and_resolved_with_a_cause(desk: Desk, tickets_db: Database) -> None:
    ticket = f"/v1/tickets/{(await desk.open(account_no='A2'))['ticket_id']}"
    for assignee in ("u-17", "u-18", "u-18"):
        assigned = await desk.post(f"{ticket}/assignment", REP, {"assignee": assignee})
        assert (assigned.status_code, assigned.json()["state"], assigned.json()["assignee"]) == (200, "assigned", assignee)
    done = await desk.post(f"{ticket}/resolution", REP, {"cause_code": "packaging", "note": "new box paid"})
    assert (done.status_code, done.json()["state"], done.json()["cause_code"], done.json()["note"]) == (
        200,
        "resolved",
        "packaging",
        "new box paid",
    )
    assert await published(tickets_db, "state", "version") == [
        ("opened", "open", 1),
        ("changed", "assigned", 2),
        ("changed", "assigned", 3),
        ("resolved", "resolved", 4),
    ]
    assert "rain" not in str(await rows(tickets_db, "SELECT data FROM outbox"))


async def test_an_open_ticket_may_be_resolved_at_once(desk: Desk) -> None:
    ticket = await desk.open(REP, **{"class": "enquiry"})
    done = await desk.post(f"/v1/tickets/{ticket['ticket_id']}/resolution", REP, {"cause_code": "information_given"})
    assert (done.status_code, done.json()["state"]) == (200, "resolved")


async def test_a_settled_ticket_refuses_changes_and_says_what_to_do(desk: Desk) -> None:
    ticket = f"/v1/tickets/{(await desk.open())['ticket_id']}"
    await desk.post(f"{ticket}/resolution", REP, {"cause_code": "other", "note": "x"})
    again = await desk.post(f"{ticket}/resolution", REP, {"cause_code": "other"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/ticket-settled")
    assert again.json()["detail"] == "The ticket is resolved already: read it for its cause."
    assigned = await desk.post(f"{ticket}/assignment", REP, {"assignee": "u-1"})
    assert (assigned.status_code, assigned.json()["type"]) == (409, "/problems/ticket-settled")
    assert "open a new one" in assigned.json()["detail"]


async def test_a_refuted_ticket_refuses_resolution(desk: Desk, tickets_db: Database) -> None:
    await record(tickets_db, scan(promised_at=at("2018-03-09")))
    await judge(tickets_db, at("2018-03-10", "00:30:00"))
    await record(tickets_db, scan("DELIVERED", at("2018-03-08")))
    ((ticket_id,),) = [(row["ticket_id"],) for row in await rows(tickets_db, "SELECT ticket_id FROM tickets")]
    refused = await desk.post(f"/v1/tickets/{ticket_id}/resolution", REP, {"cause_code": "delivery"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/ticket-refuted")
    read = (await desk.get(f"/v1/tickets/{ticket_id}")).json()
    assert (read["state"], read["cause_hint"], read["delivered_at"]) == ("refuted", "late", "2018-03-08T12:00:00+08:00")


async def test_one_of_twenty_resolutions_wins(desk: Desk, tickets_db: Database) -> None:
    ticket = f"/v1/tickets/{(await desk.open())['ticket_id']}"
    answers = await asyncio.gather(*(desk.post(f"{ticket}/resolution", REP, {"cause_code": "other"}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len(await published(tickets_db)) == 2


async def test_a_ticket_opened_again_with_its_key_is_one_ticket(desk: Desk, tickets_db: Database) -> None:
    body = {"class": "complaint", "text": "late"}
    first, second = [await desk.post("/v1/tickets", REP, body, **{"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert (first.status_code, second.status_code, first.content) == (201, 201, second.content)
    assert len(await rows(tickets_db, "SELECT 1 FROM tickets")) == 1


async def test_a_ticket_about_a_parcel_takes_its_account(desk: Desk, tickets_db: Database) -> None:
    await record(tickets_db, scan(waybill_no="W7", account_no="A2"), scan(waybill_no="W8", account_no="A9", branch="BR-RJ"))
    assert (await desk.open(waybill_no="W7"))["account_no"] == "A2"
    foreign = await desk.open(waybill_no="W8")
    assert (foreign["account_no"], foreign["branch_code"]) == (None, "BR-SP")


@pytest.mark.row("K-41")
async def test_a_shipper_opens_tickets_for_its_own_account_and_sees_no_other(desk: Desk) -> None:
    mine = await desk.open(SHIPPER)
    other = await desk.open(REP, account_no="A2")
    assert mine["account_no"] == "A1"
    refused = await desk.post("/v1/tickets", SHIPPER, {"class": "claim", "text": "x", "account_no": "A2"})
    assert refused.status_code == 404
    assert [item["ticket_id"] for item in (await desk.get("/v1/tickets", *SHIPPER)).json()["items"]] == [mine["ticket_id"]]
    assert (await desk.get(f"/v1/tickets/{other['ticket_id']}", *SHIPPER)).status_code == 404
    assert (await desk.get(f"/v1/tickets/{mine['ticket_id']}", *SHIPPER)).status_code == 200
    for path, body in (("assignment", {"assignee": "u-1"}), ("resolution", {"cause_code": "other"})):
        assert (await desk.post(f"/v1/tickets/{mine['ticket_id']}/{path}", SHIPPER, body)).status_code == 403


@pytest.mark.row("K-41")
@pytest.mark.parametrize(
    ("role", "place", "seen"),
    [
        ("ops_hq", "HQ", {"A1", "A2", "A9", None}),
        ("district_head", "D1", {"A1", "A2", None}),
        ("branch_manager", "BR-SP", {"A1", "A2", None}),
        ("outlet_staff", "SP-1", {"A1"}),
        ("branch_manager", "BR-RJ", {"A9"}),
        ("branch_manager", "BR-NONE", set()),
        ("shipper", "A9", {"A9"}),
    ],
)
async def test_tickets_are_seen_in_the_subtree_of_the_callers_unit(
    desk: Desk, tickets_db: Database, role: str, place: str, seen: set[str | None]
) -> None:
    for number, account_no in enumerate(["A1", "A2", "A9", None]):
        await record(tickets_db, scan("LOST", waybill_no=f"W{number}", account_no=account_no, branch="BR-SP"))
    listed = (await desk.get("/v1/tickets?class=problem_parcel", role, place)).json()["items"]
    assert {item["account_no"] for item in listed} == seen
    assert len(listed) == len(seen)
    for number, account_no in enumerate(["A1", "A2", "A9", None]):
        parcel = await desk.get(f"/v1/parcels/W{number}", role, place)
        assert parcel.status_code == (200 if account_no in seen else 404)
        (ticket,) = await rows(tickets_db, "SELECT ticket_id FROM tickets WHERE waybill_no = :w", w=f"W{number}")
        read = await desk.get(f"/v1/tickets/{ticket['ticket_id']}", role, place)
        assert read.status_code == (200 if account_no in seen else 404)


async def test_a_row_without_account_and_branch_belongs_to_headquarters(desk: Desk, tickets_db: Database) -> None:
    await record(tickets_db, scan("LOST", account_no=None, branch=None))
    assert len((await desk.get("/v1/tickets")).json()["items"]) == 1
    assert (await desk.get("/v1/tickets", "district_head", "D1")).json()["items"] == []
    assert (await desk.get("/v1/parcels/W1", "district_head", "D1")).status_code == 404


@pytest.mark.row("K-60", "K-61")
async def test_the_timeline_of_a_parcel_over_http(desk: Desk, tickets_db: Database) -> None:
    """Of K-60 the tracking view; pushing it to the customer comes later."""
    await record(tickets_db, scan("DELIVERED", at("2018-03-08")), scan("CREATED", at("2018-03-05"), account_no=None))
    answer = await desk.get("/v1/parcels/W1", *SHIPPER)
    assert answer.json() == {
        "waybill_no": "W1",
        "account_no": "A1",
        "status": "DELIVERED",
        "events": [
            {"status": "CREATED", "occurred_at": "2018-03-05T12:00:00+08:00"},
            {"status": "DELIVERED", "occurred_at": "2018-03-08T12:00:00+08:00"},
        ],
    }
    assert (await desk.get("/v1/parcels/NOPE")).status_code == 404


async def test_a_branch_manager_may_not_ask_for_another_branch(desk: Desk) -> None:
    assert (await desk.get("/v1/tickets?unit=BR-RJ", *REP)).status_code == 404
    assert (await desk.get("/v1/tickets?unit=SP-1", *REP)).status_code == 200


async def test_unknown_accounts_and_tickets_are_not_found(desk: Desk) -> None:
    answer = await desk.post("/v1/tickets", REP, {"class": "claim", "text": "x", "account_no": "A9"})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    for path, body in (("assignment", {"assignee": "u-1"}), ("resolution", {"cause_code": "other"})):
        assert (await desk.post(f"/v1/tickets/{uuid4()}/{path}", REP, body)).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"class": "praise"},
        {"priority": "P0"},
        {"text": "  "},
        {"text": None},
        {"text": "x" * 4001},
        {"text": "a\x00b"},
        {"waybill_no": ""},
        {"account_no": "a b"},
        {"state": "resolved"},
    ],
)
async def test_a_ticket_that_is_not_right_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    answer = await desk.post("/v1/tickets", REP, {"class": "complaint", "text": "said"} | change)
    assert answer.status_code == 422


async def test_the_list_turns_pages_the_earliest_deadline_first(desk: Desk) -> None:
    for priority in ("P4", "P1", "P3", "P2", "P1"):
        await desk.open(priority=priority)
    seen, cursor = [], ""
    while cursor is not None:
        page = (await desk.get(f"/v1/tickets?limit=2{cursor and f'&cursor={cursor}'}", *REP)).json()
        seen += [item["priority"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ["P1", "P1", "P2", "P3", "P4"]
