"""Somebody asks: bands, entitlements, milestones, and what a prospect would be."""

from typing import Annotated

from fastapi import Query

from services.tiering import entitlements, milestones, prospects
from services.tiering.schemas.axes import BandList, EntitlementList, MilestoneList, ProspectGrade
from services.tiering.schemas.names import Band
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import QuarterText

router = Router()
ExpectedFen = Annotated[int, Query(ge=0, le=10**15, description="Freight expected of the prospect in a month, in fen.")]


@router.get("/v1/bands", name="tiering.list_bands", summary="List a quarter's bands", responses=PROBLEMS)
async def list_bands(
    *, session: Session, unit: UnitFilter, page: Page, quarter: QuarterText | None = None, band: Band | None = None
) -> BandList:
    """List the bands A, B, C decided at the quarter's close, by account; without `quarter` the last closed one."""
    return BandList.model_validate(await entitlements.list_bands(session, unit, page, quarter=quarter, band=band))


@router.get("/v1/entitlements", name="tiering.list_entitlements", summary="List entitlements", responses=PROBLEMS)
async def list_entitlements(
    *, session: Session, unit: UnitFilter, page: Page, quarter: QuarterText | None = None
) -> EntitlementList:
    """List what accounts are entitled to since the quarter's close, by account; without `quarter` the last closed one."""
    return EntitlementList.model_validate(await entitlements.list_entitlements(session, unit, page, quarter=quarter))


@router.get("/v1/milestones", name="tiering.list_milestones", summary="List milestones reached", responses=PROBLEMS)
async def list_milestones(session: Session, unit: UnitFilter, page: Page) -> MilestoneList:
    """List the accounts whose freight of a month has reached the milestone, with the first such month, by account."""
    return MilestoneList.model_validate(await milestones.list_milestones(session, unit, page))


@router.get("/v1/prospect-grades", name="tiering.read_prospect_grade", summary="Grade an expected amount", responses=PROBLEMS)
async def read_prospect_grade(session: Session, expected_fen: ExpectedFen) -> ProspectGrade:
    """Say whether a prospect of this expected monthly freight is a star, a moon or a sun, by today's policy, and why."""
    return ProspectGrade.model_validate(await prospects.grade(session, expected_fen))
