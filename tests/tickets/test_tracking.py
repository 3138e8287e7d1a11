"""Timelines: from scans in any order, repeated, late and split into batches, one picture."""

import asyncio
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.tickets import tracking
from services.tickets.lifecycle import PROBLEMS, SETTLING
from shared.clock import SHANGHAI
from shared.db import Database, Scope
from shared.events.shipments import KNOWN_STATUSES, LIFECYCLE, STEP, ShipmentStatusChanged
from shared.problems import NotFound
from tests.deliveries import deliver
from tests.tickets.make import at, batches, drive, judge, published, record, rows, scan, tickets_of, wipe

EVERYTHING = Scope(everything=True)


async def timeline(db: Database, waybill_no: str = "W1") -> list[tuple[str, datetime]]:
    async with db.transaction() as session:
        parcel = await tracking.read_parcel(session, EVERYTHING, waybill_no)
    return [(entry["status"], entry["occurred_at"]) for entry in parcel.events]


def test_the_lifecycle_has_every_known_status_once() -> None:
    assert set(LIFECYCLE) == KNOWN_STATUSES
    assert len(LIFECYCLE) == len(KNOWN_STATUSES)


@pytest.mark.row("K-60", "K-61")
async def test_the_timeline_is_in_the_order_of_events_whatever_the_order_of_arrival(tickets_db: Database) -> None:
    """Of K-60 the tracking view is built here; telling the customer comes later."""
    await record(tickets_db, scan("DELIVERED", at("2018-03-08")))
    await record(tickets_db, scan("PICKED_UP", at("2018-03-06")), scan("CREATED", at("2018-03-05")))
    expected = [("CREATED", at("2018-03-05")), ("PICKED_UP", at("2018-03-06")), ("DELIVERED", at("2018-03-08"))]
    assert await timeline(tickets_db) == expected
    (parcel,) = await rows(tickets_db, "SELECT status, account_no, branch_code FROM parcels")
    assert parcel == {"status": "DELIVERED", "account_no": "A1", "branch_code": "BR-SP"}


@pytest.mark.row("K-61")
async def test_scans_of_one_instant_stand_in_the_order_of_the_lifecycle(tickets_db: Database) -> None:
    now = at("2018-03-05")
    await record(tickets_db, scan("SEEN", now), scan("ARRIVED", now), scan("CREATED", now), scan("PICKED_UP", now))
    assert [status for status, _ in await timeline(tickets_db)] == ["CREATED", "PICKED_UP", "ARRIVED", "SEEN"]
    assert (await rows(tickets_db, "SELECT status FROM parcels")) == [{"status": "ARRIVED"}]


@pytest.mark.row("K-61")
async def test_an_unknown_status_stands_on_the_timeline_is_counted_and_decides_nothing(tickets_db: Database) -> None:
    counted = tracking.UNKNOWN_STATUSES._value.get()
    odd = scan("扫描异常", at("2018-03-06"), account_no="B2", promised_at=at("2018-03-01"))
    await record(tickets_db, scan("CREATED", at("2018-03-05"), promised_at=at("2018-03-20")), odd, odd)
    await record(tickets_db, odd)
    assert [status for status, _ in await timeline(tickets_db)] == ["CREATED", "扫描异常"]
    (parcel,) = await rows(tickets_db, "SELECT status, account_no, promised_at FROM parcels")
    assert parcel == {"status": "CREATED", "account_no": "A1", "promised_at": at("2018-03-20")}
    await judge(tickets_db, at("2018-03-10", "00:30:00"))
    assert await tickets_of(tickets_db) == []
    assert tracking.UNKNOWN_STATUSES._value.get() == counted + 1


async def test_a_parcel_of_unknown_statuses_only_has_no_status(tickets_db: Database) -> None:
    await record(tickets_db, scan("WEIGHED", at("2018-03-06")))
    assert await rows(tickets_db, "SELECT status, account_no FROM parcels") == [{"status": None, "account_no": None}]
    assert await timeline(tickets_db) == [("WEIGHED", at("2018-03-06"))]


async def test_account_branch_and_promise_are_the_last_said(tickets_db: Database) -> None:
    await record(
        tickets_db,
        scan("IN_TRANSIT", at("2018-03-07"), account_no=None, branch=None),
        scan("PICKED_UP", at("2018-03-06"), account_no="A2", branch="BR-RJ", promised_at=at("2018-03-15")),
        scan("CREATED", at("2018-03-05"), account_no="A1", branch="BR-SP", promised_at=at("2018-03-20")),
    )
    (parcel,) = await rows(tickets_db, "SELECT account_no, branch_code, promised_at FROM parcels")
    assert parcel == {"account_no": "A2", "branch_code": "BR-RJ", "promised_at": at("2018-03-15")}


async def test_a_scan_said_again_with_other_content_adds_what_was_missing(tickets_db: Database) -> None:
    bare, full = scan(account_no=None, branch=None), scan(promised_at=at("2018-03-09"), exception_code="E7")
    outcomes = []
    for order in ([bare, full], [full, bare]):
        for event in order:
            await record(tickets_db, event)
        outcomes.append(await rows(tickets_db, "SELECT * FROM scans JOIN parcels USING (waybill_no)"))
        await wipe(tickets_db)
        await record(tickets_db, *order)
        outcomes.append(await rows(tickets_db, "SELECT * FROM scans JOIN parcels USING (waybill_no)"))
        await wipe(tickets_db)
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][0]["exception_code"] == "E7"
    assert len(outcomes[0]) == 1


async def test_a_repeat_changes_no_row_and_publishes_nothing(tickets_db: Database) -> None:
    scans = [scan("CREATED", promised_at=at("2018-03-06")), scan("DAMAGED", at("2018-03-07")), scan("CUSTOM", at("2018-03-07"))]
    await record(tickets_db, *scans)
    await judge(tickets_db, at("2018-03-08", "00:30:00"))
    tables = ("scans", "parcels", "tickets", "outbox")
    before = [await rows(tickets_db, f"SELECT xmin, * FROM {table} ORDER BY 2, 3, 4") for table in tables]
    await record(tickets_db, *scans, *scans)
    await judge(tickets_db, at("2018-03-08", "00:30:00"))
    assert before == [await rows(tickets_db, f"SELECT xmin, * FROM {table} ORDER BY 2, 3, 4") for table in tables]


async def test_a_parcel_that_nobody_scanned_is_not_found(tickets_db: Database) -> None:
    async with tickets_db.transaction() as session:
        with pytest.raises(NotFound):
            await tracking.read_parcel(session, EVERYTHING, "NOPE")


# One picture from any order, batches and repeats, compared with a plain recount.

DAY = at("2018-03-05", "00:30:00")
HOURS = st.integers(0, 24)  # few, so that promises, scans and runs meet often
SCANS = st.builds(
    lambda waybill, status, hour, promise, account: scan(
        status,
        DAY + timedelta(hours=hour),
        waybill_no=f"W{waybill}",
        account_no=account,
        promised_at=None if promise is None else DAY + timedelta(hours=promise),
    ),
    st.integers(1, 2),
    st.sampled_from(["CREATED", "PICKED_UP", "ARRIVED", "DELIVERED", "CANCELLED", "REFUSED", "DAMAGED", "STRANGE"]),
    HOURS,
    st.one_of(st.none(), HOURS),
    st.sampled_from([None, "A1", "A2"]),
)


def late_at(scans: list[ShipmentStatusChanged]) -> datetime | None:
    """The earliest promise in force when it fell due and not kept, by plain recount."""
    known = sorted((s for s in scans if s.status in STEP), key=lambda s: (s.occurred_at, STEP[s.status], s.status))
    late = []
    for place, said in enumerate(known):
        promise = said.promised_at
        if promise is None:
            continue
        withdrawn = any(
            o.promised_at is not None and o.promised_at != promise and o.occurred_at <= promise for o in known[place + 1 :]
        )
        kept = any(o.status in SETTLING and o.occurred_at <= promise for o in known)
        if not withdrawn and not kept:
            late.append(promise)
    return min(late, default=None)


def expected_tickets(scans: list[ShipmentStatusChanged], now: datetime) -> dict[tuple[str, str], datetime]:
    """Tickets that must be open: cause and opening by parcel."""
    found: dict[tuple[str, str], datetime] = {}
    for waybill_no in {s.waybill_no for s in scans}:
        mine = [s for s in scans if s.waybill_no == waybill_no]
        late = late_at(mine)
        if late is not None and late < now:
            found[waybill_no, "late"] = late
        for status, cause in PROBLEMS.items():
            instants = [s.occurred_at for s in mine if s.status == status]
            if instants:
                found[waybill_no, cause] = min(instants)
    return found


async def outcome(db: Database) -> list[Any]:
    """All business columns; not the count of changes, nor when the last one was noticed."""
    parcels = await rows(db, "SELECT * FROM parcels ORDER BY waybill_no")
    tickets = await rows(db, "SELECT * FROM tickets ORDER BY ticket_id")
    return [parcels, [{k: v for k, v in row.items() if k not in {"version", "changed_at"}} for row in tickets]]


@pytest.mark.row("K-61")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    windows=st.lists(st.lists(SCANS, max_size=8), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 30), max_size=4),
)
async def test_order_repeats_and_batches_between_two_instants_change_nothing(
    tickets_db: Database, windows: list[list[ShipmentStatusChanged]], seed: int, cuts: list[int]
) -> None:
    # Two scans of one identity with other content are merged; the recount below is over distinct identities.
    seen: set[Any] = set()
    windows = [[s for s in window if not (s.identity() in seen or seen.add(s.identity()))] for window in windows]  # type: ignore[func-returns-value]
    instants = [DAY + timedelta(hours=8 * (place + 1)) for place in range(len(windows))]
    random = Random(seed)
    outcomes = []
    for disturbed in (False, True):
        await wipe(tickets_db)
        await drive(tickets_db, DAY)
        for window, instant in zip(windows, instants, strict=True):
            arriving = [*window, *random.sample(window, len(window) // 2)] if disturbed else window
            if disturbed:
                random.shuffle(arriving)
            for batch in batches(arriving, cuts if disturbed else ()):
                await record(tickets_db, *batch)
            await judge(tickets_db, instant)
        outcomes.append(await outcome(tickets_db))
    assert outcomes[0] == outcomes[1]
    every = [s for window in windows for s in window]
    unsettled = {
        (row["waybill_no"], row["cause_hint"]): row["opened_at"].astimezone(SHANGHAI)
        for row in outcomes[1][1]
        if row["state"] != "refuted"
    }
    assert unsettled == expected_tickets(every, instants[-1])
    await _assert_announced(tickets_db, outcomes[1][1])


async def _assert_announced(db: Database, tickets: list[dict[str, Any]]) -> None:
    """The last event of each ticket says what the table says, and versions rise."""
    last: dict[str, tuple[Any, ...]] = {}
    for _, ticket_id, version, *state in await published(db, "ticket_id", "version", "state", "account_no", "waybill_no"):
        assert version > last.get(ticket_id, (0,))[0]
        last[ticket_id] = (version, *state)
    said = {ticket_id: tuple(state) for ticket_id, (_, *state) in last.items()}
    assert said == {str(row["ticket_id"]): (row["state"], row["account_no"], row["waybill_no"]) for row in tickets}


@pytest.mark.row("K-61")
async def test_two_partitions_with_scans_of_one_parcel_lose_no_update(tickets_db: Database) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def arrive(scans: list[ShipmentStatusChanged], mine: asyncio.Event, other: asyncio.Event) -> None:
        async with tickets_db.transaction() as session:
            await session.connection()
            mine.set()
            await other.wait()
            await tracking.record(session, [deliver(event) for event in scans])
            await asyncio.sleep(0.02)

    for number in range(20):
        waybills = [f"P{number}-{n}" for n in range(30)]
        if number % 2:
            await record(tickets_db, *(scan("CREATED", waybill_no=w, account_no=None) for w in waybills))
        left = [scan("ARRIVED", at("2018-03-06"), waybill_no=w, account_no="A7", promised_at=at("2018-03-20")) for w in waybills]
        right = [scan("DAMAGED", at("2018-03-07"), waybill_no=w, account_no=None) for w in reversed(waybills)]
        await asyncio.gather(arrive(left, first, second), arrive(right, second, first))
    counted = await rows(
        tickets_db,
        "SELECT count(*) AS parcels, count(*) FILTER (WHERE p.account_no = 'A7' AND p.status = 'DAMAGED' AND t.account_no = 'A7' "
        "AND next_due_at IS NOT NULL) AS whole, sum(cardinality(statuses)) AS scans "
        "FROM parcels p JOIN tickets t USING (waybill_no)",
    )
    assert counted == [{"parcels": 600, "whole": 600, "scans": 1500}]
