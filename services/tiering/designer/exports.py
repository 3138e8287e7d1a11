"""Exports (导出): a report as a file, asked for now and made in the background; listed, downloaded, gone after a month."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.designer.definition import check
from services.tiering.designer.saved import definition_of, read_definition
from services.tiering.models import Export, ExportPart, ReportDefinition
from shared.clock import business_now
from shared.db import Scope, driver
from shared.directory import in_subtree
from shared.ids import natural_id
from shared.paging import PageRequest, paged
from shared.problems import Conflict, NotFound

KEPT = timedelta(days=30)
MOST_WAITING = 20
"""Exports that one person may have under way."""
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
}


async def ask(
    session: AsyncSession, scope: Scope, actor: str, definition_id: UUID, unit: str, file_format: str | None = None
) -> dict[str, Any]:
    """Ask for a report about a unit as a file, in the scope of the actor. Raises NotFound, Invalid or Conflict."""
    saved = await read_definition(session, scope, actor, definition_id)
    if scope.unit_code is None:
        raise NotFound("report definition", definition_id)
    check(definition_of(saved.content))
    under_way = select(func.count()).where(Export.requested_by == actor, Export.state.in_(["waiting", "running"]))
    if (await session.execute(under_way)).scalar_one() >= MOST_WAITING:
        raise Conflict("too-many-exports", f"You have {MOST_WAITING} exports under way: wait for one of them.")
    row = Export(
        export_id=natural_id("export", secrets.token_hex(16)),
        definition_id=saved.definition_id,
        definition_version=saved.version,
        name=saved.name,
        unit_code=scope.unit_code,
        about_unit=unit,
        requested_by=actor,
        content=saved.content,
        format=file_format or saved.format,
        state="waiting",
        rows_done=0,
        requested_at=await business_now(session),
        attempts=0,
    )
    session.add(row)
    await session.flush()
    return shown(row)


async def list_exports(session: AsyncSession, actor: str, unit: str, page: PageRequest) -> dict[str, Any]:
    """List the exports that the actor asked for, and those of shared reports made in its unit or below, newest first."""
    query = _seen(actor).where(in_subtree(Export.unit_code, unit))
    if page.after is not None:
        query = query.where(tuple_(Export.requested_at, Export.export_id) < tuple_(*page.after))
    query = query.order_by(Export.requested_at.desc(), Export.export_id.desc()).limit(page.limit + 1)
    answer = paged((await session.scalars(query)).all(), page, lambda row: (row.requested_at, row.export_id))
    return {**answer, "items": [shown(row) for row in answer["items"]]}


async def read_export(session: AsyncSession, actor: str, export_id: UUID) -> dict[str, Any]:
    """Return how an export stands. Raises NotFound."""
    return shown(await _one(session, actor, export_id))


async def read_file(session: AsyncSession, actor: str, export_id: UUID) -> tuple[bytes, dict[str, str]]:
    """Return an export's bytes and the headers they go with. Raises NotFound, or Conflict where there is no file (yet or now)."""
    row = await _one(session, actor, export_id)
    if row.state != "done":
        raise Conflict("export-not-ready", f"The export is {row.state}: there is a file while it is done.")
    parts = await session.scalars(select(ExportPart.content).where(ExportPart.export_id == export_id).order_by(ExportPart.part))
    return b"".join(parts), {
        "Content-Type": MEDIA_TYPES[row.format],
        "Content-Disposition": f'attachment; filename="report-{str(export_id)[:8]}.{row.format}"',
        "ETag": f'"{row.sha256}"',
        "X-Content-SHA256": row.sha256 or "",
        "Cache-Control": "private, no-store",
    }


def shown(row: Export) -> dict[str, Any]:
    """Return an export as callers see it; `progress` is 100 when it is done, null where it cannot be known yet."""
    names = (
        "export_id definition_id definition_version name unit_code about_unit requested_by format state rows_done rows_expected "
        "requested_at started_at finished_at expires_at size sha256 problem"
    )
    return {**{name: getattr(row, name) for name in names.split()}, "progress": _progress(row)}


def _progress(row: Export) -> int | None:
    if row.state in ("done", "expired"):
        return 100
    if not row.rows_expected:
        return 0 if row.state == "waiting" else None
    return min(99, row.rows_done * 100 // row.rows_expected)


async def schedule(session: AsyncSession, instant: datetime) -> None:
    """Ask for the scheduled reports that are due at an instant, and let go of what has expired.

    A monthly report is due at the first run after a month was closed, a quarterly one after a quarter's last month, a weekly one
    on the first run of a week, each for the unit it belongs to and once per period: the id is made from both.
    """
    asked = await (await driver(session)).fetchrow(_ASKED, instant)
    if asked["scheduled"]:
        await session.execute(_ASK_SCHEDULED, {"instant": instant})
        await session.execute(_MARK_SCHEDULED, {"instant": instant})
    if asked["expired"]:
        await session.execute(_EXPIRE, {"instant": instant})


def _seen(actor: str) -> Any:
    shared: ColumnElement[bool] = ReportDefinition.shared != "private"
    joined = select(Export).join(ReportDefinition, ReportDefinition.definition_id == Export.definition_id)
    return joined.where(or_(Export.requested_by == actor, shared))


async def _one(session: AsyncSession, actor: str, export_id: UUID) -> Export:
    found: Export | None = (await session.scalars(_seen(actor).where(Export.export_id == export_id))).one_or_none()
    if found is None:
        raise NotFound("export", export_id)
    return found


_DUE = """
due AS (
    SELECT d.*, CASE d.schedule WHEN 'weekly' THEN c.week WHEN 'monthly' THEN c.closed ELSE c.quarter END AS period
    FROM report_definitions d, LATERAL (
        SELECT CAST(date_trunc('week', CAST(:instant AS timestamptz) AT TIME ZONE 'Asia/Shanghai') AS date) AS week,
               max(month) AS closed, max(month) FILTER (WHERE extract(month FROM month) % 3 = 0) AS quarter
        FROM month_closes WHERE state = 'closed') AS c
    WHERE d.schedule IS NOT NULL AND d.state = 'active'
)"""
_ASKED = (
    "SELECT EXISTS (SELECT FROM report_definitions WHERE schedule IS NOT NULL AND state = 'active') AS scheduled, "
    "EXISTS (SELECT FROM exports WHERE state = 'done' AND expires_at <= $1) AS expired"
)
_ASK_SCHEDULED = text(f"""
WITH {_DUE}
INSERT INTO exports (export_id, definition_id, definition_version, name, unit_code, about_unit, requested_by, content, format,
                     state, rows_done, requested_at, attempts)
SELECT natural_id('export/' || definition_id || '/' || period), definition_id, version, name, unit_code, unit_code, owner,
       content, format, 'waiting', 0, :instant, 0
FROM due WHERE period IS NOT NULL AND period > coalesce(scheduled_through, '2000-01-01')
ON CONFLICT DO NOTHING""")
_MARK_SCHEDULED = text(f"""
WITH {_DUE}
UPDATE report_definitions d SET scheduled_through = due.period FROM due
WHERE due.definition_id = d.definition_id AND due.period > coalesce(d.scheduled_through, '2000-01-01')""")
_EXPIRE = text("""
WITH gone AS (UPDATE exports SET state = 'expired' WHERE state = 'done' AND expires_at <= :instant RETURNING export_id)
DELETE FROM export_parts p USING gone WHERE p.export_id = gone.export_id""")
