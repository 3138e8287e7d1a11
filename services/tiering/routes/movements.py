"""Somebody asks: movements."""

from services.tiering import movements, quarter_movements
from services.tiering.schemas.movements import MovementList, QuarterMovementList
from services.tiering.schemas.names import Kind, QuarterKind, State
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText, QuarterText

router = Router()


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


@router.get(
    "/v1/quarter-movements", name="tiering.list_quarter_movements", summary="List quarterly movements", responses=PROBLEMS
)
async def list_quarter_movements(
    *, session: Session, unit: UnitFilter, page: Page, quarter: QuarterText | None = None, kind: QuarterKind | None = None
) -> QuarterMovementList:
    """List quarterly movements of a unit and the units below it, as decided, with what late charges would have made of them."""
    found = await quarter_movements.list_quarter_movements(session, unit, page, quarter=quarter, kind=kind)
    return QuarterMovementList.model_validate(found)
