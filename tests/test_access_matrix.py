"""Every cell of the access policy: operation x role x unit relation, against the real applications on real PostgreSQL.

The table of shared/access.py says what each cell must answer; nothing is listed here by hand, so a new operation without a
request in tests/access_world.py fails.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from shared.access import POLICY, Reach, Role
from shared.db import Database, Scope
from shared.settings import SERVICES, Settings
from tests.access_world import OTHER, OWN, PROBES, UNITS, WORLDS, Probe
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of


@dataclass(frozen=True)
class Service:
    """A running service with its world."""

    app: FastAPI
    client: httpx2.AsyncClient
    settings: Settings
    database: Database


@pytest.fixture(scope="module")
async def services(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Service]]:
    async with AsyncExitStack() as stack:
        running = {}
        for name in SERVICES:
            database_name = await postgres.fresh(name)
            settings = settings_of(name, postgres, database_name, tmp_path_factory.mktemp(name))
            app = import_module(f"services.{name}.main").app
            client = await stack.enter_async_context(serving(app, settings))
            database = Database(name, settings.database_url(name), "worker")
            stack.push_async_callback(database.close)
            await WORLDS[name](database, client, bearer(settings, "ops_hq", "HQ"))
            running[name] = Service(app, client, settings, database)
        yield running


def covers(unit: str | None, thing: str) -> bool:
    """Say whether a unit's subtree contains another."""
    above: str | None = thing
    while above is not None and above != unit:
        above = UNITS[above][1]
    return above is not None


def relation(unit: str | None, thing: str) -> str:
    """Name how the caller's unit stands to the thing's."""
    if unit is None:
        return "none"
    if unit == thing:
        return "own"
    if covers(unit, thing):
        return "parent"
    if covers(thing, unit):
        return "child"
    return "sibling" if UNITS[unit][1] == UNITS[thing][1] else "elsewhere"


def cells() -> Iterator[tuple[str, Role, str | None, str | None]]:
    """Each operation, each role, and the caller's unit (staff) or account (shipper)."""
    for operation in POLICY:
        for role in Role:
            if role is Role.SHIPPER:
                yield from ((operation, role, None, account) for account in (OWN, OTHER))
            else:
                yield from ((operation, role, unit, None) for unit in (*UNITS, None))


def expected(operation: str, role: Role, unit: str | None, account: str | None, probe: Probe) -> int | None:
    """What the policy says: a refusal's status, or None for an answer that shows the thing."""
    rule = POLICY[operation]
    if role not in rule.roles:
        return 403
    if rule.reach is Reach.ROOT:
        return None if unit == "HQ" else 403
    if rule.reach is Reach.OPEN:
        return None
    inside = account == probe.account if role is Role.SHIPPER else covers(unit, probe.unit)
    return None if inside else 404


def test_every_operation_has_a_request_and_every_relation_occurs() -> None:
    assert set(PROBES) == set(POLICY)
    occurring = {relation(unit, PROBES[operation](role).unit) for operation, role, unit, _ in cells()}
    assert occurring == {"own", "child", "sibling", "parent", "none", "elsewhere"}


@pytest.mark.parametrize("operation", list(POLICY))
async def test_each_cell_of_an_operation(services: dict[str, Service], operation: str) -> None:
    service = services[operation.partition(".")[0]]
    wrong = []
    for _, role, unit, account in (cell for cell in cells() if cell[0] == operation):
        probe = PROBES[operation](role)
        status = expected(operation, role, unit, account, probe)
        cell = f"{role} {account or relation(unit, probe.unit)} ({unit or account or 'no unit'})"
        wrong += [f"{cell}: {fault}" async for fault in _faults(service, operation, role, unit, account, probe, status)]
    assert wrong == []


async def _faults(
    service: Service, operation: str, role: Role, unit: str | None, account: str | None, probe: Probe, status: int | None
) -> AsyncIterator[str]:
    headers = bearer(service.settings, role, unit, account)
    if probe.before:
        async with service.database.transaction() as session:
            for statement in probe.before.split("; "):
                await session.execute(text(statement))
    answer = await service.client.request(probe.method, probe.path, json=probe.body, headers=headers)
    if POLICY[operation].reach is not Reach.UNIT or status == 403:
        if answer.status_code != (status or answer.status_code) or (status is None and not answer.is_success):
            yield f"{answer.status_code} instead of {status or 'success'} {answer.text[:200]}"
        return
    if answer.status_code != 200 or (probe.shows in answer.text) != (status is None):
        yield f"the list answers {answer.status_code} and {'shows' if probe.shows in answer.text else 'does not show'} the thing"
    asked = await service.client.get(f"{probe.path}?unit={probe.unit}", headers=headers)
    wanted = 404 if role is Role.SHIPPER else status or 200
    if asked.status_code != wanted or (asked.status_code == 200 and probe.shows not in asked.text):
        yield f"asked for the unit {asked.status_code} instead of {wanted}"


async def test_a_write_that_was_refused_changed_nothing(services: dict[str, Service]) -> None:
    """A foreign caller's idempotency key, and a foreign caller's write, leave the task as it was."""
    service = services["retention"]
    probe = PROBES["retention.claim_task"](Role.OUTLET_STAFF)
    async with service.database.transaction() as session:
        await session.execute(text(probe.before))
    key = {"Idempotency-Key": "stolen"}
    good = bearer(service.settings, "outlet_staff", "B1", person="ann") | key
    first = await service.client.post(probe.path, headers=good)
    assert first.status_code == 200
    others = [("outlet_staff", "B2", "ann", 422), ("outlet_staff", "B2", "bob", 404), ("analyst", "HQ", "ann", 403)]
    for role, unit, person, status in others:
        answer = await service.client.post(probe.path, headers=bearer(service.settings, role, unit, person=person) | key)
        assert answer.status_code == status
        assert "claimed_by" not in answer.text
    async with service.database.transaction() as session:
        claimed = await session.execute(
            text("SELECT claimed_by FROM tasks WHERE task_id = :task"), {"task": first.json()["task_id"]}
        )
        assert list(claimed.scalars()) == ["ann"]


FOREIGN = (Scope("B2"), Scope("D2"), Scope("O1"), Scope(None), Scope("NOWHERE"), Scope(account_no=OTHER))


@pytest.mark.parametrize("name", SERVICES)
async def test_row_level_security_alone_hides_what_is_foreign(services: dict[str, Service], name: str) -> None:
    """The second wall without the first: whole tables read by the role that serves requests."""
    service = services[name]
    async with service.database.transaction() as session:
        found = await session.execute(
            text("SELECT table_name FROM information_schema.columns WHERE column_name = 'account_no' AND table_schema = 'public'")
        )
        tables = list(found.scalars())
    web = service.app.state.database
    shown = dict.fromkeys((Scope("B1"), Scope(everything=True), Scope(account_no=OWN), *FOREIGN), 0)
    for scope in shown:
        async with web.transaction(scope) as session:
            for table in tables:
                of_account = text(f"SELECT count(*) FROM {table} WHERE account_no = :own")
                shown[scope] += (await session.execute(of_account, {"own": OWN})).scalar_one()
    assert tables
    assert all(shown[scope] == 0 for scope in FOREIGN)
    assert shown[Scope(everything=True)] >= shown[Scope("B1")] > 0
    assert shown[Scope(account_no=OWN)] > 0 or name == "retention"
