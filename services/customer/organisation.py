"""The organisation (组织架构): headquarters, districts (区), branches (分部), outlets (点部), and what they are called.

The tree is the kernel's directory (`units`, `unit_ancestors`), which this service writes and the others copy from
`customer.unit-changed`. Names stay here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch
from services.customer.models import UnitName
from shared import directory
from shared.directory import in_subtree
from shared.events.customer import UnitChanged
from shared.kernel.tables import units
from shared.outbox import publish
from shared.paging import PageRequest, paged
from shared.problems import Invalid

Kind = Literal["hq", "district", "branch", "outlet"]
HEIGHT: Mapping[str, int] = {"hq": 3, "district": 2, "branch": 1, "outlet": 0}
"""How far above the outlets a kind stands: a unit belongs to one that stands higher."""


class Unit(NamedTuple):
    """A unit as somebody says it is; without a name the one recorded stays."""

    unit_code: str
    kind: Kind
    parent_code: str | None
    name: str | None


async def put_units(session: AsyncSession, rows: Sequence[Unit], actor: str) -> list[str]:
    """Open, move or rename units, all or none, in any order of rows; returns the codes of those that changed their place.

    Repeats change nothing. A unit's version rises, and UnitChanged is published, when its kind or parent changed.
    Raises Invalid naming the first row (from 0) that makes no tree with the units there are.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": directory.LOCK})
    known = {unit.unit_code: unit for unit in await session.execute(select(units))}
    _check(rows, known)
    changed = [row for row in rows if _place(row) != _place(known.get(row.unit_code))]
    versions = [1 if (unit := known.get(row.unit_code)) is None else unit.sequence + 1 for row in changed]
    if changed:
        places = [directory.Unit(row.unit_code, row.kind, row.parent_code) for row in changed]
        await directory.apply_units(session, places, versions)
        await _touch_pages(session, [row.unit_code for row in changed if row.unit_code in known])
    await _record_names(session, rows, actor)
    for row, version in zip(changed, versions, strict=True):
        kind, parent_code = row.kind, row.parent_code
        publish(session, UnitChanged(unit_code=row.unit_code, kind=kind, parent_code=parent_code, version=version))
    return [row.unit_code for row in changed]


def _place(unit: Any) -> tuple[str, str | None] | None:
    return unit and (unit.kind, unit.parent_code)


def _check(rows: Sequence[Unit], known: Mapping[str, Any]) -> None:
    """Refuse rows that do not make one tree with what is known."""
    said: dict[str, Unit] = {}
    for number, row in enumerate(rows):
        if said.setdefault(row.unit_code, row) != row:
            raise _refusal(number, row, "is said twice, differently")
    merged: dict[str, Any] = {**known, **said}
    roots = sorted(code for code, unit in merged.items() if unit.kind == "hq")
    for number, row in enumerate(rows):
        fault = _fault(row, merged, roots)
        if fault is not None:
            raise _refusal(number, row, fault)
    numbers = {row.unit_code: number for number, row in enumerate(rows)}
    for child in merged.values():
        above = numbers.get(child.parent_code)
        if above is not None and HEIGHT[child.kind] >= HEIGHT[rows[above].kind]:
            raise _refusal(above, rows[above], f"the {child.kind} {child.unit_code} would belong to a {rows[above].kind}")


def _fault(row: Unit, merged: Mapping[str, Any], roots: Sequence[str]) -> str | None:
    """Say why a row has no place in the tree, None where it has one."""
    parent = None if row.parent_code is None else merged.get(row.parent_code)
    if (row.kind == "hq") != (row.parent_code is None):
        return "headquarters has no parent, every other unit has one"
    if row.kind == "hq" and len(roots) > 1:
        return f"there is one headquarters only, not {', '.join(roots)}"
    if row.kind != "hq" and parent is None:
        return f"the parent {row.parent_code} is not known"
    if _in_circle(row.unit_code, merged):
        return "it lies above itself: a cycle"
    if parent is not None and HEIGHT[parent.kind] <= HEIGHT[row.kind]:
        return f"a {row.kind} does not belong to a {parent.kind}"
    return None


def _in_circle(unit_code: str, merged: Mapping[str, Any]) -> bool:
    seen: set[str] = set()
    above = merged[unit_code].parent_code
    while above in merged and above not in seen:
        seen.add(above)
        above = merged[above].parent_code
    return unit_code in seen


def _refusal(number: int, row: Unit, why: str) -> Invalid:
    return Invalid(f"items.{number} ({row.unit_code}): {why}.", "unit-refused", extra={"row": number})


async def _record_names(session: AsyncSession, rows: Sequence[Unit], actor: str) -> None:
    named = {row.unit_code: row.name for row in rows if row.name is not None}
    if not named:
        return
    said = insert(UnitName).values([{"unit_code": code, "name": named[code], "recorded_by": actor} for code in sorted(named)])
    news = {"name": said.excluded.name, "recorded_by": said.excluded.recorded_by}
    different = UnitName.name != said.excluded.name
    await session.execute(said.on_conflict_do_update(index_elements=[UnitName.unit_code], set_=news, where=different))


async def _touch_pages(session: AsyncSession, moved: Sequence[str]) -> None:
    """Have the pages of all accounts below moved units rendered anew: their unit path changed."""
    below = text(
        "SELECT account_no FROM accounts WHERE unit_code IN "
        "(SELECT unit_code FROM unit_ancestors WHERE ancestor_code = ANY(:moved))"
    )
    touch(session, "head", (await session.scalars(below, {"moved": list(moved)})).all())


async def list_units(session: AsyncSession, unit: str, kind: str | None, page: PageRequest) -> dict[str, Any]:
    """List the units of a subtree by code, with their names."""
    query = (
        select(units.c.unit_code, units.c.kind, units.c.parent_code, UnitName.name, units.c.sequence.label("version"))
        .outerjoin(UnitName, UnitName.unit_code == units.c.unit_code)
        .where(in_subtree(units.c.unit_code, unit))
        .order_by(units.c.unit_code)
        .limit(page.limit + 1)
    )
    if kind is not None:
        query = query.where(units.c.kind == kind)
    if page.after is not None:
        query = query.where(units.c.unit_code > page.after[0])
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return paged(rows, page, lambda row: (row.unit_code,))
