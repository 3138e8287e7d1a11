"""Retention over HTTP: a branch's quarter, and the refusals a person meets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.retention.main import app
from services.retention.models import Task
from shared.db import Database
from shared.settings import Settings
from tests.conftest import Server
from tests.retention import make
from tests.retention.make import at
from tests.serving import bearer, serving, settings_of


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    def as_(self, role: str, unit: str | None = None, person: str | None = None, **headers: str) -> dict[str, str]:
        return bearer(self.settings, role, unit, person=person) | headers

    async def get(self, path: str, role: str, unit: str) -> httpx2.Response:
        return await self.client.get(path, headers=self.as_(role, unit))

    async def post(self, path: str, role: str, unit: str, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.client.post(path, json=body, headers=self.as_(role, unit, **headers))


@pytest.fixture
async def desk(db: Database, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    await make.set_clock(db, at("2018-04-09T10:00"))
    settings = settings_of("retention", postgres, db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


@pytest.fixture
async def key_task(db: Database) -> Task:
    return await make.open_task(db, service_tier="key")


@pytest.mark.row("R-39", "R-41", "R-42", "X-03", "T-32")
async def test_a_branch_manager_works_a_task_off_from_the_list_to_its_completion(desk, key_task):
    """T-32, R-41, the parts due: the manager's own task, its due instant, claim and completion."""
    me = ("branch_manager", "B1")
    [item] = (await desk.get("/v1/tasks?state=open&kind=movement&role=branch_manager&unit=B1", *me)).json()["items"]
    assert item == {
        "task_id": str(key_task.task_id),
        "kind": "movement",
        "account_no": "A1",
        "role": "branch_manager",
        "unit_code": "B1",
        "state": "open",
        "due_at": "2018-07-01T00:00:00+08:00",
        "reason": {
            "movement_id": str(key_task.movement_id),
            "month": "2018-03",
            "quarter": None,
            "kind": "fall_over_half",
        },
        "in_person": True,
        "priority": False,
        "assist": [],
        "delegated_to": None,
    }
    task = f"/v1/tasks/{item['task_id']}"
    claimed = await desk.post(f"{task}/claim", *me)
    assert (claimed.status_code, claimed.json()["state"], claimed.json()["claimed_at"]) == (
        200,
        "claimed",
        "2018-04-09T10:00:00+08:00",
    )
    visit = {"channel": "visit", "at": "2018-04-02T10:00:00+08:00", "cause": " a rival ", "satisfaction": "content"}
    recorded = await desk.post(f"{task}/contacts", *me, visit)
    assert recorded.status_code == 201
    receipt = recorded.json()
    assert set(receipt) == {"contact_id", "entered_at", "late", "missing_blocks"}
    assert receipt["missing_blocks"] == ["other_needs", "competitor", "news_passed_on"]
    assert receipt["late"] is True  # 3, 4, 9 April and the make-up Sunday 8 April: four working days
    refused = await desk.post(f"{task}/completion", *me)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/blocks-missing")
    call = {
        "channel": "phone",
        "at": "2018-04-09T09:00:00+08:00",
        "other_needs": "cold",
        "competitor": "a",
        "news_passed_on": "b",
    }
    assert (await desk.post(f"{task}/contacts", *me, call)).json()["late"] is False
    assert (await desk.post(f"{task}/completion", *me)).json()["state"] == "done"
    read = (await desk.get(task, *me)).json()
    assert (read["task"]["done_at"], read["missing_blocks"]) == ("2018-04-09T10:00:00+08:00", [])
    assert [(c["channel"], c["at"], c["cause"]) for c in read["contacts"]] == [
        ("visit", "2018-04-02T10:00:00+08:00", "a rival"),
        ("phone", "2018-04-09T09:00:00+08:00", None),
    ]


@pytest.mark.row("T-32", "T-33")
@pytest.mark.parametrize(
    ("role", "unit", "status", "type_"),
    [
        ("outlet_staff", "B1", 403, "task-of-another-role"),
        ("district_head", "D1", 403, "task-of-another-role"),
        ("cust_mgmt_office", "HQ", 403, "role-not-allowed"),
        ("ops_hq", "HQ", 403, "role-not-allowed"),
        ("analyst", "HQ", 403, "role-not-allowed"),
        ("branch_manager", "B2", 404, "not-found"),
        ("branch_manager", "B9", 404, "not-found"),
        ("outlet_staff", "O1", 404, "not-found"),
        ("branch_manager", "HQ", 200, None),
    ],
)
async def test_who_may_claim_a_key_shippers_task(desk, key_task, role, unit, status, type_):
    """T-32, T-33, the parts due: refusal of the claims of other roles, and of other units."""
    answer = await desk.post(f"/v1/tasks/{key_task.task_id}/claim", role, unit)
    assert (answer.status_code, answer.json().get("type")) == (status, type_ and f"/problems/{type_}")


async def test_twenty_claims_over_http_have_one_winner(desk, key_task):
    path = f"/v1/tasks/{key_task.task_id}/claim"
    people = [desk.as_("branch_manager", "B1", f"m-{number}") for number in range(20)]
    answers = await asyncio.gather(*(desk.client.post(path, headers=person) for person in people))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19


async def test_a_claim_sent_again_with_its_key_is_answered_again_and_done_once(desk, db, key_task):
    sent = {"headers": desk.as_("branch_manager", "B1", "m-1", **{"Idempotency-Key": "k-1"})}
    path = f"/v1/tasks/{key_task.task_id}/claim"
    first, second = await desk.client.post(path, **sent), await desk.client.post(path, **sent)
    assert (first.status_code, second.status_code, first.content) == (200, 200, second.content)
    assert [kind for kind, _ in await make.published(db)] == ["opened", "claimed"]


@pytest.mark.parametrize(
    "change",
    [
        {"channel": "fax"},
        {"at": "2018-04-09T09:00:00"},
        {"at": 1523239200},
        {"cause": ""},
        {"cause": "   "},
        {"cause": "x" * 2001},
        {"cause": 5},
        {"cause": "a\x00b"},
        {"cause": None},
        {"mood": "good"},
        {"at": "2018-04-09T10:00:01+08:00"},
        {"at": "2018-04-01T00:29:59+08:00"},
    ],
)
async def test_a_contact_that_is_not_right_is_refused_and_says_why(desk, key_task, change):
    body = {"channel": "visit", "at": "2018-04-09T09:00:00+08:00", "cause": "said"} | change
    answer = await desk.post(f"/v1/tasks/{key_task.task_id}/contacts", "branch_manager", "B1", body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.row("X-01", "X-03", "X-04")
async def test_each_role_finds_its_own_tasks_and_headquarters_reads_all(desk, db):
    await make.note(db, *(make.detected(account_no=f"A-{tier}", service_tier=tier) for tier in ("vip", "key", "general")))
    for role, unit, accounts in (
        ("district_head", "D1", ["A-vip"]),
        ("branch_manager", "B1", ["A-key"]),
        ("outlet_staff", "O1", ["A-general"]),
    ):
        found = (await desk.get(f"/v1/tasks?role={role}", role, unit)).json()["items"]
        assert [item["account_no"] for item in found] == accounts
    assert len((await desk.get("/v1/tasks", "ops_hq", "HQ")).json()["items"]) == 3
    assert (await desk.get("/v1/tasks?unit=D2", "branch_manager", "B1")).status_code == 404
    assert (await desk.get("/v1/tasks?due_before=2018-07-01T00:00:00%2B08:00", "ops_hq", "HQ")).json()["items"] == []


async def test_the_list_turns_pages(desk, db):
    await make.note(db, *(make.detected(account_no=f"A{number}") for number in range(5)))
    seen, cursor = [], ""
    while cursor is not None:
        page = (await desk.get(f"/v1/tasks?limit=2{cursor and f'&cursor={cursor}'}", "ops_hq", "HQ")).json()
        seen += [item["account_no"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == [f"A{number}" for number in range(5)]


async def test_nothing_that_was_said_is_kept_outside_its_table(desk, db, key_task):
    body = {"channel": "im", "at": "2018-04-09T09:00:00+08:00", "cause": "Mr Lin said so"}
    path = f"/v1/tasks/{key_task.task_id}/contacts"
    assert (await desk.post(path, "branch_manager", "B1", body, **{"Idempotency-Key": "k"})).status_code == 201
    async with db.transaction() as session:
        for table in ("idempotency_keys", "outbox", "inbox"):
            found = (await session.connection()).exec_driver_sql(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%Lin%'")
            assert (await found).scalar() == 0
