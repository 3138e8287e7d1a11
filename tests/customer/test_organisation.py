"""The organisation tree."""

import json
import random

import pytest
from sqlalchemy import text

from services.customer import organisation
from services.customer.organisation import Unit
from shared.db import Database
from shared.directory import unit_path
from shared.paging import PageRequest
from shared.problems import Invalid
from tests.customer.make import UNITS

pytestmark = pytest.mark.row("X-23")


async def put(db: Database, *rows: Unit) -> list[str]:
    async with db.transaction() as session:
        return await organisation.put_units(session, rows, "tests")


async def published(db: Database) -> list[dict[str, object]]:
    async with db.transaction() as session:
        return [json.loads(data) for data in await session.scalars(text("SELECT data FROM outbox ORDER BY seq"))]


async def test_units_are_opened_in_any_order_and_repeats_change_nothing(bare: Database) -> None:
    rows = random.Random(1).sample(UNITS, len(UNITS))
    assert set(await put(bare, *rows)) == {unit.unit_code for unit in UNITS}
    assert await put(bare, *UNITS) == []
    assert await put(bare, UNITS[3]._replace(name="Pier 4")) == []
    events = await published(bare)
    assert len(events) == len(UNITS)
    assert {"unit_code": "OUT-1", "kind": "outlet", "parent_code": "BR-1", "version": 1} in events
    assert not any("name" in event for event in events)
    async with bare.transaction() as session:
        assert await unit_path(session, "OUT-1") == ["HQ", "D1", "BR-1", "OUT-1"]
        listed = await organisation.list_units(session, "BR-1", None, PageRequest())
    assert [(item["unit_code"], item["name"], item["version"]) for item in listed["items"]] == [
        ("BR-1", "Harbour", 1),
        ("OUT-1", "Pier 4", 1),
    ]


async def test_a_moved_unit_gets_a_new_version(db: Database) -> None:
    assert await put(db, Unit("BR-1", "branch", "D2", None)) == ["BR-1"]
    assert (await published(db))[-1] == {"unit_code": "BR-1", "kind": "branch", "parent_code": "D2", "version": 2}
    async with db.transaction() as session:
        assert await unit_path(session, "OUT-1") == ["HQ", "D2", "BR-1", "OUT-1"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([Unit("BR-9", "branch", "D9", None)], r"items.0 \(BR-9\): the parent D9 is not known"),
        (
            [Unit("BR-9", "branch", "D1", None), Unit("X", "outlet", "BR-9", None), Unit("X", "outlet", "BR-1", None)],
            "items.2 .*twice",
        ),
        ([Unit("D1", "district", "BR-1", None)], r"items.0 \(D1\): .*a cycle"),
        ([Unit("D8", "district", "D9", None), Unit("D9", "district", "D8", None)], r"items.0 \(D8\): .*a cycle"),
        ([Unit("BR-1", "branch", "BR-1", None)], "a cycle"),
        ([Unit("HQ2", "hq", None, None)], "one headquarters only, not HQ, HQ2"),
        ([Unit("D9", "district", None, None)], "headquarters has no parent"),
        ([Unit("D9", "district", "BR-1", None)], "a district does not belong to a branch"),
        ([Unit("BR-1", "outlet", "D1", None)], "the outlet OUT-1 would belong to a outlet"),
    ],
)
async def test_rows_that_make_no_tree_are_refused_as_a_whole(db: Database, rows: list[Unit], why: str) -> None:
    before = await published(db)
    with pytest.raises(Invalid, match=why):
        await put(db, *rows)
    assert await published(db) == before
