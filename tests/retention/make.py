"""Builders for retention's tests: movements as tiering publishes them, and the business clock."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.retention import tasks
from services.retention.models import Task
from shared import directory
from shared.clock import SHANGHAI
from shared.db import Database
from shared.directory import Unit
from shared.events.tiering import MovementDetected, MovementRestated, MovementState, MovementWithdrawn
from shared.ids import natural_id
from shared.months import add_months, month_start_instant, month_text, parse_month
from tests.deliveries import deliver

M = TypeVar("M", bound=MovementState)

TREE = (
    Unit("HQ", "hq", None),
    Unit("D1", "district", "HQ"),
    Unit("D2", "district", "HQ"),
    Unit("B1", "branch", "D1"),
    Unit("B2", "branch", "D1"),
    Unit("B9", "branch", "D2"),
    Unit("O1", "outlet", "B1"),
)


def at(text_: str) -> datetime:
    """Read an instant; without an offset it is Asia/Shanghai."""
    instant = datetime.fromisoformat(text_)
    return instant if instant.tzinfo else instant.replace(tzinfo=SHANGHAI)


def first_run_after(month: str | date) -> datetime:
    """Return the instant at which a month is closed: 00:30 on the first of the next."""
    start = parse_month(month) if isinstance(month, str) else month
    return month_start_instant(add_months(start, 1)).replace(minute=30)


def movement(event: type[M], **values: Any) -> M:
    """Make a movement event: by default a fall of account A1 in 2018-03, found at the close of the month."""
    account_no, revision = values.get("account_no", "A1"), values.get("revision", 1)
    month = parse_month(values.pop("month", "2018-03"))
    detected_at = values.pop("detected_at", None) or first_run_after(month)
    withdrawn = event is MovementWithdrawn
    return event(
        **{
            "movement_id": natural_id("movement", account_no, month_text(month), revision),
            "account_no": account_no,
            "month": month,
            "revision": revision,
            "kind": "fall_over_half",
            "zero_months": None,
            "previous_fen": 100_000,
            "current_fen": 40_000,
            "decided_previous_fen": 100_000,
            "decided_current_fen": 40_000,
            "state": "withdrawn" if withdrawn else "open",
            "withdrawn_reason": "no_longer_true" if withdrawn else None,
            "detected_at": detected_at,
            "judged_at": detected_at,
            "decision_id": natural_id("movement-decision", account_no, month_text(month), revision),
            "service_tier": "general",
            "branch_code": "B1",
            "district_code": "D1",
            "outlet_code": "O1",
            "version": 2 if withdrawn else 1,
        }
        | values
    )


def detected(**values: Any) -> MovementDetected:
    return movement(MovementDetected, **values)


def restated(**values: Any) -> MovementRestated:
    return movement(MovementRestated, **values)


def withdrawn(**values: Any) -> MovementWithdrawn:
    return movement(MovementWithdrawn, **values)


async def plant_tree(database: Database) -> None:
    """Fill the directory with TREE."""
    async with database.transaction() as session:
        await directory.apply_units(session, TREE, [1] * len(TREE))


async def set_clock(database: Database, instant: datetime) -> None:
    """Let the business clock stand at an instant."""
    async with database.transaction() as session:
        await session.execute(
            text("INSERT INTO business_clock (at, driven) VALUES (:at, true) ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at"),
            {"at": instant},
        )


async def note(database: Database, *events: MovementState) -> None:
    """Hand events to the handler as one batch, in this order."""
    async with database.transaction() as session:
        await tasks.note_movements(session, [deliver(event) for event in events])


async def task_of(database: Database, movement_id: UUID) -> Task:
    """Read the task of a movement."""
    async with database.transaction() as session:
        return (await session.execute(select(Task).where(Task.movement_id == movement_id))).scalar_one()


async def open_task(database: Database, **values: Any) -> Task:
    """Open the task of a movement and return it."""
    event = detected(**values)
    await note(database, event)
    return await task_of(database, event.movement_id)


async def published(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """List the events of tasks in the outbox, in the order in which they are sent: the type's middle word and the data."""
    async with database.transaction() as session:
        return await _published(session)


async def _published(session: AsyncSession) -> list[tuple[str, dict[str, Any]]]:
    rows = await session.execute(text("SELECT type, data::json FROM outbox WHERE type LIKE 'retention.task-%' ORDER BY seq"))
    return [(kind.removeprefix("retention.task-").removesuffix(".v2"), data) for kind, data in rows]


async def contacts_told(database: Database) -> list[dict[str, Any]]:
    """List what was published of contacts."""
    async with database.transaction() as session:
        rows = await session.execute(
            text("SELECT data::json FROM outbox WHERE type = 'retention.contact-recorded.v1' ORDER BY seq")
        )
        return list(rows.scalars())


@dataclass(frozen=True)
class Person:
    """Somebody with a role."""

    actor: str
    roles: frozenset[str]


OUTLET = Person("o-1", frozenset({"outlet_staff"}))
MANAGER = Person("m-1", frozenset({"branch_manager"}))
HEAD = Person("h-1", frozenset({"district_head"}))
