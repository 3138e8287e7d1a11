"""Saved reports (自定义报表): kept with a version, shared by unit, archived instead of deleted.

Private ones are their owner's. Shared with `unit` means the people of that unit and of those above it; `subtree` also those of
the units below. Only the definition is shared: whoever runs it gets what its own unit may see.
"""

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.designer.definition import Definition, check
from services.tiering.models import ReportDefinition
from shared.clock import business_now
from shared.db import Scope
from shared.directory import in_subtree
from shared.ids import natural_id
from shared.kernel.tables import unit_ancestors, units
from shared.paging import PageRequest, paged
from shared.problems import Conflict, NotFound

Row = ReportDefinition


def seen_by(scope: Scope, actor: str) -> ColumnElement[bool]:
    """Return the condition that a definition is the actor's own or shared with its unit."""
    above = select(unit_ancestors.c.ancestor_code).where(unit_ancestors.c.unit_code == (scope.unit_code or ""))
    downwards = and_(Row.shared == "subtree", Row.unit_code.in_(above))
    return or_(Row.owner == actor, and_(Row.shared != "private", _inside(scope)), downwards)


def _inside(scope: Scope) -> ColumnElement[bool]:
    return true() if scope.everything else in_subtree(Row.unit_code, scope.unit_code or "")


async def list_definitions(session: AsyncSession, scope: Scope, actor: str, unit: str, page: PageRequest) -> dict[str, Any]:
    """List the active definitions that the actor may see: those of a unit's subtree, and those shared down to it, by name."""
    above = select(unit_ancestors.c.ancestor_code).where(unit_ancestors.c.unit_code == unit)
    shared_down = and_(Row.shared == "subtree", Row.unit_code.in_(above))
    query = select(Row).where(Row.state == "active", seen_by(scope, actor), or_(in_subtree(Row.unit_code, unit), shared_down))
    if page.after is not None:
        query = query.where(tuple_(Row.name, Row.definition_id) > tuple_(*page.after))
    found = (await session.scalars(query.order_by(Row.name, Row.definition_id).limit(page.limit + 1))).all()
    answer = paged(found, page, lambda row: (row.name, row.definition_id))
    return {**answer, "items": [shown(row) for row in answer["items"]]}


async def read_definition(session: AsyncSession, scope: Scope, actor: str, definition_id: UUID) -> ReportDefinition:
    """Return an active definition. Raises NotFound where the actor sees none."""
    query = select(Row).where(Row.definition_id == definition_id, Row.state == "active", seen_by(scope, actor))
    found = (await session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("report definition", definition_id)
    return found


async def create(session: AsyncSession, scope: Scope, actor: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Save a definition for a unit, by default the actor's own. Raises Invalid, or NotFound for a unit outside."""
    unit = given["unit_code"] or scope.unit_code or ""
    await _check_unit(session, scope, unit)
    check(given["definition"])
    now = await business_now(session)
    row = ReportDefinition(
        definition_id=natural_id("report-definition", secrets.token_hex(16)),
        version=1,
        unit_code=unit,
        owner=actor,
        state="active",
        created_at=now,
        scheduled_through=None,
        **_changes(given, actor, now),
    )
    session.add(row)
    await session.flush()
    return shown(row)


async def change(
    session: AsyncSession, scope: Scope, actor: str, definition_id: UUID, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Replace a definition where it still has the version that the actor saw. Raises Invalid, NotFound or Conflict."""
    check(given["definition"])
    row = await _locked(session, scope, actor, definition_id)
    if row.version != given["version"]:
        raise Conflict("report-changed-meanwhile", f"The report has version {row.version} by now: read it and decide again.")
    for name, value in _changes(given, actor, await business_now(session)).items():
        setattr(row, name, value)
    row.version += 1
    await session.flush()
    return shown(row)


async def archive(session: AsyncSession, scope: Scope, actor: str, definition_id: UUID) -> dict[str, Any]:
    """Archive a definition: it is not listed, run or scheduled any more, its exports stay. Raises NotFound."""
    row = await _locked(session, scope, actor, definition_id)
    row.state, row.changed_at, row.changed_by = "archived", await business_now(session), actor
    row.version += 1
    await session.flush()
    return shown(row)


def shown(row: ReportDefinition) -> dict[str, Any]:
    """Return a definition as callers see it."""
    names = "definition_id version name unit_code owner shared schedule format state created_at changed_at changed_by"
    return {**{name: getattr(row, name) for name in names.split()}, "definition": row.content}


def definition_of(content: Mapping[str, Any]) -> Definition:
    """Return the definition that was stored."""
    return Definition.model_validate(content)


def _changes(given: Mapping[str, Any], actor: str, now: Any) -> dict[str, Any]:
    return {
        **{name: given[name] for name in ("name", "shared", "schedule", "format")},
        "content": given["definition"].model_dump(mode="json"),
        "changed_at": now,
        "changed_by": actor,
    }


async def _locked(session: AsyncSession, scope: Scope, actor: str, definition_id: UUID) -> ReportDefinition:
    """Return a definition that the actor may change: its own, or one shared in its unit or below, never one from above."""
    query = select(Row).where(Row.definition_id == definition_id, Row.state == "active")
    query = query.where(or_(Row.owner == actor, and_(Row.shared != "private", _inside(scope)))).with_for_update()
    found = (await session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("report definition", definition_id)
    return found


async def _check_unit(session: AsyncSession, scope: Scope, unit: str) -> None:
    inside = exists().where(unit_ancestors.c.unit_code == unit, unit_ancestors.c.ancestor_code == (scope.unit_code or ""))
    known = exists().where(units.c.unit_code == unit)
    if not (await session.execute(select(known if scope.everything else inside))).scalar_one():
        raise NotFound("unit", unit)
