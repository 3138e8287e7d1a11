"""Assembling a report (编制): its figures as known now, what people added, and the sections of its type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import Rectification, ReportNote, ReportRow
from services.tiering.rendering.document import Document, Section
from services.tiering.reports.calendar import Period
from services.tiering.reports.figures import Figures, gather, responsible
from services.tiering.reports.kinds import SECTIONS, kind_of
from services.tiering.reports.material import Material, Override
from services.tiering.reports.quality import ratio
from shared.clock import shanghai
from shared.directory import in_subtree
from shared.months import add_months, last_day


@dataclass(frozen=True, slots=True)
class Assembled:
    """A report as it stands: for people, and the rows that appraisals take from it."""

    document: Document
    appraisal: Sequence[Mapping[str, Any]]


def period_of(report: ReportRow) -> Period:
    """Return the period of a report."""
    last = report.period if report.period_kind == "month" else add_months(report.period, 2)
    return Period("month" if report.period_kind == "month" else "quarter", report.period, last)


async def assemble(session: AsyncSession, report: ReportRow, instant: datetime) -> Assembled:
    """Assemble a report from what is known now."""
    material = await _material(session, report, instant, _parts(report.report_type))
    sections = [SECTIONS[name][0](material) for name in kind_of(report.report_type).sections]
    return Assembled(
        Document(f"{report.title} · {report.unit_code} · {report.period_text}", subtitle(report), _notes(report), sections),
        appraisal(material),
    )


async def figures_of(
    session: AsyncSession, report: ReportRow, instant: datetime, parts: Sequence[str], restated_through: int = 0
) -> Figures:
    """Return the figures of a report's unit and period as known now, with these parts."""
    period = period_of(report)
    book = await policies.in_force(session, last_day(period.last))
    return await gather(session, report.unit_code, period, book.base, instant, parts, restated_through)


def with_section(document: Document, section: Section) -> Document:
    """Return a document that begins with one more section."""
    return Document(document.title, document.subtitle, document.notes, (section, *document.sections))


def subtitle(report: ReportRow) -> str:
    """Return whom a report is for and when it was due, with what people have to know of that day."""
    rest = " (休息日, 不顺延 rest day, not moved)" if report.rest_day else ""
    late = " · 逾期 LATE" if report.late else ""
    to, cc = (_named(report.recipients.get(name, [])) for name in ("to", "cc"))
    copy = f" · 抄送 cc: {cc}" if cc else ""
    return f"{report.period_text} · 截止 due {report.due_on} 24:00{rest}{late} · 呈送 to: {to}{copy}"


def _named(recipients: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(f"{one['role']}@{one['unit_code']}" for one in recipients) or "–"


def _notes(report: ReportRow) -> list[str]:
    return [
        f"分层规则 policy {report.policy_version}; 金额为编制时的今日数 (amounts as known when the report was made)。",
        "“–” 表示没有数据, 不是 0 (no data, not 0)。",
    ]


def _parts(report_type: str) -> list[str]:
    return [part for name in kind_of(report_type).sections for part in SECTIONS[name][1]]


async def _material(session: AsyncSession, report: ReportRow, instant: datetime, parts: Sequence[str]) -> Material:
    period = period_of(report)
    policy = (await policies.in_force(session, last_day(period.last))).base
    figures = await gather(session, report.unit_code, period, policy, instant, parts)
    notes = (
        await session.execute(select(ReportNote).where(ReportNote.report_id == report.report_id).order_by(ReportNote.number))
    ).scalars()
    advice: list[dict[str, Any]] = []
    overrides: dict[tuple[str, str], Override] = {}
    for note in notes:
        if note.kind == "advice":
            advice.append({"text": note.text, "recorded_by": note.recorded_by})
        else:
            overrides[note.role or "", note.of_unit or ""] = Override(note.grade, note.text, note.recorded_by)  # type: ignore[arg-type]
    return Material(
        unit_code=report.unit_code,
        report_type=report.report_type,
        level=report.level,
        period=period,
        policy=policy,
        figures=figures,
        instant=instant,
        advice=advice,
        overrides=overrides,
        rectifications=await _rectifications(session, report),
    )


async def _rectifications(session: AsyncSession, report: ReportRow) -> list[dict[str, Any]]:
    """Return what has to be mended in the unit, from this report or an earlier one."""
    if "rectifications" not in kind_of(report.report_type).sections:
        return []
    row = Rectification
    query = select(row).where(in_subtree(row.unit_code, report.unit_code)).order_by(row.due_on, row.rectification_id).limit(500)
    found = (await session.execute(query)).scalars()
    names = ("role", "unit_code", "weakness", "measure", "due_on", "state", "rounds")
    return [{name: getattr(one, name) for name in names} for one in found]


def appraisal(material: Material) -> list[dict[str, Any]]:
    """Return one row per responsible role and unit, for performance appraisal (T-52)."""
    effects: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in material.figures.parts.get("effect", ()):
        effects.setdefault((row["role"], row["unit_code"]), []).append(row)
    rows = []
    for (role, unit), cell in material.figures.by(responsible).items():
        computed, other = material.grade(cell), material.overrides.get((role, unit))
        known = [row for row in effects.get((role, unit), ()) if row["known"]]
        rows.append(
            {
                "role": role,
                "unit_code": unit,
                "assigned": cell.assigned,
                "touched": cell.touched,
                "contacts": cell.contacts,
                "ratio": ratio(cell.touched, cell.assigned),
                "quality_score": material.score(cell),
                "quality_grade": other.grade if other else computed,
                "tasks": cell.tasks,
                "tasks_done": cell.tasks_done,
                "tasks_overdue": cell.tasks_overdue,
                "problems": cell.tickets,
                "problems_solved": cell.tickets_resolved,
                "effect_fen": sum(row["after_fen"] - row["during_fen"] for row in known) if known else None,
            }
        )
    return rows


def stamp(instant: datetime) -> str:
    """Return an instant as it stands in notes."""
    return shanghai(instant).isoformat(timespec="seconds")
