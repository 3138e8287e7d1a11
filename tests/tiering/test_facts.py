"""What other services tell is kept as they last told it, whatever the order and the batches."""

from typing import Any
from uuid import UUID

import pytest

from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Dispatcher
from shared.db import Database, Scope
from shared.events.contacts import ContactRecorded
from shared.events.envelope import Event
from shared.events.retention import TaskCancelled, TaskDone, TaskOpened, TaskOverdue, TaskState
from shared.events.tickets import TicketChanged, TicketOpened, TicketRefuted, TicketResolved, TicketState
from shared.ids import natural_id
from shared.months import parse_month
from tests.deliveries import deliver
from tests.tiering.make import World, account, at, charge

OPENED, DUE = at("2018-04-01", "00:30:00"), at("2018-07-01", "00:00:00")
STATES = {TaskOpened: "open", TaskDone: "done", TaskOverdue: "overdue", TaskCancelled: "cancelled"}
MOVEMENT = natural_id("movement", "V", "2018-03", 1)


def task(event: type[TaskState], changed_at: Any = OPENED, **values: Any) -> TaskState:
    fields = {
        "task_id": natural_id("task", str(MOVEMENT)), "kind": "movement", "account_no": "V", "role": "district_head",
        "unit_code": "D1", "state": STATES[event], "due_at": DUE, "movement_id": MOVEMENT, "month": parse_month("2018-03"),
        "movement_kind": "zero_month", "changed_at": changed_at, "version": 1,
    }  # fmt: skip
    return event(**fields | values)


def contact(number: int, **values: Any) -> ContactRecorded:
    blocks = values.pop("blocks", ("cause",))
    fields = {
        "contact_id": natural_id("contact", number), "task_id": natural_id("task", str(MOVEMENT)), "account_no": "V",
        "channel": "visit", "contacted_at": at("2018-04-03"), "entered_at": at("2018-04-04"), "late": False,
        "blocks_filled": len(blocks), "blocks": blocks, "role": "district_head", "unit_code": "D1", "staff_id": None,
    }  # fmt: skip
    return ContactRecorded(**fields | values)


def ticket(event: type[TicketState], state: str, changed_at: Any = OPENED, **values: Any) -> TicketState:
    fields = {
        "ticket_id": natural_id("ticket", "W", "late"), "ticket_class": "problem_parcel", "cause_hint": "late", "waybill_no": "W",
        "account_no": "V", "branch_code": None, "priority": "P3", "opened_at": OPENED, "due_at": DUE, "state": state,
        "changed_at": changed_at, "version": 1,
    }  # fmt: skip
    return event(**fields | values)


async def happen(world: World, *events: Event, sequences: list[int] | None = None) -> None:
    deliveries = [deliver(event, sequences[n] if sequences else None) for n, event in enumerate(events)]
    async with world.db.transaction() as session:
        assert await Dispatcher("tiering", SUBSCRIPTIONS).handle(session, deliveries) == []


@pytest.fixture
async def moved(world: World) -> World:
    """V is the VIP of its district and had no freight in March; its movement is detected."""
    await world.open(account("V", "B1", outlet="O1"))
    await world.post(charge("1", "V", 3_000_000, at("2018-02-10")))
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    return world


async def test_a_task_is_kept_with_tier_and_place_of_its_movement(moved: World) -> None:
    await happen(moved, task(TaskOpened), task(TaskDone, at("2018-05-02"), version=2))
    (row,) = await moved.rows("SELECT * FROM task_facts")
    assert (row["service_tier"], row["branch_code"], row["outlet_code"], row["unit_code"]) == ("vip", "B1", "O1", "D1")
    assert (row["state"], row["opened_at"], row["done_at"], row["overdue_at"]) == ("done", OPENED, at("2018-05-02"), None)


async def test_a_task_without_a_known_movement_takes_the_tier_in_force_and_its_units_branch(moved: World) -> None:
    unknown = natural_id("movement", "elsewhere")
    await happen(moved, task(TaskOpened, movement_id=unknown, role="outlet_staff", unit_code="O1"))
    (row,) = await moved.rows("SELECT service_tier, branch_code, outlet_code FROM task_facts")
    assert row == {"service_tier": "vip", "branch_code": "B1", "outlet_code": None}


async def test_a_task_done_after_it_fell_overdue_says_both(moved: World) -> None:
    await happen(moved, task(TaskOpened), task(TaskOverdue, DUE, version=2), task(TaskDone, at("2018-07-03"), version=3))
    (row,) = await moved.rows("SELECT state, done_at, overdue_at FROM task_facts")
    assert row == {"state": "done", "done_at": at("2018-07-03"), "overdue_at": DUE}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_the_newest_state_stands_whichever_comes_first(moved: World, order: tuple[int, int]) -> None:
    done = task(TaskDone, at("2018-05-02"), version=2)
    cancelled = task(TaskCancelled, at("2018-05-03"), version=3)
    events = {1: (task(TaskOpened), 1), 2: (done, 2), 3: (cancelled, 3)}
    chosen = [events[1], *(events[n + 1] for n in order)]
    await happen(moved, *(event for event, _ in chosen), sequences=[sequence for _, sequence in chosen])
    (row,) = await moved.rows("SELECT state, done_at, opened_at, sequence FROM task_facts")
    assert row == {"state": "cancelled", "done_at": None, "opened_at": OPENED, "sequence": 3}


async def test_a_contact_is_kept_once_with_the_names_of_its_blocks(moved: World) -> None:
    staff = UUID("0c8f5a7e-91f5-4b0a-8f57-6e9f3a4d2c11")
    await happen(moved, contact(1, blocks=("cause", "competitor"), staff_id=staff), contact(2, late=True))
    await happen(moved, contact(2))
    rows = await moved.rows("SELECT late, blocks_filled, blocks, actor_role, staff_id FROM contact_facts ORDER BY blocks_filled")
    assert rows == [
        {"late": True, "blocks_filled": 1, "blocks": ["cause"], "actor_role": "district_head", "staff_id": None},
        {"late": False, "blocks_filled": 2, "blocks": ["cause", "competitor"], "actor_role": "district_head", "staff_id": staff},
    ]


async def test_a_ticket_says_when_it_was_first_resolved_and_why(moved: World) -> None:
    first = at("2018-04-02")
    await happen(
        moved,
        ticket(TicketOpened, "open", account_no=None, branch_code="B1"),
        ticket(TicketResolved, "resolved", first, version=2, cause_code="sorting"),
        ticket(TicketChanged, "closed", at("2018-04-09"), version=3, cause_code="sorting"),
    )
    (row,) = await moved.rows("SELECT account_no, branch_code, state, cause_code, resolved_at FROM ticket_facts")
    assert row == {"account_no": "V", "branch_code": None, "state": "closed", "cause_code": "sorting", "resolved_at": first}
    await happen(moved, ticket(TicketRefuted, "refuted", at("2018-04-10"), version=4))
    (row,) = await moved.rows("SELECT state, resolved_at FROM ticket_facts")
    assert row == {"state": "refuted", "resolved_at": None}


async def test_facts_are_seen_by_whoever_sees_the_account(moved: World, web: Database) -> None:
    await happen(moved, task(TaskOpened), contact(1), ticket(TicketOpened, "open"))
    tables = ("task_facts", "contact_facts", "ticket_facts")
    query = " UNION ALL ".join(f"SELECT count(*) AS n FROM {table}" for table in tables)
    for unit, seen in (("O1", 1), ("B1", 1), ("D1", 1), ("B2", 0), ("D2", 0)):
        async with web.transaction(Scope(unit)) as session:
            connection = await session.connection()
            rows = (await connection.exec_driver_sql(query)).scalars().all()
        assert list(rows) == [seen] * 3, unit
