"""Somebody asks: who is on course for a movement, and what such alerts were worth."""

from services.tiering import radar, radar_quality
from services.tiering.routes.freight import From, To
from services.tiering.schemas.radar import AlertState, RadarAlertList, RadarQuality
from shared.http import PROBLEMS, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText

router = Router()


@router.get("/v1/radar", name="tiering.list_radar", summary="List who is on course for a movement", responses=PROBLEMS)
async def list_radar(
    *, session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None, state: AlertState | None = None
) -> RadarAlertList:
    """List the radar's alerts of a month, by account; without `month` the running one."""
    return RadarAlertList.model_validate(await radar.list_alerts(session, unit, page, month=month, state=state))


@router.get("/v1/radar/quality", name="tiering.read_radar_quality", summary="Read what the radar is worth", responses=PROBLEMS)
async def read_radar_quality(session: Session, unit: UnitFilter, first: From, to: To) -> RadarQuality:
    """Read precision, recall, lift and lead of the alerts of closed months, beside two plain rules."""
    return RadarQuality.model_validate(await radar_quality.read_quality(session, unit, first, to))
