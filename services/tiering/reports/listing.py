"""Reports as callers see them: the list, one with its history, and the gaps before its day comes (缺口)."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import ReportNote, ReportRow, ReportSnapshot
from services.tiering.reports.building import figures_of
from services.tiering.reports.figures import Cell, branch, responsible
from shared.clock import business_date, business_now
from shared.directory import in_subtree
from shared.paging import PageRequest, paged
from shared.problems import NotFound

FIELDS = (
    *("report_id", "report_type", "title", "unit_code", "level", "due_on", "due_at", "rest_day", "policy_version", "visible_to"),
    *("recipients", "state", "late", "created_at", "snapshot_no", "frozen_at", "signed_at", "signed_by", "signed_role"),
)


async def list_reports(
    session: AsyncSession,
    unit: str,
    page: PageRequest,
    *,
    report_type: str | None = None,
    period: str | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """List the reports of a unit's subtree by due day, and what is published to all."""
    row = ReportRow
    query = select(row).where(or_(in_subtree(row.unit_code, unit), (row.visible_to == "all") & row.signed_at.is_not(None)))
    for column, value in ((row.report_type, report_type), (row.period_text, period), (row.state, state)):
        if value is not None:
            query = query.where(column == value)
    if page.after is not None:
        query = query.where(tuple_(row.due_on, row.report_id) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.due_on, row.report_id).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.due_on, item.report_id))
    return {**answer, "items": [shown(item) for item in answer["items"]]}


async def read_report(session: AsyncSession, report_id: UUID) -> dict[str, Any]:
    """Return a report with its snapshots and notes. Raises NotFound."""
    report = await find(session, report_id)
    snapshots = (
        await session.execute(
            select(
                ReportSnapshot.snapshot_id, ReportSnapshot.number, ReportSnapshot.reason, ReportSnapshot.frozen_at,
                ReportSnapshot.frozen_by, ReportSnapshot.digest,
            ).where(ReportSnapshot.report_id == report_id).order_by(ReportSnapshot.number)
        )
    ).mappings()  # fmt: skip
    query = select(ReportNote).where(ReportNote.report_id == report_id).order_by(ReportNote.number)
    return {
        **shown(report),
        "snapshots": [dict(row) for row in snapshots],
        "notes": list((await session.execute(query)).scalars()),
    }


async def find(session: AsyncSession, report_id: UUID) -> ReportRow:
    """Return a report that the caller may see. Raises NotFound."""
    report = await session.get(ReportRow, report_id)
    if report is None:
        raise NotFound("report", report_id)
    return report


async def own_report(session: AsyncSession, report_id: UUID, *, lock: bool = True) -> ReportRow:
    """Return a report of the caller's own unit or one below it, locked for a change. Raises NotFound, also for a foreign one."""
    query = select(ReportRow).where(ReportRow.report_id == report_id, _OWN)
    report = (await session.execute(query.with_for_update() if lock else query)).scalar_one_or_none()
    if report is None:
        raise NotFound("report", report_id)
    return report


async def newest_snapshot(session: AsyncSession, report_id: UUID) -> ReportSnapshot | None:
    """Return the newest snapshot of a report that the caller may see."""
    query = select(ReportSnapshot).where(ReportSnapshot.report_id == report_id).order_by(ReportSnapshot.number.desc()).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def read_gaps(session: AsyncSession, report_id: UUID) -> dict[str, Any]:
    """Return what is still missing in a report, per branch and responsible, before its day comes.

    Numbers are complete; of untouched customers, unfinished talks and overdue tasks the first 200 are named. Raises NotFound.
    """
    report = await own_report(session, report_id, lock=False)
    now = await business_now(session)
    figures = await figures_of(session, report, now, ["gaps", "untouched", "incomplete", "overdue"])
    counted = {name: _counted(figures.parts["gaps"], name) for name in ("responsible", "branch")}
    return {
        "report_id": report.report_id,
        "due_on": report.due_on,
        "days_left": max(0, (report.due_on - business_date(now)).days),
        "branches": [
            {"branch_code": name, **_gap(cell, counted["branch"].get(name))} for name, cell in figures.by(branch).items()
        ],
        "responsibles": [
            {"role": role, "unit_code": unit, **_gap(cell, counted["responsible"].get((role, unit)))}
            for (role, unit), cell in figures.by(responsible).items()
        ],
        **{name: figures.parts[name] for name in ("untouched", "incomplete", "overdue")},
    }


def shown(report: ReportRow) -> dict[str, Any]:
    """Return a report as lists show it."""
    return {"period": report.period_text, **{name: getattr(report, name) for name in FIELDS}}


def _counted(rows: Sequence[Mapping[str, Any]], by: str) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for row in rows:
        key = row["branch_code"] if by == "branch" else (row["role"], row["unit_code"])
        sums = found.setdefault(key, [0, 0])
        sums[0] += row["incomplete"]
        sums[1] += row["overdue"]
    return found


def _gap(cell: Cell, counted: Sequence[int] | None) -> dict[str, int]:
    incomplete, overdue = counted or (0, 0)
    return {"assigned": cell.assigned, "untouched": cell.assigned - cell.touched, "incomplete": incomplete, "overdue": overdue}


def due_before(day: date) -> Any:
    """Return the condition of reports that are due on a day or before it and still open."""
    return (ReportRow.state == "open") & (ReportRow.due_on <= day)


_OWN = text(
    "(current_setting('crm.everything', true) = 'on' OR EXISTS (SELECT FROM unit_ancestors own "
    "WHERE own.unit_code = reports.unit_code AND own.ancestor_code = current_setting('crm.unit', true)))"
)
