"""Somebody asks: the report designer."""

from typing import Any

from fastapi import Response

from services.tiering.designer import datasets, exports, running, saved
from services.tiering.schemas.designer import (
    DatasetList,
    DefinitionChange,
    DefinitionCreate,
    DefinitionList,
    DefinitionRead,
    ExportCreate,
    ExportList,
    ExportRead,
    Run,
)
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Id

router = Router()
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {kind: {} for kind in exports.MEDIA_TYPES.values()}}
}


@router.get("/v1/datasets", name="tiering.list_datasets", summary="List what reports are made of", responses=PROBLEMS)
async def list_datasets() -> DatasetList:
    """List the datasets with their fields, types and source columns: the closed list that a report is composed from."""
    return DatasetList.model_validate({"items": datasets.described()})


@router.get("/v1/report-definitions", name="tiering.list_report_definitions", summary="List saved reports", responses=PROBLEMS)
async def list_report_definitions(session: Session, caller: Caller, unit: UnitFilter, page: Page) -> DefinitionList:
    """List the reports that the caller may see: its own, those shared in its unit or below, those shared down to it."""
    return DefinitionList.model_validate(await saved.list_definitions(session, caller.scope, caller.actor, unit, page))


@router.post(
    "/v1/report-definitions",
    name="tiering.create_report_definition",
    summary="Save a report",
    status_code=201,
    responses=PROBLEMS,
)
async def create_report_definition(
    session: Session, caller: Caller, _once: Idempotent, report: DefinitionCreate
) -> DefinitionRead:
    """Save a report; one without a period is refused as `unbounded-report`."""
    return DefinitionRead.model_validate(await saved.create(session, caller.scope, caller.actor, dict(report)))


@router.get(
    "/v1/report-definitions/{definition_id}",
    name="tiering.read_report_definition",
    summary="Read a saved report",
    responses=PROBLEMS,
)
async def read_report_definition(session: Session, caller: Caller, definition_id: Id) -> DefinitionRead:
    """Read a report that is the caller's own or shared with it."""
    row = await saved.read_definition(session, caller.scope, caller.actor, definition_id)
    return DefinitionRead.model_validate(saved.shown(row))


@router.put(
    "/v1/report-definitions/{definition_id}",
    name="tiering.change_report_definition",
    summary="Replace a saved report",
    responses=PROBLEMS,
)
async def change_report_definition(
    session: Session, caller: Caller, definition_id: Id, report: DefinitionChange
) -> DefinitionRead:
    """Replace a report; 409 `report-changed-meanwhile` where somebody did since the version given."""
    return DefinitionRead.model_validate(await saved.change(session, caller.scope, caller.actor, definition_id, dict(report)))


@router.delete(
    "/v1/report-definitions/{definition_id}",
    name="tiering.archive_report_definition",
    summary="Archive a saved report",
    responses=PROBLEMS,
)
async def archive_report_definition(session: Session, caller: Caller, definition_id: Id) -> DefinitionRead:
    """Archive a report: it is not listed, run or scheduled any more; its exports stay."""
    return DefinitionRead.model_validate(await saved.archive(session, caller.scope, caller.actor, definition_id))


@router.post(
    "/v1/report-definitions/{definition_id}/run", name="tiering.run_report", summary="Answer a report", responses=PROBLEMS
)
async def run_report(session: Session, caller: Caller, _once: Idempotent, unit: UnitFilter, definition_id: Id) -> Run:
    """Answer a report about a unit at once; one that reads too much becomes an export."""
    return Run.model_validate(await running.run(session, caller.scope, caller.actor, definition_id, unit))


@router.post(
    "/v1/exports", name="tiering.create_export", summary="Ask for a report as a file", status_code=202, responses=PROBLEMS
)
async def create_export(
    session: Session, caller: Caller, _once: Idempotent, unit: UnitFilter, wanted: ExportCreate
) -> ExportRead:
    """Ask for a file; it is made in the background in the caller's scope."""
    asked = await exports.ask(session, caller.scope, caller.actor, wanted.definition_id, unit, wanted.format)
    return ExportRead.model_validate(asked)


@router.get("/v1/exports", name="tiering.list_exports", summary="List exports, newest first", responses=PROBLEMS)
async def list_exports(session: Session, caller: Caller, unit: UnitFilter, page: Page) -> ExportList:
    """List the exports that the caller asked for, and those of shared reports of its unit and below."""
    return ExportList.model_validate(await exports.list_exports(session, caller.actor, unit, page))


@router.get("/v1/exports/{export_id}", name="tiering.read_export", summary="Read how an export stands", responses=PROBLEMS)
async def read_export(session: Session, caller: Caller, export_id: Id) -> ExportRead:
    """Read state, progress, size and checksum of an export."""
    return ExportRead.model_validate(await exports.read_export(session, caller.actor, export_id))


@router.get(
    "/v1/exports/{export_id}/file",
    name="tiering.download_export",
    summary="Download an export",
    responses=PROBLEMS | FILE,
    response_class=Response,
)
async def download_export(session: Session, caller: Caller, export_id: Id) -> Response:
    """Download the file of an export that is done; its SHA-256 is in the headers."""
    content, headers = await exports.read_file(session, caller.actor, export_id)
    return Response(content, headers=headers)
