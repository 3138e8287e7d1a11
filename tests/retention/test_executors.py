import asyncio
from datetime import timedelta

import pytest

from services.retention import executors
from services.retention.models import Task
from shared.db import Database, Scope
from shared.ids import natural_id
from shared.problems import Conflict, Forbidden, NotFound, Problem
from tests.retention import make
from tests.retention.make import HEAD, MANAGER, OUTLET, Person, at

NOON = at("2018-04-02T12:00")


async def claim(db: Database, task: Task, person: Person, scope: Scope | None = None) -> Task:
    async with db.transaction(scope) as session:
        return await executors.claim(session, task.task_id, person.actor, person.roles)


@pytest.mark.row("X-01", "X-03", "X-04")
@pytest.mark.parametrize(("tier", "person"), [("vip", HEAD), ("key", MANAGER), ("general", OUTLET)])
async def test_the_role_a_task_is_for_claims_it(db, tier, person):
    task = await make.open_task(db, service_tier=tier)
    await make.set_clock(db, NOON)
    claimed = await claim(db, task, person)
    assert (claimed.state, claimed.claimed_by, claimed.claimed_at, claimed.version) == ("claimed", person.actor, NOON, 2)
    kind, data = (await make.published(db))[-1]
    assert (kind, data["state"], data["changed_at"]) == ("claimed", "claimed", "2018-04-02T12:00:00+08:00")
    assert person.actor not in data.values()


@pytest.mark.row("T-32")
@pytest.mark.parametrize("roles", [{"outlet_staff"}, {"district_head"}, {"ops_hq"}, {"care_rep", "outlet_staff"}, set()])
async def test_a_key_shippers_task_is_the_branch_managers_own_and_cannot_be_taken_by_another_role(db, roles):
    """T-32, the part due: the claim of another role is refused. Logging a delegation as a breach comes later."""
    task = await make.open_task(db, service_tier="key")
    await make.set_clock(db, NOON)
    with pytest.raises(Forbidden) as refused:
        await claim(db, task, Person("x", frozenset(roles)))
    assert refused.value.status == 403
    assert "in person" in refused.value.detail
    assert (await make.task_of(db, task.movement_id)).claimed_by is None


@pytest.mark.row("T-33")
async def test_a_general_shippers_task_is_refused_to_other_roles_and_says_whose_it_is(db):
    """T-33, the part due: the outlet's own task. That the branch manager arranges the staff comes later."""
    task = await make.open_task(db)
    await make.set_clock(db, NOON)
    with pytest.raises(Forbidden, match="outlet_staff of O1"):
        await claim(db, task, MANAGER)


async def test_of_twenty_claims_at_once_one_wins_and_the_others_are_told(web, db):
    task = await make.open_task(db)
    await make.set_clock(db, NOON)
    scope = Scope(unit_code="O1")

    async def attempt(number: int) -> Task | Problem:
        try:
            return await claim(web, task, Person(f"o-{number}", OUTLET.roles), scope)
        except Problem as problem:
            return problem

    answers = await asyncio.gather(*(attempt(number) for number in range(20)))
    won = [answer for answer in answers if isinstance(answer, Task)]
    lost = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(won), len(lost)) == (1, 19)
    assert {problem.type_slug for problem in lost} == {"task-already-claimed"}
    after = await make.task_of(db, task.movement_id)
    assert (after.claimed_by, after.version) == (won[0].claimed_by, 2)
    assert [kind for kind, _ in await make.published(db)] == ["opened", "claimed"]


@pytest.mark.row("X-01", "X-03", "X-04")
@pytest.mark.parametrize(
    ("unit", "sees"), [("O1", True), ("B1", True), ("D1", True), ("B2", False), ("B9", False), ("D2", False), (None, False)]
)
async def test_a_task_outside_the_callers_unit_does_not_exist_for_it(web, db, unit, sees):
    task = await make.open_task(db)
    await make.set_clock(db, NOON)
    if sees:
        assert (await claim(web, task, OUTLET, Scope(unit_code=unit))).state == "claimed"
    else:
        with pytest.raises(NotFound):
            await claim(web, task, OUTLET, Scope(unit_code=unit))


async def test_outlet_staff_of_a_branch_claim_what_the_branch_has_no_outlet_for(web, db):
    task = await make.open_task(db, outlet_code=None)
    await make.set_clock(db, NOON)
    assert (await claim(web, task, OUTLET, Scope(unit_code="B1"))).unit_code == "B1"


async def test_an_unknown_task_is_not_found(db):
    with pytest.raises(NotFound):
        async with db.transaction() as session:
            await executors.claim(session, natural_id("task", "none"), "o-1", OUTLET.roles)


async def test_a_claim_after_the_due_instant_finds_the_task_overdue_and_leaves_it_so(db):
    task = await make.open_task(db)
    await make.set_clock(db, task.due_at + timedelta(minutes=10))
    claimed = await claim(db, task, OUTLET)
    assert (claimed.state, claimed.overdue_at, claimed.claimed_by, claimed.version) == ("overdue", task.due_at, "o-1", 3)
    told = [(kind, data["state"], data["version"]) for kind, data in await make.published(db)]
    assert told == [("opened", "open", 1), ("overdue", "overdue", 2), ("claimed", "overdue", 3)]


async def test_a_done_or_cancelled_task_can_no_longer_be_claimed(db):
    task = await make.open_task(db)
    await make.set_clock(db, NOON)
    await make.note(db, make.withdrawn(judged_at=NOON))
    with pytest.raises(Conflict, match="no talk is owed"):
        await claim(db, task, OUTLET)
