import asyncio
import json

import pytest
from sqlalchemy import select, text

from services.retention import contacts, executors
from services.retention.contacts import BLOCKS, Entry
from services.retention.models import Contact, Task
from shared.db import Database, Scope
from shared.ids import natural_id
from shared.problems import Conflict, Forbidden, Invalid
from tests.retention import make
from tests.retention.make import MANAGER, OUTLET, Person, at

MONDAY = at("2018-04-09T10:00")
ALL_BLOCKS = {block: f"{block} was spoken of" for block in BLOCKS}


async def record(db: Database, task: Task, when: str, person: Person = OUTLET, **blocks: str) -> Contact:
    entry = Entry("visit", at(when), **blocks)
    async with db.transaction() as session:
        recorded = await contacts.record(session, task.task_id, person.actor, person.roles, entry)
        return await session.get_one(Contact, recorded.contact_id)


async def complete(db: Database, task: Task, person: Person = OUTLET) -> Task:
    async with db.transaction() as session:
        return await contacts.complete(session, task.task_id, person.actor, person.roles)


@pytest.fixture
async def task(db: Database) -> Task:
    await make.set_clock(db, MONDAY)
    return await make.open_task(db)


@pytest.mark.row("R-39")
async def test_a_contact_keeps_who_when_and_the_blocks_that_were_spoken_of(db, task):
    contact = await record(db, task, "2018-04-08T20:00", cause="moved to a rival", competitor="a rival")
    assert contact.contact_id == natural_id("contact", str(task.task_id), 1)
    assert (contact.channel, contact.actor, contact.unit_code) == ("visit", "o-1", "O1")
    assert (contact.contacted_at, contact.entered_at, contact.late) == (at("2018-04-08T20:00"), MONDAY, False)
    assert (contact.cause, contact.satisfaction) == ("moved to a rival", None)


@pytest.mark.row("R-39")
async def test_a_task_is_complete_only_with_all_five_blocks_over_its_contacts(db, task):
    for block in BLOCKS[:-1]:
        await record(db, task, "2018-04-09T09:00", **{block: "said"})
    with pytest.raises(Conflict) as refused:
        await complete(db, task)
    assert refused.value.type_slug == "blocks-missing"
    assert "still missing: news_passed_on." in refused.value.detail
    await record(db, task, "2018-04-09T09:30", news_passed_on="the new product")
    done = await complete(db, task)
    assert (done.state, done.done_by, done.done_at, done.version) == ("done", "o-1", MONDAY, 3)
    assert [kind for kind, _ in await make.published(db)] == ["opened", "claimed", "done"]


@pytest.mark.row("R-39")
async def test_a_task_without_any_contact_lacks_all_five_blocks(db, task):
    with pytest.raises(Conflict) as refused:
        await complete(db, task)
    assert all(block in refused.value.detail for block in BLOCKS)


@pytest.mark.row("R-42")
@pytest.mark.parametrize(
    ("detected", "contacted", "entered", "late"),
    [
        ("2018-02-01T00:30", "2018-02-14T10:00", "2018-02-24T22:00", False),  # Spring Festival, make-up Saturday
        ("2018-02-01T00:30", "2018-02-14T10:00", "2018-02-26T08:00", True),
        ("2018-04-01T00:30", "2018-04-04T10:00", "2018-04-09T10:00", False),  # Qingming 5-7 April, Sunday 8 worked
        ("2018-04-01T00:30", "2018-04-04T10:00", "2018-04-10T23:59", False),  # 8, 9, 10 April
        ("2018-04-01T00:30", "2018-04-04T10:00", "2018-04-11T00:00", True),
        ("2018-04-01T00:30", "2018-04-09T10:00", "2018-04-12T23:59", False),
        ("2018-04-01T00:30", "2018-04-09T10:00", "2018-04-13T00:00", True),
    ],
)
async def test_a_contact_entered_after_more_than_three_working_days_is_late(db, detected, contacted, entered, late):
    task = await make.open_task(db, detected_at=at(detected))
    await make.set_clock(db, at(entered))
    assert (await record(db, task, contacted, cause="said")).late is late


async def test_the_working_days_are_those_of_the_database_not_of_a_package(db, task):
    qingming = "day BETWEEN '2018-04-05' AND '2018-04-07'"
    async with db.transaction() as session:
        await session.execute(text(f"UPDATE working_days SET working = true WHERE {qingming}"))
    try:
        assert (await record(db, task, "2018-04-05T10:00", cause="said")).late
    finally:
        async with db.transaction() as session:
            await session.execute(text(f"UPDATE working_days SET working = false WHERE {qingming}"))
    assert not (await record(db, task, "2018-04-05T10:00", cause="said")).late


async def test_a_contact_in_the_future_is_refused(db, task):
    with pytest.raises(Invalid, match="2018-04-09T10:00:00\\+08:00") as refused:
        await record(db, task, "2018-04-09T10:00:01", cause="said")
    assert refused.value.type_slug == "contact-in-the-future"
    assert (await record(db, task, "2018-04-09T10:00:00", cause="said")).number == 1


async def test_a_contact_before_the_movement_was_detected_is_refused(db, task):
    with pytest.raises(Invalid) as refused:
        await record(db, task, "2018-04-01T00:29:59", cause="said")
    assert refused.value.type_slug == "contact-before-the-movement"
    await record(db, task, "2018-04-01T00:30", cause="said")


async def test_a_contact_that_says_nothing_is_refused(db, task):
    with pytest.raises(Invalid, match="at least one of the five blocks"):
        await record(db, task, "2018-04-09T09:00")


async def test_who_records_the_first_contact_claims_the_task_with_it(db, task):
    await record(db, task, "2018-04-09T09:00", cause="said")
    after = await make.task_of(db, task.movement_id)
    assert (after.state, after.claimed_by) == ("claimed", "o-1")
    await record(db, task, "2018-04-09T09:30", Person("o-2", OUTLET.roles), cause="said again")
    assert (await make.task_of(db, task.movement_id)).claimed_by == "o-1"


@pytest.mark.row("T-32")
async def test_nobody_but_the_branch_manager_records_or_completes_for_a_key_shipper(db):
    """T-32, the part due: in person means that another role's record and completion are refused, too."""
    task = await make.open_task(db, service_tier="key")
    await make.set_clock(db, MONDAY)
    with pytest.raises(Forbidden):
        await record(db, task, "2018-04-09T09:00", OUTLET, cause="said")
    await record(db, task, "2018-04-09T09:00", MANAGER, **ALL_BLOCKS)
    with pytest.raises(Forbidden):
        await complete(db, task, OUTLET)
    assert (await complete(db, task, MANAGER)).state == "done"


@pytest.mark.row("R-41")
async def test_a_talk_after_the_due_instant_completes_the_task_and_its_delay_stays_on_record(db, task):
    """R-41, the part due: what is done late is announced as overdue first; how many contacts are enough comes later."""
    await make.set_clock(db, at("2018-07-01T00:10"))
    await record(db, task, "2018-07-01T00:05", **ALL_BLOCKS)
    done = await complete(db, task)
    assert (done.state, done.overdue_at) == ("done", task.due_at)
    assert [kind for kind, _ in await make.published(db)] == ["opened", "overdue", "claimed", "done"]


async def test_a_done_task_takes_no_more_contacts_and_is_not_done_twice(db, task):
    await record(db, task, "2018-04-09T09:00", **ALL_BLOCKS)
    await complete(db, task)
    with pytest.raises(Conflict, match="completed at 2018-04-09T10:00:00"):
        await record(db, task, "2018-04-09T09:00", cause="said")
    with pytest.raises(Conflict):
        await complete(db, task)


async def test_contacts_recorded_at_once_are_numbered_without_gaps(web, db, task):
    async def one(number: int) -> int:
        async with web.transaction(Scope(unit_code="B1")) as session:
            entry = Entry("phone", at("2018-04-09T09:00"), cause=f"call {number}")
            recorded = await contacts.record(session, task.task_id, "o-1", OUTLET.roles, entry)
            return (await session.get_one(Contact, recorded.contact_id)).number

    assert sorted(await asyncio.gather(*(one(number) for number in range(10)))) == list(range(1, 11))
    assert [kind for kind, _ in await make.published(db)] == ["opened", "claimed"]


async def test_what_was_said_stays_in_the_database_and_is_never_published(db, task):
    secret = "Mr Lin said so"
    await record(db, task, "2018-04-09T09:00", **dict.fromkeys(BLOCKS, secret))
    await complete(db, task)
    async with db.transaction() as session:
        rows = (await session.execute(text("SELECT row_to_json(o)::text FROM outbox o"))).scalars().all()
    assert rows
    assert not any(secret in json.loads(json.dumps(row)) or "o-1" in row for row in rows)


async def test_contacts_are_seen_in_the_unit_of_their_task_alone(web, db, task):
    await record(db, task, "2018-04-09T09:00", cause="said")
    for scope, seen in (
        (Scope(unit_code="D1"), 1),
        (Scope(unit_code="O1"), 1),
        (Scope(everything=True), 1),
        (Scope(unit_code="B2"), 0),
        (Scope(account_no="A1"), 0),
        (None, 0),
    ):
        async with web.transaction(scope) as session:
            assert len((await session.execute(select(Contact))).all()) == seen


async def test_a_refused_claim_changes_nothing_although_the_task_had_fallen_due(db, task):
    await make.set_clock(db, at("2018-07-01T00:10"))
    with pytest.raises(Forbidden):
        async with db.transaction() as session:
            await executors.claim(session, task.task_id, "m-1", MANAGER.roles)
    assert (await make.task_of(db, task.movement_id)).state == "open"


@pytest.mark.row("R-39", "T-28")
async def test_a_recorded_contact_is_told_with_the_names_of_its_blocks_and_no_word_of_them(db, task):
    person = Person("0c8f5a7e-91f5-4b0a-8f57-6e9f3a4d2c11", frozenset({"outlet_staff"}))
    blocks = {"cause": "moved to SECRET", "competitor": "SECRET too", "cause_code": "competitor"}
    contact = await record(db, task, "2018-04-08T20:00", person, **blocks)
    (told,) = await make.contacts_told(db)
    assert told == {
        "contact_id": str(contact.contact_id),
        "task_id": str(task.task_id),
        "account_no": "A1",
        "channel": "visit",
        "contacted_at": "2018-04-08T20:00:00+08:00",
        "entered_at": "2018-04-09T10:00:00+08:00",
        "late": False,
        "blocks_filled": 2,
        "blocks": ["cause", "competitor"],
        "role": "outlet_staff",
        "unit_code": "O1",
        "staff_id": person.actor,
        "cause_code": "competitor",
    }


@pytest.mark.parametrize("actor", ["li.wei", "local-outlet_staff", "13800000000", "0c8f5a7e-91f5-4b0a-8f57"])
async def test_a_name_never_leaves_with_a_contact(db, task, actor):
    await record(db, task, "2018-04-08T20:00", Person(actor, frozenset({"outlet_staff"})), cause="said")
    assert [told["staff_id"] for told in await make.contacts_told(db)] == [None]
