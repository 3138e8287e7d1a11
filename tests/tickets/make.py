"""Builders of scans and what the tests of tickets read back."""

import itertools
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from services.tickets import promises, tracking
from shared import directory
from shared.clock import SHANGHAI
from shared.db import Database
from shared.directory import Unit
from shared.events.customer import AccountOpened, Membership
from shared.events.shipments import Destination, Origin, ParcelException, ShipmentStatusChanged
from tests.deliveries import deliver


def at(day: str, time: str = "12:00:00") -> datetime:
    """An instant of Asia/Shanghai."""
    return datetime.fromisoformat(f"{day}T{time}+08:00")


def scan(
    status: str = "CREATED",
    occurred_at: datetime | None = None,
    *,
    waybill_no: str = "W1",
    account_no: str | None = "A1",
    promised_at: datetime | None = None,
    branch: str | None = "BR-SP",
    exception_code: str | None = None,
    route: tuple[str, str] = ("", ""),
) -> ShipmentStatusChanged:
    return ShipmentStatusChanged(
        waybill_no=waybill_no,
        account_no=account_no,
        status=status,
        occurred_at=occurred_at or at("2018-03-05"),
        promised_at=promised_at,
        origin=Origin(branch=branch, city="", region=route[0]),
        destination=Destination(city="", region=route[1]),
        pieces=1,
        exception=ParcelException(code=exception_code) if exception_code else None,
    )


async def drive(db: Database, instant: datetime) -> None:
    """Set the business clock as a replay does."""
    async with db.transaction() as session:
        await session.execute(
            text("INSERT INTO business_clock (at, driven) VALUES (:at, true) ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at"),
            {"at": instant},
        )


async def record(db: Database, *scans: ShipmentStatusChanged) -> None:
    """Hand scans to the service as one batch."""
    async with db.transaction() as session:
        assert not await tracking.record(session, [deliver(event) for event in scans])


async def judge(db: Database, instant: datetime) -> None:
    """Let the clock come to an instant and the schedule run there."""
    await drive(db, instant)
    async with db.transaction() as session:
        await promises.judge(session, instant)


async def rows(db: Database, sql: str, **params: Any) -> list[dict[str, Any]]:
    async with db.transaction() as session:
        return [dict(row._mapping) for row in await session.execute(text(sql), params)]


async def tickets_of(db: Database) -> list[tuple[Any, ...]]:
    """What is known of every ticket: waybill, cause, state, opening, delivery."""
    found = await rows(db, "SELECT * FROM tickets ORDER BY waybill_no, cause_hint")
    return [
        (
            row["waybill_no"],
            row["cause_hint"],
            row["state"],
            row["opened_at"].astimezone(SHANGHAI),
            row["delivered_at"] and row["delivered_at"].astimezone(SHANGHAI),
        )
        for row in found
    ]


async def published(db: Database, *columns: str) -> list[tuple[Any, ...]]:
    """The types (without prefix) of the events in the outbox in order, each with fields of its data."""
    found = await rows(db, "SELECT type, data::jsonb AS data FROM outbox ORDER BY seq")
    return [(row["type"].split(".")[1], *(row["data"][column] for column in columns)) for row in found]


async def wipe(db: Database) -> None:
    """Empty the service's own tables."""
    async with db.transaction() as session:
        for table in ("scans", "parcels", "tickets", "route_months", "outbox"):
            await session.execute(text(f"DELETE FROM {table}"))


def batches(scans: list[ShipmentStatusChanged], cuts: Iterable[int]) -> list[list[ShipmentStatusChanged]]:
    """Cut a sequence of scans into batches."""
    edges = sorted({0, len(scans), *(cut % (len(scans) + 1) for cut in cuts)})
    return [scans[start:end] for start, end in itertools.pairwise(edges)]


TREE = (
    Unit("HQ", "hq", None),
    Unit("D1", "district", "HQ"),
    Unit("D2", "district", "HQ"),
    Unit("BR-SP", "branch", "D1"),
    Unit("BR-RJ", "branch", "D2"),
    Unit("SP-1", "outlet", "BR-SP"),
)


def account(account_no: str, branch: str | None, outlet: str | None = None) -> AccountOpened:
    opened = date(2017, 1, 1)
    return AccountOpened(
        account_no=account_no,
        status="open",
        provisional=False,
        opened_on=opened,
        memberships=(Membership(branch_code=branch, outlet_code=outlet, from_on=opened),),
        version=1,
    )


async def organise(db: Database) -> None:
    """Two districts with a branch each; A1 at an outlet of BR-SP, A2 at BR-SP itself, A9 at BR-RJ."""
    async with db.transaction() as session:
        await directory.apply_units(session, TREE, [1] * len(TREE))
        states = [account("A1", "BR-SP", "SP-1"), account("A2", "BR-SP"), account("A9", "BR-RJ")]
        await directory.apply_accounts(session, states, [1] * len(states))
