"""Tasks of quarterly movements, who helps with a task, and what may not be passed on."""

from datetime import date
from typing import Any

import pytest

from services.retention import contacts, delegations, executors, tasks, worklist
from shared.db import Database
from shared.events.tiering import Assist, QuarterMovementDetected
from shared.ids import natural_id
from shared.paging import PageRequest
from shared.problems import Conflict, Forbidden
from tests.deliveries import deliver
from tests.retention import make
from tests.retention.make import at

CARE = (Assist(role="care_rep", unit_code="B1"),)


def detected(**values: Any) -> QuarterMovementDetected:
    account_no = values.get("account_no", "A1")
    return QuarterMovementDetected(
        **{
            "movement_id": natural_id("quarter-movement", account_no, "2018-Q1"),
            "account_no": account_no,
            "quarter": date(2018, 1, 1),
            "kind": "fall",
            "place": None,
            "previous_fen": 100,
            "current_fen": 80,
            "priority": False,
            "state": "open",
            "detected_at": at("2018-04-01T00:30:00"),
            "decision_id": natural_id("quarter-movement-decision", account_no, "2018-Q1"),
            "service_tier": "general",
            "branch_code": "B1",
            "district_code": "D1",
            "outlet_code": "O1",
            "role": "outlet_staff",
            "unit_code": "O1",
            "in_person": False,
            "assist": CARE,
            "version": 1,
        }
        | values
    )


async def note(db: Database, *events: QuarterMovementDetected) -> None:
    async with db.transaction() as session:
        await tasks.note_quarter_movements(session, [deliver(event) for event in events])


@pytest.mark.row("T-33", "T-35")
async def test_a_quarterly_movement_opens_one_task_and_the_helper_is_a_field_of_it(db: Database) -> None:
    event = detected()
    await note(db, event)
    await note(db, event, event)
    task = await make.task_of(db, event.movement_id)
    assert (task.kind, task.role, task.unit_code, task.state) == ("quarter_movement", "outlet_staff", "O1", "open")
    assert task.assist == [{"role": "care_rep", "unit_code": "B1"}]
    assert task.reason == {"movement_id": event.movement_id, "month": "2018-03", "quarter": "2018-Q1", "kind": "fall"}
    assert task.due_at == at("2018-07-01T00:00:00")
    ((kind, data),) = await make.published(db)
    assert (kind, data["kind"], data["quarter"], data["assist"]) == ("opened", "quarter_movement", "2018-Q1", task.assist)


@pytest.mark.row("T-34")
async def test_the_five_extremes_of_a_branch_are_its_managers_whatever_the_tier(db: Database) -> None:
    event = detected(
        kind="decliner", place=4, service_tier="vip", role="branch_manager", unit_code="B1", assist=(), priority=True
    )
    await note(db, event)
    task = await make.task_of(db, event.movement_id)
    assert (task.role, task.unit_code, task.priority, task.assist) == ("branch_manager", "B1", True, [])


async def test_a_task_of_a_quarter_falls_overdue_and_says_so_with_all_its_fields(db: Database) -> None:
    await note(db, detected(priority=True))
    async with db.transaction() as session:
        await tasks.mark_overdue(session, at("2018-07-01T00:30:00"))
    (_, (kind, data)) = await make.published(db)
    assert (kind, data["state"], data["quarter"], data["priority"]) == ("overdue", "overdue", "2018-Q1", True)
    assert data["assist"] == [{"role": "care_rep", "unit_code": "B1"}]


@pytest.mark.row("T-31", "T-32", "T-33")
async def test_a_monthly_task_is_owed_by_whom_the_movement_names_with_who_helps(db: Database) -> None:
    task = await make.open_task(
        db, service_tier="vip", role="district_head", unit_code="D1", in_person=False, priority=True,
        assist=(Assist(role="planning", unit_code="HQ"),),
    )  # fmt: skip
    assert (task.role, task.unit_code, task.priority) == ("district_head", "D1", True)
    assert task.assist == [{"role": "planning", "unit_code": "HQ"}]


@pytest.mark.row("T-33", "T-35")
async def test_the_care_group_finds_its_tasks_and_records_calls_without_taking_the_task(db: Database) -> None:
    event = detected()
    await note(db, event)
    await make.set_clock(db, at("2018-04-11T00:00:00"))
    task_id = natural_id("task", str(event.movement_id))
    entry = contacts.Entry(channel="phone", contacted_at=at("2018-04-10T10:00:00"), cause="said")
    async with db.transaction() as session:
        found = await worklist.list_tasks(session, "B1", PageRequest(), assist="care_rep")
        assert [task.task_id for task in found["items"]] == [task_id]
        assert (await worklist.list_tasks(session, "B1", PageRequest(), assist="planning"))["items"] == []
        await contacts.record(session, task_id, "carer", {"care_rep"}, entry)
    task = await make.task_of(db, event.movement_id)
    assert (task.claimed_by, task.state) == (None, "open")
    assert [told["role"] for told in await make.contacts_told(db)] == ["care_rep"]
    async with db.transaction() as session:
        with pytest.raises(Forbidden):
            await executors.claim(session, task_id, "carer", {"care_rep"})
    async with db.transaction() as session:
        await contacts.record(session, task_id, "keeper", {"outlet_staff"}, entry._replace(channel="visit"))
    assert (await make.task_of(db, event.movement_id)).claimed_by == "keeper"


@pytest.mark.row("T-32")
async def test_what_is_owed_in_person_is_not_passed_on_and_the_attempt_is_logged_as_a_breach(db: Database) -> None:
    task = await make.open_task(
        db, service_tier="key", role="branch_manager", unit_code="B1", in_person=True, assist=CARE
    )  # whoever a matrix names as assisting does not help with it all the same
    await make.set_clock(db, at("2018-04-11T00:00:00"))
    async with db.transaction() as session:
        asked = await delegations.delegate(session, task.task_id, "manager", {"branch_manager"}, "deputy")
    assert asked.breach
    assert (await make.task_of(db, task.movement_id)).delegated_to is None
    async with db.transaction() as session:
        found = await delegations.list_delegations(session, "B1", PageRequest(), breach=True)
    assert [(row.asked_by, row.delegate_to, row.account_no) for row in found["items"]] == [("manager", "deputy", "A1")]
    entry = contacts.Entry(channel="phone", contacted_at=at("2018-04-10T10:00:00"), cause="said")
    async with db.transaction() as session:
        with pytest.raises(Forbidden):
            await contacts.record(session, task.task_id, "carer", {"care_rep"}, entry)


@pytest.mark.row("T-33")
async def test_a_branch_manager_arranges_who_does_a_general_shippers_task(db: Database) -> None:
    task = await make.open_task(db)
    await make.set_clock(db, at("2018-04-11T00:00:00"))
    async with db.transaction() as session:
        asked = await delegations.delegate(session, task.task_id, "manager", {"branch_manager"}, "Li")
    assert not asked.breach
    assert (await make.task_of(db, task.movement_id)).delegated_to == "Li"
    async with db.transaction() as session:
        with pytest.raises(Forbidden):
            await delegations.delegate(session, task.task_id, "carer", {"care_rep"}, "Li")
        assert (await delegations.list_delegations(session, "B1", PageRequest(), breach=True))["items"] == []
    await make.note(db, make.withdrawn())
    async with db.transaction() as session:
        with pytest.raises(Conflict):
            await delegations.delegate(session, task.task_id, "manager", {"branch_manager"}, "Li")
