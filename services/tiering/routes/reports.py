"""Somebody asks: reports, their gaps, snapshots, signatures and files."""

from typing import Annotated

from fastapi import Header, Query, Response

from services.tiering.reports import changes, listing, notes, snapshots
from services.tiering.reports.documents import MEDIA_TYPES, Format, format_for
from services.tiering.schemas.reports import (
    AdviceCreate,
    Appraisal,
    Changes,
    Gaps,
    Note,
    PeriodText,
    QualityOverride,
    ReportItem,
    ReportList,
    ReportRead,
    ReportType,
    State,
)
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Id

router = Router()
Accept = Annotated[str, Header(max_length=500, description="The first of the media types named here that there is; else HTML.")]
TableNo = Annotated[int, Query(ge=1, le=1000, description="Which table, for CSV.")]
_FILES = {200: {"description": "The report as a file.", "content": {media: {} for media in MEDIA_TYPES.values()}}} | PROBLEMS


@router.get("/v1/reports", name="tiering.list_reports", summary="List reports, the earliest due first", responses=PROBLEMS)
async def list_reports(
    *,
    session: Session,
    unit: UnitFilter,
    page: Page,
    type: ReportType | None = None,
    period: PeriodText | None = None,
    state: State | None = None,
) -> ReportList:
    """List the reports of a unit and the units below it, and those that are published to all."""
    found = await listing.list_reports(session, unit, page, report_type=type, period=period, state=state)
    return ReportList.model_validate(found)


@router.get("/v1/reports/{report_id}", name="tiering.read_report", summary="Read a report's state", responses=PROBLEMS)
async def read_report(session: Session, report_id: Id) -> ReportRead:
    """Read when it is due and to whom, its snapshots, its signature, and what people added."""
    return ReportRead.model_validate(await listing.read_report(session, report_id))


@router.get("/v1/reports/{report_id}/gaps", name="tiering.read_report_gaps", summary="Read what is missing", responses=PROBLEMS)
async def read_report_gaps(session: Session, report_id: Id) -> Gaps:
    """Read untouched customers, unfinished talks and overdue tasks, per branch and per responsible."""
    return Gaps.model_validate(await listing.read_gaps(session, report_id))


@router.get(
    "/v1/reports/{report_id}/changes", name="tiering.read_report_changes", summary="Read what changed since", responses=PROBLEMS
)
async def read_report_changes(session: Session, report_id: Id) -> Changes:
    """Read what late charges changed in the report's months since its newest snapshot."""
    return Changes.model_validate(await changes.read_changes(session, report_id))


@router.get(
    "/v1/reports/{report_id}/appraisal",
    name="tiering.read_report_appraisal",
    summary="Read the rows for appraisals",
    responses=PROBLEMS,
)
async def read_report_appraisal(session: Session, report_id: Id) -> Appraisal:
    """Read one row per responsible role and unit, with the id of the frozen snapshot."""
    return Appraisal.model_validate(await snapshots.read_appraisal(session, report_id))


@router.get(
    "/v1/reports/{report_id}/document",
    name="tiering.read_report_document",
    summary="Read the report",
    response_class=Response,
    responses=_FILES,
)
async def read_report_document(session: Session, report_id: Id, accept: Accept = "*/*", table: TableNo = 1) -> Response:
    """Read the report as HTML, PDF, XLSX, CSV or JSON, by the header Accept: as frozen, or as known now while it is open."""
    wanted = format_for(accept)
    return Response(await snapshots.read_file(session, report_id, wanted, table), media_type=MEDIA_TYPES[wanted])


@router.get(
    "/v1/reports/{report_id}/document.{format}",
    name="tiering.read_report_file",
    summary="Read the report as a file",
    response_class=Response,
    responses=_FILES,
)
async def read_report_file(session: Session, report_id: Id, format: Format, table: TableNo = 1) -> Response:
    """Read the same in the format that the address ends with."""
    return Response(await snapshots.read_file(session, report_id, format, table), media_type=MEDIA_TYPES[format])


@router.post("/v1/reports/{report_id}/freeze", name="tiering.freeze_report", summary="Freeze a report early", responses=PROBLEMS)
async def freeze_report(session: Session, caller: Caller, idempotent: Idempotent, report_id: Id) -> ReportItem:
    """Take the snapshot before the day on which the clock does."""
    return ReportItem.model_validate(await snapshots.freeze(session, report_id, caller.actor))


@router.post("/v1/reports/{report_id}/signature", name="tiering.sign_report", summary="Sign a report off", responses=PROBLEMS)
async def sign_report(session: Session, caller: Caller, idempotent: Idempotent, report_id: Id) -> ReportItem:
    """Sign the frozen report; after 24:00 of its due day it is marked late."""
    return ReportItem.model_validate(await snapshots.sign(session, report_id, caller.actor, caller.roles))


@router.post("/v1/reports/{report_id}/reissue", name="tiering.reissue_report", summary="Issue a report again", responses=PROBLEMS)
async def reissue_report(session: Session, caller: Caller, idempotent: Idempotent, report_id: Id) -> ReportItem:
    """Take a further snapshot that begins with what changed since; it has to be signed again."""
    return ReportItem.model_validate(await snapshots.reissue(session, report_id, caller.actor))


@router.post(
    "/v1/reports/{report_id}/advice", name="tiering.add_report_advice", summary="Add advice", status_code=201, responses=PROBLEMS
)
async def add_report_advice(
    session: Session, caller: Caller, idempotent: Idempotent, report_id: Id, advice: AdviceCreate
) -> Note:
    """Add advice on outstanding problems to an open report."""
    return Note.model_validate(await notes.advise(session, report_id, caller.actor, advice.text))


@router.post(
    "/v1/reports/{report_id}/quality",
    name="tiering.override_report_quality",
    summary="Give another grade of quality",
    status_code=201,
    responses=PROBLEMS,
)
async def override_report_quality(
    session: Session, caller: Caller, idempotent: Idempotent, report_id: Id, override: QualityOverride
) -> Note:
    """Give a responsible role and unit another grade of information quality, with the reason."""
    found = await notes.override_quality(session, report_id, caller.actor, **override.model_dump())
    return Note.model_validate(found)
