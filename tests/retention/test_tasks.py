import random

import pytest
from sqlalchemy import func, select, text, update

from services.retention import tasks
from services.retention.models import Task
from shared.db import Database
from shared.events.retention import TaskOverdue
from shared.ids import natural_id
from tests.deliveries import deliver
from tests.retention import make
from tests.retention.make import at

DUE = at("2018-07-01T00:00:00")
"""When a movement of 2018-03 is due."""


async def overdue_at(db: Database, instant: str) -> None:
    async with db.transaction() as session:
        await tasks.mark_overdue(session, at(instant))


@pytest.mark.row("R-41")
async def test_a_movement_opens_one_task_due_when_its_quarter_ends(db):
    """R-41, the part due: the task and its due instant; the number of contacts asked for (R-40) comes later."""
    event = make.detected()
    await make.note(db, event)
    task = await make.task_of(db, event.movement_id)
    assert task.task_id == natural_id("task", str(event.movement_id))
    assert (task.kind, task.account_no, task.state, task.version) == ("movement", "A1", "open", 1)
    assert (task.opened_at, task.due_at) == (at("2018-04-01T00:30:00"), DUE)
    [(kind, data)] = await make.published(db)
    assert kind == "opened"
    assert data == {
        "task_id": str(task.task_id),
        "kind": "movement",
        "account_no": "A1",
        "role": "outlet_staff",
        "unit_code": "O1",
        "state": "open",
        "due_at": "2018-07-01T00:00:00+08:00",
        "movement_id": str(event.movement_id),
        "month": "2018-03",
        "quarter": None,
        "movement_kind": "fall_over_half",
        "in_person": False,
        "priority": False,
        "assist": [],
        "changed_at": "2018-04-01T00:30:00+08:00",
        "version": 1,
    }


@pytest.mark.row("T-31", "T-32", "T-33", "X-01", "X-03", "X-04")
@pytest.mark.parametrize(
    ("values", "owed"),
    [
        ({"service_tier": "vip"}, ("district_head", "D1")),
        ({"service_tier": "key"}, ("branch_manager", "B1")),
        ({"service_tier": "general"}, ("outlet_staff", "O1")),
        ({"service_tier": "general", "outlet_code": None}, ("outlet_staff", "B1")),
        ({"branch_code": None, "district_code": None, "outlet_code": None}, ("outlet_staff", "HQ")),
    ],
)
async def test_the_tier_in_force_decides_whose_task_it_is(db, values, owed):
    """T-32 and T-33, the part due: role and unit of the task."""
    task = await make.open_task(db, **values)
    assert (task.role, task.unit_code) == owed


async def test_the_same_movement_opens_one_task_however_often_it_is_told(db):
    event = make.detected()
    first = deliver(event)
    for batch in ([first, first], [first], [deliver(event, first.sequence)]):
        async with db.transaction() as session:
            await tasks.note_movements(session, batch)
    assert [kind for kind, _ in await make.published(db)] == ["opened"]


async def test_restated_amounts_change_nothing_in_the_task(db):
    before = await make.open_task(db, service_tier="key")
    await make.note(db, make.restated(service_tier="vip", branch_code="B9", district_code="D2", current_fen=1, version=2))
    after = await make.task_of(db, before.movement_id)
    assert (after.role, after.unit_code, after.due_at, after.version) == ("branch_manager", "B1", DUE, 1)
    assert len(await make.published(db)) == 1


@pytest.mark.parametrize("state", ["open", "claimed", "overdue"])
async def test_a_withdrawn_movement_cancels_its_task_with_the_reason(db, state):
    task = await make.open_task(db)
    async with db.transaction() as session:
        await session.execute(update(Task).values(state=state))
    await make.note(db, make.withdrawn(withdrawn_reason="restated", judged_at=at("2018-04-20T00:30")))
    after = await make.task_of(db, task.movement_id)
    assert (after.state, after.cancelled_reason, after.version) == ("cancelled", "restated", 2)
    kind, data = (await make.published(db))[-1]
    assert (kind, data["state"], data["changed_at"]) == ("cancelled", "cancelled", "2018-04-20T00:30:00+08:00")


async def test_a_done_task_stays_done_when_its_movement_is_withdrawn(db):
    task = await make.open_task(db)
    async with db.transaction() as session:
        await session.execute(update(Task).values(state="done", done_at=at("2018-04-05T10:00")))
    await make.note(db, make.withdrawn())
    after = await make.task_of(db, task.movement_id)
    assert (after.state, after.cancelled_reason) == ("done", None)
    assert len(await make.published(db)) == 1


async def test_a_new_revision_is_a_task_of_its_own_for_the_quarter_it_was_found_in(db):
    first = await make.open_task(db)
    judged = at("2018-07-02T00:30")
    await make.note(
        db,
        make.withdrawn(withdrawn_reason="restated", judged_at=judged),
        make.detected(revision=2, kind="zero_month", zero_months=1, detected_at=judged, service_tier="vip"),
    )
    second = await make.task_of(db, natural_id("movement", "A1", "2018-03", 2))
    assert (second.state, second.role, second.due_at) == ("open", "district_head", at("2018-10-01T00:00"))
    assert (await make.task_of(db, first.movement_id)).state == "cancelled"


async def test_several_events_of_a_movement_in_one_batch_are_told_as_if_they_had_come_one_by_one(db):
    story = [make.detected(), make.restated(version=2), make.withdrawn(version=3, judged_at=at("2018-05-02T00:30"))]
    deliveries = [deliver(event) for event in story]
    async with db.transaction() as session:
        await tasks.note_movements(session, deliveries)
    told = await make.published(db)
    assert [(kind, data["state"], data["version"]) for kind, data in told] == [
        ("opened", "open", 1),
        ("cancelled", "cancelled", 2),
    ]
    async with db.transaction() as session:
        await tasks.note_movements(session, deliveries)
    assert await make.published(db) == told


async def test_a_withdrawal_seen_first_leaves_a_cancelled_task_and_what_comes_after_it_is_ignored(db):
    earlier, later = deliver(make.detected()), deliver(make.withdrawn())
    for delivery in (later, earlier):
        async with db.transaction() as session:
            await tasks.note_movements(session, [delivery])
    task = await make.task_of(db, later.event.movement_id)
    assert (task.state, task.cancelled_reason, task.version) == ("cancelled", "no_longer_true", 2)
    assert [kind for kind, _ in await make.published(db)] == ["opened", "cancelled"]


async def test_any_cut_into_batches_gives_the_same_tasks_and_the_same_events(db, postgres):
    seed = random.Random(3)
    story = []
    for number in range(40):
        account = {"account_no": f"A{number}", "service_tier": seed.choice(["vip", "key", "general"])}
        story.append(make.detected(**account))
        story += [make.restated(**account, version=2)] * seed.randrange(3)
        if seed.random() < 0.5:
            story.append(make.withdrawn(**account, judged_at=at(seed.choice(["2018-05-01T00:30", "2018-07-01T00:30"]))))
    deliveries = [deliver(event) for event in story]
    results = []
    for sizes in ([len(deliveries)], [1] * len(deliveries), [7] * len(deliveries)):
        async with postgres.database("retention") as other:
            await make.plant_tree(other)
            rest = list(deliveries)
            for size in sizes:
                batch, rest = rest[:size], rest[size:]
                if batch:
                    async with other.transaction() as session:
                        await tasks.note_movements(session, batch)
            async with other.transaction() as session:
                columns = [column for column in Task.__table__.columns if column.name != "movement_sequence"]
                rows = (await session.execute(select(*columns).order_by(Task.task_id))).all()
            events = sorted(map(repr, await make.published(other)))
            results.append((rows, events))
    assert results[0] == results[1] == results[2]


@pytest.mark.row("R-41")
async def test_the_daily_run_marks_what_fell_due_as_of_its_own_due_instant(db):
    """R-41, the part due: an overdue task is marked and announced; escalation to a superior comes later."""
    task = await make.open_task(db)
    await overdue_at(db, "2018-06-30T00:30")
    assert (await make.task_of(db, task.movement_id)).state == "open"
    await overdue_at(db, "2018-07-01T00:30")
    after = await make.task_of(db, task.movement_id)
    assert (after.state, after.overdue_at, after.version) == ("overdue", DUE, 2)
    kind, data = (await make.published(db))[-1]
    assert kind == "overdue"
    assert data["changed_at"] == "2018-07-01T00:00:00+08:00"
    await overdue_at(db, "2018-07-02T00:30")
    assert len(await make.published(db)) == 2


async def test_a_task_is_overdue_at_its_due_instant_itself_and_not_a_moment_before(db):
    task = await make.open_task(db)
    await overdue_at(db, "2018-06-30T23:59:59.999999")
    assert (await make.task_of(db, task.movement_id)).state == "open"
    await overdue_at(db, "2018-07-01T00:00:00")
    assert (await make.task_of(db, task.movement_id)).state == "overdue"


@pytest.mark.parametrize(("state", "after"), [("claimed", "overdue"), ("done", "done"), ("cancelled", "cancelled")])
async def test_only_what_is_neither_done_nor_cancelled_falls_due(db, state, after):
    task = await make.open_task(db)
    async with db.transaction() as session:
        await session.execute(update(Task).values(state=state))
    await overdue_at(db, "2018-07-01T00:30")
    assert (await make.task_of(db, task.movement_id)).state == after


async def test_a_withdrawal_after_the_due_instant_finds_the_task_overdue_whether_the_run_or_the_event_comes_first(db):
    judged = at("2018-07-01T00:30")
    told = []
    for account, run_first in (("A1", True), ("A2", False)):
        task = await make.open_task(db, account_no=account)
        event = make.withdrawn(account_no=account, judged_at=judged)
        if run_first:
            await overdue_at(db, "2018-07-01T00:30")
            await make.note(db, event)
        else:
            await make.note(db, event)
            await overdue_at(db, "2018-07-01T00:30")
        after = await make.task_of(db, task.movement_id)
        assert (after.state, after.overdue_at, after.version) == ("cancelled", DUE, 3)
        events = [(kind, data["version"]) for kind, data in await make.published(db) if data["account_no"] == account]
        told.append(events)
    assert told[0] == told[1] == [("opened", 1), ("overdue", 2), ("cancelled", 3)]


async def test_an_overdue_task_is_announced_exactly_as_a_single_change_would_be(db):
    """The set-based announcement renders JSON in SQL: it equals what the event itself would be, byte for byte of data."""
    task = await make.open_task(db, account_no="-a-1", service_tier="vip", kind="zero_month", zero_months=2)
    await overdue_at(db, "2018-07-01T00:30")
    after = await make.task_of(db, task.movement_id)
    expected = tasks.state_event(TaskOverdue, {name: getattr(after, name) for name in TaskOverdue.model_fields})
    async with db.transaction() as session:
        row = (await session.execute(text("SELECT * FROM outbox ORDER BY seq DESC LIMIT 1"))).one()
    assert TaskOverdue.model_validate_json(row.data) == expected
    assert TaskOverdue.model_validate_json(row.data).to_bytes() == expected.to_bytes()
    assert set(TaskOverdue.model_fields) == set(row.data and TaskOverdue.model_validate_json(row.data).model_dump())
    assert (row.event_id, row.key, row.topic) == (expected.event_id, "-a-1", "retention.events")


async def test_thousands_fall_due_in_one_statement_through_the_index(db, postgres):
    async with db.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO tasks (task_id, kind, account_no, role, unit_code, state, due_at, movement_id, month, "
                "movement_kind, opened_at, changed_at, version, movement_sequence) "
                "SELECT natural_id('t' || n), 'movement', 'A' || n, 'outlet_staff', 'O1', "
                "CASE WHEN n % 4 = 0 THEN 'claimed' WHEN n % 4 = 1 THEN 'open' ELSE 'done' END, "
                "CASE WHEN n <= 4000 THEN timestamptz '2018-07-01 00:00+08' ELSE '2018-10-01 00:00+08' END, "
                "natural_id('m' || n), '2018-03-01', 'zero_month', '2018-04-01 00:30+08', '2018-04-01 00:30+08', 1, n "
                "FROM generate_series(1, 40000) AS n"
            )
        )
    await postgres.analyze(db, "tasks")
    await overdue_at(db, "2018-07-01T00:30")
    async with db.transaction() as session:
        states = dict((await session.execute(select(Task.state, func.count()).group_by(Task.state))).all())
        told = (await session.execute(text("SELECT count(DISTINCT event_id) FROM outbox"))).scalar_one()
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (
            await session.execute(
                text(
                    "EXPLAIN SELECT task_id FROM tasks WHERE state IN ('open', 'claimed') AND due_at <= '2018-10-02' "
                    "ORDER BY movement_id FOR UPDATE"
                )
            )
        ).scalars()
        assert any("tasks_falling_due" in line for line in plan)
    assert (states["overdue"], told) == (2000, 2000)
