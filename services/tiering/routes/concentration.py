"""Somebody asks: on how few accounts does a unit hang."""

from services.tiering import concentration
from services.tiering.schemas.concentration import ConcentrationList, Pareto
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText

router = Router()


@router.get("/v1/concentration", name="tiering.list_concentration", summary="List units' concentration", responses=PROBLEMS)
async def list_concentration(
    *, session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None
) -> ConcentrationList:
    """List on how few accounts each unit's freight hung, by unit; without `month` at the last close."""
    return ConcentrationList.model_validate(await concentration.list_units(session, unit, page, month=month))


@router.get("/v1/pareto", name="tiering.read_pareto", summary="Read which accounts bring 80 %", responses=PROBLEMS)
async def read_pareto(*, session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None) -> Pareto:
    """Read the fewest accounts that bring 80 % of a unit's freight, the largest first, and how much each fluctuates."""
    return Pareto.model_validate(await concentration.list_core(session, unit, page, month=month))
