"""Somebody asks: why."""

from services.tiering import reasons
from services.tiering.schemas.decisions import DecisionRead
from shared.http import PROBLEMS, Router, Session
from shared.schemas import Id

router = Router()


@router.get("/v1/decisions/{decision_id}", name="tiering.read_decision", summary="Read why", responses=PROBLEMS)
async def read_decision(session: Session, decision_id: Id) -> DecisionRead:
    """Read policy, inputs, thresholds, rank and neighbours of a decision, and the same in plain words."""
    return DecisionRead.model_validate(await reasons.read_decision(session, decision_id))
