"""What people add to an open report (批注): advice on outstanding problems (T-48), and another grade of quality (T-46)."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import ReportNote, ReportRow
from services.tiering.reports import listing
from services.tiering.reports.building import figures_of
from services.tiering.reports.figures import responsible
from shared.clock import business_now
from shared.problems import Conflict, Invalid

MOST_NOTES = 1000


async def advise(session: AsyncSession, report_id: UUID, actor: str, advice: str) -> ReportNote:
    """Add advice to a report. Raises NotFound; Conflict where it is frozen."""
    report = await _open_report(session, report_id)
    return await _add(session, report, actor, {"kind": "advice", "text": advice})


async def override_quality(
    session: AsyncSession, report_id: UUID, actor: str, *, role: str, unit_code: str, grade: str, reason: str
) -> ReportNote:
    """Give a responsible role and unit another grade of information quality than the computed one, with the reason.

    Raises NotFound; Invalid where nobody of that role and unit is in the report; Conflict where it is frozen.
    """
    report = await _open_report(session, report_id)
    figures = await figures_of(session, report, await business_now(session), [])
    if (role, unit_code) not in figures.by(responsible):
        raise Invalid(f"The report has no responsible {role} of {unit_code}.", "nobody-responsible")
    said: dict[str, Any] = {"kind": "quality", "role": role, "of_unit": unit_code, "grade": grade, "text": reason}
    return await _add(session, report, actor, said)


async def _open_report(session: AsyncSession, report_id: UUID) -> ReportRow:
    report = await listing.own_report(session, report_id)
    if report.state != "open":
        raise Conflict("report-frozen", "The report is frozen: what is added now would not be in it.")
    return report


async def _add(session: AsyncSession, report: ReportRow, actor: str, said: dict[str, Any]) -> ReportNote:
    query = select(func.count()).select_from(ReportNote).where(ReportNote.report_id == report.report_id)
    number = 1 + int((await session.execute(query)).scalar_one())
    if number > MOST_NOTES:
        raise Conflict("too-many-notes", f"The report has {MOST_NOTES} notes, which is the most that one can have.")
    note = ReportNote(
        report_id=report.report_id,
        number=number,
        unit_code=report.unit_code,
        recorded_by=actor,
        recorded_at=await business_now(session),
        **said,
    )
    session.add(note)
    await session.flush()
    return note
