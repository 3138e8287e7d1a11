"""Somebody asks: key figures, service levels, average amounts."""

from services.tiering import average_amounts, kpis, service_levels
from services.tiering.schemas.kpis import AverageAmounts, KpiTree, ServiceLevels
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.schemas import MonthText, QuarterText

router = Router()


@router.get("/v1/kpis", name="tiering.read_kpis", summary="Read the key figures", responses=PROBLEMS)
async def read_kpis(session: Session, unit: UnitFilter, month: MonthText | None = None) -> KpiTree:
    """Read the six key figures of a unit with formula, owner, target and trend; a figure without input is no data."""
    return KpiTree.model_validate(await kpis.read(session, unit, month))


@router.get("/v1/service-levels", name="tiering.read_service_levels", summary="Read service cost and level", responses=PROBLEMS)
async def read_service_levels(session: Session, unit: UnitFilter, quarter: QuarterText | None = None) -> ServiceLevels:
    """Read what keeping accounts cost in a closed quarter, what they shipped, and the marginal view."""
    return ServiceLevels.model_validate(await service_levels.read(session, unit, quarter))


@router.get("/v1/average-amounts", name="tiering.read_average_amounts", summary="Read average amounts", responses=PROBLEMS)
async def read_average_amounts(session: Session, unit: UnitFilter) -> AverageAmounts:
    """Read the average amount per account and year of a unit and those below it, with its trend."""
    return AverageAmounts.model_validate(await average_amounts.read(session, unit))
