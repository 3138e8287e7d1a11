"""What a report rests on (报表数据): one statement, hence one snapshot of the database, for a unit of any size.

The grain is the cell: branch x tier x responsible role and unit. Everything that a report shows of maintenance is a sum of cells.
Figures are of the whole unit as it was in the period, whoever reads them: row-level security decides on the report.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.policies import PolicyDocument
from services.tiering.reports.calendar import Period
from services.tiering.reports.figures_sql import PARTS, statement
from services.tiering.reports.quality import Records
from shared.months import add_months, quarter_start

TREND_MONTHS = 24


@dataclass(slots=True)
class Cell:
    """Sums over some accounts in the period; freight in fen."""

    assigned: int = 0
    touched: int = 0
    contacts: int = 0
    on_time: int = 0
    talks: int = 0
    complete: int = 0
    tasks: int = 0
    tasks_done: int = 0
    tasks_overdue: int = 0
    tickets: int = 0
    tickets_resolved: int = 0
    tickets_in_time: int = 0
    tickets_overdue: int = 0
    amount_fen: int = 0
    previous_fen: int = 0
    active: int = 0
    active_before: int = 0
    lost: int = 0

    @property
    def records(self) -> Records:
        """What was recorded of the contacts."""
        return Records(self.contacts, self.on_time, self.talks, self.complete)


SUMS = tuple(field.name for field in fields(Cell))


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a report; `cells` and each of `parts` are rows as the database gave them."""

    cells: Sequence[Mapping[str, Any]]
    parts: Mapping[str, Sequence[Mapping[str, Any]]]
    has_before: bool
    """Whether the close before the period was decided on, so that there are accounts at its start."""

    def by(self, key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, Cell]:
        """Sum the cells that have the same key, in the order of the keys; cells without a responsible (None) are left out."""
        found: dict[Any, Cell] = {}
        for row in self.cells:
            group = key(row)
            if group is None:
                continue
            cell = found.setdefault(group, Cell())
            for name in SUMS:
                setattr(cell, name, getattr(cell, name) + row[name])
        return {group: found[group] for group in sorted(found, key=_sort_key)}

    def total(self) -> Cell:
        """Sum all cells that somebody is responsible for."""
        return total(self.by(responsible).values())


def responsible(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return who is responsible for a cell: role and unit; None for accounts without a tier."""
    return (row["role"], row["unit_code"]) if row["role"] else None


def branch(row: Mapping[str, Any]) -> str | None:
    """Return the branch of a cell, where somebody is responsible for it."""
    return row["branch_code"] if row["role"] else None


def total(cells: Iterable[Cell]) -> Cell:
    """Add cells up."""
    found = Cell()
    for cell in cells:
        for name in SUMS:
            setattr(found, name, getattr(found, name) + getattr(cell, name))
    return found


async def gather(
    session: AsyncSession,
    unit_code: str,
    period: Period,
    policy: PolicyDocument,
    instant: datetime,
    parts: Iterable[str],
    restated_through: int = 0,
) -> Figures:
    """Return the figures of a unit for a period as known now, with the parts that its sections need (`PARTS`).

    Part `restated` holds what late charges changed after the restatement numbered `restated_through`.
    """
    wanted = [name for name in PARTS if name in set(parts)]
    before = add_months(period.first, -1)
    length = 1 if period.kind == "month" else 3
    params = {
        "unit": unit_code,
        "first": period.first,
        "last": period.last,
        "before": before,
        "previous_first": add_months(period.first, -length),
        "from_at": period.starts_at,
        "to_at": period.ends_at,
        "tier_month": add_months(quarter_start(period.first), -1),
        "trend_first": add_months(period.last, 1 - TREND_MONTHS),
        "instant": instant,
        "restated_through": restated_through,
    } | _responsible_params(policy)
    async with whole(session):
        row = (await session.execute(text(statement(wanted)), params)).mappings().one()
    found = {name: _rows(row[name]) for name in ("cells", *wanted)}
    return Figures(found.pop("cells"), found, bool(row["has_before"]))


@asynccontextmanager
async def whole(session: AsyncSession) -> AsyncIterator[None]:
    """See all rows for one statement, also of accounts that have moved to another unit since, and take the time it needs."""
    was = await session.execute(_EVERYTHING)
    before = was.scalar() or ""
    yield
    await session.execute(_RESTORE, {"everything": before})


def _responsible_params(policy: PolicyDocument) -> dict[str, Any]:
    rows = {row.tier: row for row in policy.responsibility if row.scope == "tier"}
    return {f"{tier}_{name}": getattr(rows[tier], name) for tier in ("vip", "key", "general") for name in ("role", "level")}


def _rows(value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(value) if isinstance(value, str | bytes) else value
    return found


def _sort_key(group: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in group) if isinstance(group, tuple) else (str(group),)


_EVERYTHING = text(
    "SELECT current_setting('crm.everything', true), set_config('crm.everything', 'on', true), "
    "set_config('statement_timeout', '60s', true), set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true), "
    "set_config('work_mem', '64MB', true)"
)
_RESTORE = text("SELECT set_config('crm.everything', :everything, true), set_config('enable_nestloop', 'on', true)")
