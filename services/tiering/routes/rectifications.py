"""Somebody asks: rectifications, and the extracts that branches are sent."""

from services.tiering.reports import extracts, rectifying
from services.tiering.schemas.reports import (
    DistributionPut,
    DistributionRead,
    ExtractList,
    ExtractRead,
    Fixed,
    RectificationCreate,
    RectificationList,
    RectificationRead,
    RectificationState,
    Verification,
)
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Id, MonthText, UnitCode

router = Router()


@router.post(
    "/v1/reports/{report_id}/rectifications",
    name="tiering.open_rectification",
    summary="Ask a unit to mend something",
    status_code=201,
    responses=PROBLEMS,
)
async def open_rectification(
    session: Session, caller: Caller, idempotent: Idempotent, report_id: Id, order: RectificationCreate
) -> RectificationRead:
    """Open a rectification with its due day."""
    wanted = rectifying.Order(**order.model_dump())
    return RectificationRead.model_validate(await rectifying.open_rectification(session, report_id, caller.actor, wanted))


@router.get(
    "/v1/rectifications",
    name="tiering.list_rectifications",
    summary="List rectifications, the earliest due first",
    responses=PROBLEMS,
)
async def list_rectifications(
    session: Session, unit: UnitFilter, page: Page, state: RectificationState | None = None
) -> RectificationList:
    """List the rectifications of a unit and the units below it."""
    return RectificationList.model_validate(await rectifying.list_rectifications(session, unit, page, state))


@router.post(
    "/v1/rectifications/{rectification_id}/completion",
    name="tiering.fix_rectification",
    summary="Say that it is mended",
    responses=PROBLEMS,
)
async def fix_rectification(
    session: Session, caller: Caller, idempotent: Idempotent, rectification_id: Id, fixed: Fixed
) -> RectificationRead:
    """Say what was done; the analyst verifies it."""
    return RectificationRead.model_validate(await rectifying.fix(session, rectification_id, caller.actor, fixed.note))


@router.post(
    "/v1/rectifications/{rectification_id}/verification",
    name="tiering.verify_rectification",
    summary="Verify what was done",
    responses=PROBLEMS,
)
async def verify_rectification(
    session: Session, caller: Caller, idempotent: Idempotent, rectification_id: Id, verdict: Verification
) -> RectificationRead:
    """Close the rectification, or open it again."""
    found = await rectifying.verify(session, rectification_id, caller.actor, **verdict.model_dump())
    return RectificationRead.model_validate(found)


@router.get("/v1/extracts", name="tiering.list_extracts", summary="List the branches' extracts", responses=PROBLEMS)
async def list_extracts(session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None) -> ExtractList:
    """List what the branches of a unit were sent after each close, and to whom."""
    return ExtractList.model_validate(await extracts.list_extracts(session, unit, page, month))


@router.get("/v1/extracts/{extract_id}", name="tiering.read_extract", summary="Read an extract", responses=PROBLEMS)
async def read_extract(session: Session, extract_id: Id) -> ExtractRead:
    """Read the tiers, grades and movements of a branch as they stood at the close."""
    return ExtractRead.model_validate(await extracts.read_extract(session, extract_id))


@router.put(
    "/v1/distribution-lists/{unit_code}",
    name="tiering.put_distribution_list",
    summary="Say who gets a branch's extract",
    responses=PROBLEMS,
)
async def put_distribution_list(
    session: Session, caller: Caller, unit_code: UnitCode, wanted: DistributionPut
) -> DistributionRead:
    """Replace the distribution list of a branch, from the next close on."""
    recipients = wanted.model_dump()["recipients"]
    return DistributionRead.model_validate(await extracts.put_distribution(session, caller.actor, unit_code, recipients))
