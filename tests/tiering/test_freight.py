"""The ledger: every version once, the highest stands, totals exact at all times, whatever the order, batch or partition."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from sqlalchemy import text

from services.tiering import freight
from shared.db import Database, Scope
from shared.events.freight import FreightCharged
from shared.events.tiering import MonthRestated
from shared.months import business_month
from tests.deliveries import deliver
from tests.tiering.make import World, account, at, charge


@pytest.mark.row("T-17")
async def test_charges_add_up_in_the_month_of_shanghai(world: World) -> None:
    last = at("2018-01-31", "23:59:59")
    first = at("2018-02-01", "00:00:00")
    await world.post(
        charge("1", "A", 100, last),
        charge("2", "A", 20, last.astimezone(UTC)),
        charge("3", "A", 3, first.astimezone(UTC)),
        charge("4", "A", 4000, first),
    )
    assert first.astimezone(UTC).month == 1
    assert await world.totals() == {("A", "2018-01"): (120, 2), ("A", "2018-02"): (4003, 2)}


@pytest.mark.row("T-17")
async def test_29_february_belongs_to_february(world: World) -> None:
    await world.post(charge("1", "A", 1, at("2016-02-29", "23:59:59")), charge("2", "A", 2, at("2016-03-01", "00:00:00")))
    assert await world.totals() == {("A", "2016-02"): (1, 1), ("A", "2016-03"): (2, 1)}


async def test_the_same_charge_again_changes_nothing(world: World) -> None:
    event = charge("1", "A", 500, at("2018-01-05"), product="std", weight_grams=900)
    assert await world.post(event, event) == []
    assert await world.post(event) == []
    assert await world.totals() == {("A", "2018-01"): (500, 1)}
    assert len(await world.rows("SELECT * FROM charge_versions")) == 1


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_version_with_other_content_is_rejected_and_the_first_stays(world: World, together: bool) -> None:
    first = charge("1", "A", 500, at("2018-01-05"))
    other = [
        charge("1", "A", 501, at("2018-01-05")),
        charge("1", "B", 500, at("2018-01-05")),
        charge("1", "A", 500, at("2018-01-05", "12:00:01")),
        charge("1", "A", 500, at("2018-01-05"), product="std"),
        charge("1", "A", 500, at("2018-01-05"), weight_grams=0),
        charge("1", "A", 500, at("2018-01-05"), waybill_no="X"),
    ]
    if together:
        rejected = await world.post(first, *other, first, charge("2", "A", 7, at("2018-01-05")))
    else:
        await world.post(first)
        rejected = await world.post(*other, first, charge("2", "A", 7, at("2018-01-05")))
    assert [item.delivery.event for item in rejected] == other
    assert {item.reason for item in rejected} == {"this version of the charge is known with other content"}
    assert await world.totals() == {("A", "2018-01"): (507, 2)}


async def test_a_replaced_version_with_other_content_is_rejected_too(world: World) -> None:
    await world.post(charge("1", "A", 500, at("2018-01-05")), charge("1", "A", 400, at("2018-01-05"), version=2))
    again = await world.post(charge("1", "A", 500, at("2018-01-05")))
    other = await world.post(charge("1", "A", 499, at("2018-01-05")))
    assert (len(again), len(other)) == (0, 1)
    assert await world.totals() == {("A", "2018-01"): (400, 1)}


@pytest.mark.parametrize("batches", [[[1], [2]], [[2], [1]], [[1, 2]], [[2, 1]], [[2, 1, 1, 2]]])
async def test_a_correction_stands_whichever_comes_first(world: World, batches: list[list[int]]) -> None:
    versions = {1: charge("1", "A", 500, at("2018-01-05")), 2: charge("1", "A", 300, at("2018-01-05"), version=2)}
    for batch in batches:
        assert await world.post(*(versions[number] for number in batch)) == []
    assert await world.totals() == {("A", "2018-01"): (300, 1)}
    kept = await world.rows("SELECT version, amount_fen FROM charge_versions ORDER BY version")
    assert [tuple(row.values()) for row in kept] == [(1, 500), (2, 300)]


async def test_a_cancelled_charge_counts_with_nothing(world: World) -> None:
    await world.post(charge("1", "A", 500, at("2018-01-05")), charge("2", "A", 60, at("2018-01-05")))
    await world.post(charge("1", "A", 0, at("2018-01-05"), version=2))
    assert await world.totals() == {("A", "2018-01"): (60, 2)}


async def test_a_correction_moves_a_charge_to_another_account_and_month(world: World) -> None:
    await world.post(charge("1", "A", 500, at("2018-01-05")))
    await world.post(charge("1", "B", 450, at("2018-02-05"), version=3))
    assert await world.totals() == {("B", "2018-02"): (450, 1)}
    restated = await world.events("tiering.month-restated.v1")
    assert [(e["account_no"], e["month"], e["version"], e["change_fen"], e["amount_fen"]) for e in restated] == [
        ("A", "2018-01", 3, -500, 0),
        ("B", "2018-02", 3, 450, 450),
    ]


async def test_an_open_month_leaves_no_mark_and_no_event_a_closed_one_leaves_both(world: World) -> None:
    await world.post(charge("1", "A", 500, at("2018-01-05")))
    assert await world.events() == []
    await world.post(charge("2", "A", 30, at("2017-12-31", "23:59:59")))
    assert await world.rows("SELECT account_no, month::text FROM dirty_marks") == [{"account_no": "A", "month": "2017-12-01"}]
    (event,) = await world.events()
    assert (event["type"], event["month"], event["change_fen"], event["amount_fen"]) == (
        "tiering.month-restated.v1",
        "2017-12",
        30,
        30,
    )


async def test_published_corrections_have_the_shape_of_the_contract(world: World) -> None:
    await world.post(charge("1", "A", 500, at("2017-01-05")))
    (row,) = await world.rows("SELECT event_id, key, data FROM outbox")
    event = MonthRestated.model_validate_json(row["data"])
    assert (row["event_id"], row["key"]) == (event.event_id, "A")


def _history(seed: int) -> list[FreightCharged]:
    """Charges of few accounts with corrections, moves, cancellations and repeats."""
    rnd = random.Random(seed)
    events = []
    for number in range(120):
        month = rnd.randrange(1, 6)
        for version in range(1, rnd.choice((2, 2, 2, 3, 4))):
            events.append(
                charge(
                    f"C{number}",
                    f"A{rnd.randrange(6)}",
                    rnd.choice((0, rnd.randrange(1, 10_000))),
                    at(f"2018-{month:02d}-{rnd.randrange(1, 29):02d}"),
                    version,
                )
            )
            month = rnd.choice((month, month, rnd.randrange(1, 6)))
    return events + rnd.choices(events, k=15)


def _expected(events: list[FreightCharged]) -> dict[tuple[str, str], tuple[int, int]]:
    standing: dict[str, FreightCharged] = {}
    for event in events:
        if event.charge_no not in standing or standing[event.charge_no].version < event.version:
            standing[event.charge_no] = event
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for event in standing.values():
        key = event.account_no, event.charged_at.strftime("%Y-%m")
        amount, count = totals.get(key, (0, 0))
        totals[key] = amount + event.amount_fen, count + 1
    return totals


@pytest.mark.parametrize("seed", range(6))
async def test_totals_depend_on_neither_order_nor_batch(world: World, seed: int) -> None:
    events = _history(seed)
    rnd = random.Random(seed + 100)
    rnd.shuffle(events)
    while events_left := events[:]:
        size = rnd.choice((1, 3, 20, 200))
        batch, events = events_left[:size], events_left[size:]
        assert await world.post(*batch) == []
    found = {key: value for key, value in (await world.totals()).items() if value != (0, 0)}
    assert found == _expected(_history(seed))
    versions = await world.rows("SELECT charge_no, version FROM charge_versions")
    assert {tuple(row.values()) for row in versions} == {(event.charge_no, event.version) for event in _history(seed)}
    assert len(versions) == len({(event.charge_no, event.version) for event in _history(seed)})


async def test_two_partitions_with_each_others_accounts_and_charges_never_deadlock(world: World) -> None:
    """10,000 transactions of two partitions at once: the same few charges and accounts, in opposite orders within a batch.

    On bare connections, since only the order of the statement's locks matters here.
    """
    tries, rnd = 5000, random.Random(7)
    pairs = []
    for n in range(tries):
        first, second = rnd.sample(range(20), 2)
        day = at("2018-01-05") + timedelta(days=rnd.randrange(60))
        pairs.append([charge(f"C{c}", f"A{rnd.randrange(4)}", rnd.randrange(1000), day, n + 1) for c in (first, second)])

    async def partition(batches: list[list[FreightCharged]]) -> None:
        connection = await world.db.connect()
        try:
            for batch in batches:
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", freight.LEDGER)
                    await connection.fetch(freight._POST, freight.as_json([deliver(event) for event in batch]))
        finally:
            await connection.close()

    await asyncio.gather(partition(pairs), partition([pair[::-1] for pair in pairs]))
    found = {key: value for key, value in (await world.totals()).items() if value != (0, 0)}
    assert found == _expected([event for pair in pairs for event in pair])


PLAIN = [
    {"charged_at": "2018-01-31T23:59:59.999999+08:00"},
    {"charged_at": "2018-01-31T16:00:00Z"},
    {"charged_at": "2018-02-01T06:14:59.123+14:15"},
    {"charged_at": "2018-01-31T15:59:59-00:00"},
    {"charged_at": "2020-02-29T12:00:00-14:59"},
    {"amount_fen": 10**15, "weight_grams": 2**63 - 1, "version": 2**31 - 1},
    {"amount_fen": 0, "weight_grams": 0, "product": "a: {[, 'null'"},
    {"charge_no": " ~!#$%&'()*+,-./:;<=>?@[]^_`{|}", "waybill_no": "null", "product": None},
]


async def test_the_ledger_reads_plain_data_as_the_event_is_read(world: World) -> None:
    """What goes to PostgreSQL as it arrived means there what it means here, to the microsecond; the last of two fields counts."""
    base = {"version": 1, "waybill_no": "W", "account_no": "A-1", "amount_fen": 5, "charged_at": "2018-01-05T12:00:00+08:00"}
    texts = [json.dumps({"charge_no": f"C{n}", **base, **fields}) for n, fields in enumerate(PLAIN)]
    texts.append(texts[0][:-1].replace("C0", "C99") + ', "amount_fen": -0, "product": "std", "amount_fen": 7}')
    assert all(FreightCharged.is_plain(text) for text in texts)
    events = [FreightCharged.model_validate_json(text) for text in texts]
    plain = [replace(deliver(event), content=text) for event, text in zip(events, texts, strict=True)]
    async with world.db.transaction() as session:
        assert await freight.post(session, plain) == []
    async with world.db.transaction() as session:  # and the event itself is no other content
        assert await freight.post(session, [deliver(event) for event in events]) == []
    rows = {row["charge_no"]: row for row in await world.rows("SELECT * FROM charges")}
    for event in events:
        row = rows.pop(event.charge_no)
        assert row.pop("month") == business_month(event.charged_at)
        assert row == event.model_dump()
    assert not rows


async def test_what_a_shipper_or_a_branch_sees_of_the_ledger_is_its_own(world: World, web: Database) -> None:
    await world.open(account("A", "B1"), account("B", "B2"))
    await world.post(charge("1", "A", 5, at("2018-01-05")), charge("2", "B", 6, at("2018-01-05")))
    for scope, seen in (
        (Scope(unit_code="B1"), {"A"}),
        (Scope(unit_code="D1"), {"A", "B"}),
        (Scope(unit_code="D2"), set()),
        (Scope(account_no="B"), {"B"}),
        (Scope(everything=True), {"A", "B"}),
    ):
        async with web.transaction(scope) as session:
            for table in ("charges", "charge_versions", "month_totals"):
                rows = await session.execute(text(f"SELECT account_no FROM {table}"))
                assert set(rows.scalars()) == seen


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_gate_is_open_again_when_who_held_it_alone_has_failed(world: World, cancelled: bool) -> None:
    async def hold() -> None:
        async with world.db.transaction() as session, freight.gate_held_alone(session):
            await session.execute(text("SELECT pg_sleep(30)" if cancelled else "SELECT 1 / 0"))

    holding = asyncio.create_task(hold())
    if cancelled:
        await asyncio.sleep(0.5)
        holding.cancel()
    await asyncio.wait([holding])
    assert holding.cancelled() is cancelled
    async with asyncio.timeout(10):
        assert await world.post(charge("1", "A", 100, at("2018-01-05"))) == []
