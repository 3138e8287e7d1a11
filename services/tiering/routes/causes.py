"""Somebody asks: why did freight move, and was that right."""

from services.tiering import causes
from services.tiering.routes.freight import From, To
from services.tiering.schemas.causes import CauseItem, CauseList, CausesQuality, CauseVerdict
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.schemas import Id

router = Router()


@router.get(
    "/v1/movements/{movement_id}/causes", name="tiering.list_causes", summary="List a movement's causes", responses=PROBLEMS
)
async def list_causes(session: Session, movement_id: Id) -> CauseList:
    """List what the shipper said and what the facts suggest, each with the ids that it rests on."""
    return CauseList.model_validate(await causes.list_causes(session, movement_id))


@router.post("/v1/causes/{cause_id}/verdict", name="tiering.judge_cause", summary="Confirm or refute a cause", responses=PROBLEMS)
async def judge_cause(session: Session, caller: Caller, idempotent: Idempotent, cause_id: Id, body: CauseVerdict) -> CauseItem:
    """Confirm or refute an inferred cause; who did is kept, and the hit rate follows."""
    return CauseItem.model_validate(await causes.judge(session, cause_id, body.verdict, caller.actor))


@router.get("/v1/causes/quality", name="tiering.read_cause_quality", summary="Read the causes' hit rate", responses=PROBLEMS)
async def read_cause_quality(session: Session, unit: UnitFilter, first: From, to: To) -> CausesQuality:
    """Read how many inferred causes people confirmed and refuted, by cause."""
    return CausesQuality.model_validate(await causes.read_quality(session, unit, first, to))
