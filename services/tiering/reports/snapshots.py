"""Snapshots of reports (快照): frozen on their day or earlier, signed off by the right role, re-issued after late charges.

A snapshot never changes. What late charges did to its months since is listed beside it, and opens a re-issued one.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.freight import gate_held_alone
from services.tiering.models import ReportRow, ReportSnapshot
from services.tiering.rendering.document import Document
from services.tiering.reports import changes, listing
from services.tiering.reports.building import Assembled, assemble, stamp, with_section
from services.tiering.reports.calendar import is_late
from services.tiering.reports.documents import Format, digest_of, from_plain, rendered, to_plain
from shared.clock import business_now
from shared.events.reports import ReportIssued
from shared.ids import natural_id
from shared.outbox import publish
from shared.problems import Conflict, Forbidden, NotFound


async def freeze(session: AsyncSession, report_id: UUID, actor: str) -> dict[str, Any]:
    """Freeze an open report now, before its day. Raises NotFound, and Conflict where it is frozen already."""
    report = await listing.own_report(session, report_id)
    if report.state != "open":
        raise Conflict("report-frozen", f"The report was frozen at {stamp(report.frozen_at or report.created_at)}; re-issue it.")
    await take(session, report, await business_now(session), "early", actor)
    return listing.shown(report)


async def take(session: AsyncSession, report: ReportRow, instant: datetime, reason: str, actor: str | None = None) -> None:
    """Take the next snapshot of a report; a re-issue begins with what changed since the one before."""
    through = await _restated_through(session)
    made = await assemble(session, report, instant)
    document = made.document
    if report.snapshot_no:
        before = await listing.newest_snapshot(session, report.report_id)
        assert before is not None
        since = await changes.since(session, report, before)
        document = with_section(document, changes.section(from_plain(before.content["document"]), document, since))
    report.snapshot_no += 1
    snapshot_id = natural_id("report-snapshot", str(report.report_id), report.snapshot_no)
    content = {"document": to_plain(_dated(document, instant, snapshot_id)), "appraisal": list(made.appraisal)}
    snapshot = ReportSnapshot(
        snapshot_id=snapshot_id,
        report_id=report.report_id,
        number=report.snapshot_no,
        unit_code=report.unit_code,
        published=False,
        reason=reason,
        frozen_at=instant,
        frozen_by=actor,
        restated_through=through,
        digest=digest_of(content),
        content=content,
    )
    session.add(snapshot)
    report.state, report.frozen_at = "frozen", instant
    await session.flush()
    _announce(session, report, snapshot, instant)


async def sign(session: AsyncSession, report_id: UUID, actor: str, roles: Collection[str]) -> dict[str, Any]:
    """Sign a frozen report off; after 24:00 of its due day it is late, unless an earlier snapshot of it was signed by then.

    Raises:
        NotFound: there is no such report in the caller's unit.
        Forbidden: none of the caller's roles signs this report.
        Conflict: it is still open, or signed already.
    """
    report = await listing.own_report(session, report_id)
    may = [role for role in report.recipients["sign"] if role in roles]
    if not may:
        raise Forbidden(f"This report is signed by: {', '.join(report.recipients['sign'])}.", "report-of-another-role")
    if report.state == "open":
        raise Conflict("report-open", "The report is still open: freeze it, read it, then sign it.")
    if report.state == "signed":
        raise Conflict("report-signed", "The newest snapshot of the report is signed already.")
    now = await business_now(session)
    report.late = report.late or (report.signed_at is None and is_late(report.due_on, now))
    report.state, report.signed_at, report.signed_by, report.signed_role = "signed", now, actor, may[0]
    snapshot = await listing.newest_snapshot(session, report_id)
    assert snapshot is not None
    snapshot.published = report.visible_to == "all"
    await session.flush()
    _announce(session, report, snapshot, now)
    return listing.shown(report)


async def reissue(session: AsyncSession, report_id: UUID, actor: str) -> dict[str, Any]:
    """Issue a frozen report again with what is known now and a page of what changed; it has to be signed again.

    Raises NotFound, and Conflict where it is still open.
    """
    report = await listing.own_report(session, report_id)
    if report.state == "open":
        raise Conflict("report-open", "The report is still open: it is not frozen yet, so there is nothing to issue again.")
    await take(session, report, await business_now(session), "re-issued", actor)
    return listing.shown(report)


async def read_document(session: AsyncSession, report_id: UUID) -> tuple[Document, ReportSnapshot | None]:
    """Return a report as it was frozen, or assembled now while it is open. Raises NotFound."""
    report = await listing.find(session, report_id)
    if report.state == "open":
        made: Assembled = await assemble(session, report, await business_now(session))
        return made.document, None
    snapshot = await listing.newest_snapshot(session, report_id)
    if snapshot is None:
        raise NotFound("report", report_id)
    return from_plain(snapshot.content["document"]), snapshot


async def read_file(session: AsyncSession, report_id: UUID, wanted: Format, table: int = 1) -> bytes:
    """Return a report as a file; the page is set beside the event loop."""
    document, _ = await read_document(session, report_id)
    return await asyncio.to_thread(rendered, document, wanted, table)


async def read_appraisal(session: AsyncSession, report_id: UUID) -> dict[str, Any]:
    """Return the rows that appraisals take, with the id of the frozen snapshot (T-52). Raises NotFound; Conflict while open."""
    report = await listing.find(session, report_id)
    snapshot = await listing.newest_snapshot(session, report_id)
    if snapshot is None:
        raise Conflict("report-open", "The report is still open: appraisals rest on a frozen one.")
    return {
        "report_id": report.report_id,
        "snapshot_id": snapshot.snapshot_id,
        "digest": snapshot.digest,
        "frozen_at": snapshot.frozen_at,
        "signed_at": report.signed_at if report.state == "signed" else None,
        "items": snapshot.content["appraisal"],
    }


async def mark_late(session: AsyncSession, instant: datetime) -> None:
    """Mark every report as late whose day has ended without a signature."""
    await session.execute(
        update(ReportRow)
        .where(ReportRow.late.is_(False), ReportRow.state != "signed", ReportRow.signed_at.is_(None), ReportRow.due_at <= instant)
        .values(late=True)
    )


def _announce(session: AsyncSession, report: ReportRow, snapshot: ReportSnapshot, at: datetime) -> None:
    publish(
        session,
        ReportIssued(
            report_id=report.report_id,
            report_type=report.report_type,
            unit_code=report.unit_code,
            period=report.period_text,
            state=report.state,  # type: ignore[arg-type]
            snapshot_id=snapshot.snapshot_id,
            digest=snapshot.digest,
            due_on=report.due_on,
            late=report.late,
            to=tuple(report.recipients["to"]),
            cc=tuple(report.recipients["cc"]),
            issued_at=at,
        ),
    )


def _dated(document: Document, instant: datetime, snapshot_id: UUID) -> Document:
    note = f"快照 snapshot {snapshot_id}, {stamp(instant)}"
    return Document(document.title, document.subtitle, (*document.notes, note), document.sections)


async def _restated_through(session: AsyncSession) -> int:
    """Return the last restatement that the figures read next are sure to hold.

    The gate is held alone for that moment: every posting under way has committed, and what comes later has a higher number.
    """
    async with gate_held_alone(session):
        found = await session.execute(text("SELECT coalesce(max(seq), 0) FROM restatements"))
    return int(found.scalar_one())
