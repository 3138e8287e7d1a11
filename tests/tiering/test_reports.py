"""A district's reports over HTTP and time: made at the close, gaps, frozen, signed, late, re-issued."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.tiering.main import app
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Dispatcher
from shared.events.envelope import Event
from shared.events.retention import TaskCancelled, TaskDone, TaskOpened, TaskOverdue, TaskState
from shared.events.tickets import TicketOpened, TicketResolved
from shared.ids import natural_id
from shared.months import parse_month
from shared.settings import Settings
from tests.conftest import Server
from tests.deliveries import deliver
from tests.serving import bearer, serving, settings_of
from tests.tiering.make import World, account, at, charge
from tests.tiering.test_facts import contact, ticket

BLOCKS = ("cause", "satisfaction", "other_needs", "competitor", "news_passed_on")
STATES = {TaskOpened: "open", TaskDone: "done", TaskOverdue: "overdue", TaskCancelled: "cancelled"}
MONTHLY = natural_id("report", "maintenance_monthly", "D1", "2018-04")
QUARTERLY = natural_id("report", "quarterly_district", "D1", "2018-Q2")
NETWORK = natural_id("report", "quarterly_network", "HQ", "2018-Q2")
ANALYSIS = natural_id("report", "monthly_analysis", "D1", "2018-04")


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    async def ask(self, method: str, path: str, role: str = "analyst", unit: str = "D1", **body: Any) -> Any:
        header = bearer(self.settings, role, unit)
        answer = await self.client.request(method, path, headers=header, **({"json": body} if body else {}))
        return answer.json() if answer.is_success else answer.status_code

    async def get(self, path: str, role: str = "analyst", unit: str = "D1") -> Any:
        return await self.ask("GET", path, role, unit)

    async def post(self, path: str, role: str = "analyst", unit: str = "D1", **body: Any) -> Any:
        return await self.ask("POST", path, role, unit, **body)

    async def document(self, report: Any, role: str = "analyst", unit: str = "D1") -> Any:
        return await self.get(f"/v1/reports/{report}/document.json", role, unit)


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


def task(event: type[TaskState], account_no: str, role: str, unit: str, changed_at: Any, **values: Any) -> TaskState:
    movement = natural_id("movement", account_no, "2018-03", 1)
    fields = {
        "task_id": natural_id("task", str(movement)), "kind": "movement", "account_no": account_no, "role": role,
        "unit_code": unit, "state": STATES[event], "due_at": at("2018-07-01", "00:00:00"), "movement_id": movement,
        "month": parse_month("2018-03"), "movement_kind": "fall_over_half", "changed_at": changed_at, "version": 1,
    }  # fmt: skip
    return event(**fields | values)


def talk(number: int, account_no: str, role: str, unit: str, day: str, **values: Any) -> Event:
    task_id = natural_id("task", str(natural_id("movement", account_no, "2018-03", 1)))
    moments = {"contacted_at": at(day), "entered_at": at(day, "13:00:00")}
    return contact(number, account_no=account_no, role=role, unit_code=unit, task_id=task_id, **(moments | values))


async def happen(world: World, *events: Event) -> None:
    async with world.db.transaction() as session:
        assert await Dispatcher("tiering", SUBSCRIPTIONS).handle(session, [deliver(event) for event in events]) == []


OPENED = at("2018-04-01", "00:30:00")


@pytest.fixture
async def april(world: World) -> World:
    """Ten VIPs of D1 fill its places; K1, K2 are key of B1, K3 of B2; G is general of outlet O1. K1, K2, K3 fell in March.

    In April K1 was visited (all five blocks, in time), K2 was called late with one block, K3 and the VIPs were not touched.
    """
    await world.open(
        *(account(f"V{n:02}", "B1" if n % 2 else "B2") for n in range(10)),
        account("K1", "B1"), account("K2", "B1"), account("K3", "B2"), account("G", "B1", outlet="O1"),
        *(account(f"F{n:02}", "B1") for n in range(10)),
    )  # fmt: skip
    charges = []
    for month in (1, 2, 3, 4):
        day = at(f"2018-{month:02}-10")
        charges += [charge(f"V{n:02}-{month}", f"V{n:02}", 2_000_000, day) for n in range(10)]
        fallen = 1 if month < 3 else 4
        charges += [charge(f"K{n}-{month}", f"K{n}", 800_000 // fallen, day) for n in (1, 2, 3)]
        charges += [charge(f"F{n:02}-{month}", f"F{n:02}", 100_000, day) for n in range(10)]
        if month == 1:
            charges.append(charge("G-1", "G", 50_000, day))
    await world.post(*charges)
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    await happen(
        world,
        task(TaskOpened, "K1", "branch_manager", "B1", OPENED),
        task(TaskOpened, "K2", "branch_manager", "B1", OPENED),
        task(TaskOpened, "K3", "branch_manager", "B2", OPENED),
        talk(1, "K1", "branch_manager", "B1", "2018-04-10", blocks=BLOCKS),
        task(TaskDone, "K1", "branch_manager", "B1", at("2018-04-10", "14:00:00"), version=2),
        talk(2, "K2", "branch_manager", "B1", "2018-04-11", late=True, entered_at=at("2018-04-25")),
        ticket(TicketOpened, "open", account_no="K1", opened_at=at("2018-04-05"), due_at=at("2018-04-06")),
        ticket(TicketOpened, "open", ticket_id=natural_id("t", 2), account_no="K3", opened_at=at("2018-04-07"),
               due_at=at("2018-04-20"), ticket_class="complaint", cause_hint=None),
        ticket(TicketResolved, "resolved", at("2018-04-08"), ticket_id=natural_id("t", 2), account_no="K3",
               opened_at=at("2018-04-07"), due_at=at("2018-04-20"), ticket_class="complaint", cause_hint=None,
               cause_code="sorting", version=2),
    )  # fmt: skip
    await world.run("2018-05-01")
    return world


def section(document: dict[str, Any], heading: str) -> dict[str, Any]:
    (found,) = [one for one in document["sections"] if heading in one["heading"]]
    return found


def rows(document: dict[str, Any], heading: str, table: int = 0) -> list[Any]:
    return section(document, heading)["tables"][table]["rows"]
