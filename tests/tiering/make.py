"""Builders for the tests of tiering, and a small world: units, accounts, charges, and schedules that run at an instant."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from services.tiering import freight
from services.tiering.schedules import SCHEDULES
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.clock import SHANGHAI
from shared.consumer import Dispatcher
from shared.db import Database
from shared.directory import Unit, apply_accounts, apply_units
from shared.events.customer import AccountAssigned, AccountState, Membership
from shared.events.envelope import Rejected
from shared.events.freight import FreightCharged
from shared.rounds import Rounds
from shared.scheduler import Scheduler
from tests.deliveries import deliver

UNITS = (
    Unit("HQ", "hq", None),
    Unit("D1", "district", "HQ"),
    Unit("D2", "district", "HQ"),
    Unit("B1", "branch", "D1"),
    Unit("B2", "branch", "D1"),
    Unit("B3", "branch", "D2"),
    Unit("O1", "outlet", "B1"),
)


def at(day: str, time: str = "12:00:00") -> datetime:
    """An instant of Shanghai."""
    return datetime.fromisoformat(f"{day}T{time}+08:00")


def charge(
    charge_no: str, account_no: str, amount_fen: int, charged_at: datetime, version: int = 1, **more: Any
) -> FreightCharged:
    waybill_no = more.pop("waybill_no", f"W-{charge_no}")
    return FreightCharged(
        charge_no=charge_no,
        version=version,
        waybill_no=waybill_no,
        account_no=account_no,
        amount_fen=amount_fen,
        charged_at=charged_at,
        **more,
    )


def account(account_no: str, branch: str | None = "B1", opened_on: str = "2017-01-01", outlet: str | None = None) -> AccountState:
    return moved(account_no, (branch, outlet, opened_on), opened_on=opened_on)


def moved(account_no: str, *memberships: tuple[str | None, str | None, str], opened_on: str = "2017-01-01") -> AccountState:
    return AccountAssigned(
        account_no=account_no,
        status="open",
        provisional=False,
        opened_on=date.fromisoformat(opened_on),
        memberships=tuple(
            Membership(branch_code=branch, outlet_code=outlet, from_on=date.fromisoformat(day))
            for branch, outlet, day in memberships
        ),
        version=1,
    )


@dataclass
class World:
    """A tiering service without bus and HTTP: its database, its handlers, its schedules."""

    db: Database
    sequence: int = 0

    async def begin(self, instant: datetime) -> None:
        """Set the driven clock to where the history begins."""
        async with self.db.transaction() as session:
            await session.execute(text("INSERT INTO business_clock (at, driven) VALUES (:at, true)"), {"at": instant})
            await session.execute(text("INSERT INTO schedule_state (through) VALUES (:at)"), {"at": instant})
            await apply_units(session, UNITS, [1] * len(UNITS))

    async def open(self, *states: AccountState) -> None:
        self.sequence += 1
        async with self.db.transaction() as session:
            await apply_accounts(session, states, [self.sequence] * len(states))

    async def post(self, *charges: FreightCharged) -> list[Rejected[FreightCharged]]:
        """One batch, one transaction."""
        async with self.db.transaction() as session:
            return await freight.post(session, [deliver(event) for event in charges])

    async def handle(self, *charges: FreightCharged) -> list[Rejected[Any]]:
        """The same through the service's table of subscriptions."""
        async with self.db.transaction() as session:
            return await Dispatcher("tiering", SUBSCRIPTIONS).handle(session, [deliver(event) for event in charges])

    async def run(self, day: str, time: str = "00:30:00") -> None:
        """Let business time pass to an instant, at which the schedules run."""
        async with self.db.transaction() as session:
            await session.execute(text("UPDATE business_clock SET at = :at"), {"at": at(day, time)})
        await Scheduler(self.db, SCHEDULES, Rounds()).run_due()

    async def run_days(self, first: str, last: str) -> None:
        """Let every day pass, both included."""
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            await self.run(day.isoformat())
            day += timedelta(days=1)

    async def publish(
        self, policy_version: str, effective_from: str, unit: str | None = None, locks: Sequence[str] = (), **content: Any
    ) -> None:
        """Put a policy into force without its way through trial and approval."""
        async with self.db.transaction() as session:
            await session.execute(
                text(
                    "INSERT INTO policy_versions (policy_version, unit_code, state, effective_from, content, locks, document, "
                    "digest, author, drafted_at) VALUES (:policy_version, :unit, 'published', :day, CAST(:content AS jsonb), "
                    ":locks, '', '', 'test', now())"
                ),
                {
                    "policy_version": policy_version,
                    "unit": unit,
                    "day": date.fromisoformat(effective_from),
                    "content": json.dumps(content),
                    "locks": list(locks),
                },
            )

    async def rows(self, query: str, **params: Any) -> list[dict[str, Any]]:
        async with self.db.transaction() as session:
            found = await session.execute(text(query), params)
            return [dict(row._mapping) for row in found]

    async def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        rows = await self.rows("SELECT account_no, to_char(month, 'YYYY-MM') AS month, amount_fen, charges FROM month_totals")
        return {(row["account_no"], row["month"]): (row["amount_fen"], row["charges"]) for row in rows}

    async def movements(
        self, columns: Sequence[str] = ("account_no", "month", "revision", "kind", "zero_months", "state")
    ) -> list[tuple[Any, ...]]:
        names = ", ".join(f"to_char({name}, 'YYYY-MM') AS {name}" if name == "month" else name for name in columns)
        rows = await self.rows(f"SELECT {names} FROM movements ORDER BY movements.account_no, movements.month, revision")
        return [tuple(row.values()) for row in rows]

    async def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The data of published events, in order."""
        rows = await self.rows("SELECT type, data FROM outbox ORDER BY seq")
        return [{"type": row["type"], **json.loads(row["data"])} for row in rows if kind is None or row["type"] == kind]


__all__ = ["SHANGHAI", "World", "account", "at", "charge", "moved"]
