"""Somebody asks: movements."""

from services.tiering import movements
from services.tiering.schemas.movements import MovementList
from services.tiering.schemas.names import Kind, State
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText

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
