"""Somebody asks: tiers and grades."""

from services.tiering import tiers
from services.tiering.schemas.names import Tier
from services.tiering.schemas.tiers import AccountTiers, GradeList, TierList
from shared.http import PROBLEMS, AccountInScope, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText, QuarterText

router = Router()


@router.get("/v1/tiers", name="tiering.list_tiers", summary="List a quarter's service tiers", responses=PROBLEMS)
async def list_tiers(
    *, session: Session, unit: UnitFilter, page: Page, quarter: QuarterText | None = None, tier: Tier | None = None
) -> TierList:
    """List the tiers decided at the quarter's close, by account; without `quarter` the last closed one."""
    return TierList.model_validate(await tiers.list_tiers(session, unit, page, quarter=quarter, tier=tier))


@router.get("/v1/grades", name="tiering.list_grades", summary="List a month's contribution grades", responses=PROBLEMS)
async def list_grades(*, session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None) -> GradeList:
    """List the grades decided at the month's close, by account; without `month` the last closed one."""
    return GradeList.model_validate(await tiers.list_grades(session, unit, page, month=month))


@router.get(
    "/v1/accounts/{account_no}/tiers",
    name="tiering.read_account_tiers",
    summary="Read what an account holds",
    responses=PROBLEMS,
)
async def read_account_tiers(session: Session, account_no: AccountInScope) -> AccountTiers:
    """Read tier and grade with since-when and the decision that says why; null before the first close."""
    return AccountTiers.model_validate(await tiers.read_tiers(session, account_no))
