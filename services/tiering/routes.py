"""Door: somebody asks. Freight, tiers, grades, movements, and why."""

from typing import Annotated

from fastapi import Query

from services.tiering import freight, movements, reasons, tiers
from services.tiering.schemas import AccountTiers, DecisionRead, Freight, GradeList, Kind, MovementList, State, Tier, TierList
from shared.http import PROBLEMS, AccountInScope, Router, Session, UnitFilter
from shared.months import parse_month
from shared.paging import Page
from shared.schemas import Id, MonthText, QuarterText

router = Router()
From = Annotated[MonthText, Query(alias="from", description="First month.")]
To = Annotated[MonthText, Query(description="Last month, included; at most 120 months.")]


@router.get(
    "/v1/accounts/{account_no}/freight",
    name="tiering.read_account_freight",
    summary="Read an account's freight by month",
    responses=PROBLEMS,
)
async def read_account_freight(session: Session, account_no: AccountInScope, first: From, to: To) -> Freight:
    """Read the totals of the months asked for; a month without charges is 0."""
    months = await freight.read_months(session, account_no, parse_month(first), parse_month(to))
    return Freight.model_validate({"months": months})


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


@router.get("/v1/decisions/{decision_id}", name="tiering.read_decision", summary="Read why", responses=PROBLEMS)
async def read_decision(session: Session, decision_id: Id) -> DecisionRead:
    """Read policy, inputs, thresholds, rank and neighbours of a decision, and the same in plain words."""
    return DecisionRead.model_validate(await reasons.read_decision(session, decision_id))


@router.get("/v1/movements", name="tiering.list_movements", summary="List movements", responses=PROBLEMS)
async def list_movements(
    *,
    session: Session,
    unit: UnitFilter,
    page: Page,
    month: MonthText | None = None,
    kind: Kind | None = None,
    state: State | None = None,
) -> MovementList:
    """List movements of a unit and the units below it, by account and month."""
    return MovementList.model_validate(await movements.list_movements(session, unit, page, month=month, kind=kind, state=state))
