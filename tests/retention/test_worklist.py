import pytest

from services.retention import contacts, worklist
from services.retention.models import Base
from shared.db import Database, Scope
from shared.ids import natural_id
from shared.migrations import differences
from shared.paging import PageRequest, decode_cursor
from shared.problems import NotFound
from tests.retention import make
from tests.retention.make import OUTLET, at

ROOT = Scope(everything=True)


async def accounts(db: Database, unit: str, scope: Scope | None = ROOT, **filters) -> list[str]:
    async with db.transaction(scope) as session:
        found = await worklist.list_tasks(session, unit, PageRequest(), **filters)
    assert found["next_cursor"] is None
    return [task.account_no for task in found["items"]]


@pytest.fixture
async def four(db: Database) -> Database:
    await make.note(
        db,
        make.detected(account_no="A1"),
        make.detected(account_no="A2", month="2018-06", service_tier="key", branch_code="B2"),
        make.detected(account_no="A3", month="2017-12", service_tier="vip", district_code="D2", branch_code="B9"),
        make.detected(account_no="A4", month="2018-09", branch_code=None, district_code=None, outlet_code=None),
    )
    await make.note(db, make.withdrawn(account_no="A2", month="2018-06"))
    return db


async def test_tasks_are_listed_by_unit_role_state_and_due_instant_the_earliest_first(four, web):
    assert await accounts(web, "HQ") == ["A3", "A1", "A2", "A4"]
    assert await accounts(web, "D1") == ["A1", "A2"]
    assert await accounts(web, "B1") == ["A1"]
    assert await accounts(web, "HQ", role="district_head") == ["A3"]
    assert await accounts(web, "HQ", state="cancelled") == ["A2"]
    assert await accounts(web, "HQ", kind="movement", state="open") == ["A3", "A1", "A4"]
    assert await accounts(web, "HQ", due_before=at("2018-07-01T00:00")) == ["A3"]
    assert await accounts(web, "HQ", due_before=at("2018-07-01T00:00:01")) == ["A3", "A1"]


@pytest.mark.row("X-01", "X-03", "X-04")
async def test_each_role_sees_its_own_unit_and_what_lies_below_it(four, web):
    assert await accounts(web, "D1", Scope(unit_code="D1")) == ["A1", "A2"]
    assert await accounts(web, "B2", Scope(unit_code="B2")) == ["A2"]
    assert await accounts(web, "O1", Scope(unit_code="O1")) == ["A1"]
    assert await accounts(web, "HQ", Scope(unit_code="B2")) == ["A2"]  # the second wall, should the first be missing
    assert await accounts(web, "HQ", None) == []


async def test_pages_follow_one_another_without_gap_or_repeat_also_at_equal_due_instants(db, web):
    await make.note(db, *(make.detected(account_no=f"A{number}") for number in range(7)))
    seen, after = [], None
    for _ in range(4):
        async with web.transaction(ROOT) as session:
            page = await worklist.list_tasks(session, "HQ", PageRequest(limit=2, after=after, seal=b"s"))
        seen += [task.account_no for task in page["items"]]
        after = page["next_cursor"] and decode_cursor(page["next_cursor"], b"s")
    assert after is None
    assert sorted(seen) == [f"A{number}" for number in range(7)]


async def test_a_task_is_read_with_its_contacts_and_what_is_missing(db, web):
    task = await make.open_task(db)
    await make.set_clock(db, at("2018-04-09T10:00"))
    async with db.transaction() as session:
        entry = contacts.Entry("phone", at("2018-04-09T09:00"), cause="said", competitor="a rival")
        await contacts.record(session, task.task_id, "o-1", OUTLET.roles, entry)
    async with web.transaction(Scope(unit_code="B1")) as session:
        found = await worklist.read_task(session, task.task_id)
    assert found["task"].reason == {
        "movement_id": task.movement_id,
        "month": "2018-03",
        "quarter": None,
        "kind": "fall_over_half",
    }
    assert [contact.cause for contact in found["contacts"]] == ["said"]
    assert found["missing_blocks"] == ["satisfaction", "other_needs", "news_passed_on"]


async def test_what_lies_outside_the_callers_unit_is_answered_like_what_does_not_exist(db, web):
    task = await make.open_task(db)
    answers = []
    for scope, task_id in ((Scope(unit_code="B2"), task.task_id), (ROOT, natural_id("task", "none"))):
        with pytest.raises(NotFound) as refused:
            async with web.transaction(scope) as session:
                await worklist.read_task(session, task_id)
        answers.append((refused.value.status, refused.value.type_slug))
    assert answers[0] == answers[1]


async def test_the_models_say_what_the_migrations_made(postgres, retention_db):
    name = retention_db.url.rpartition("/")[2]
    assert await differences("retention", postgres.url("retention_owner", name)) == []
    assert set(Base.metadata.tables) == {"tasks", "contacts", "delegations"}
