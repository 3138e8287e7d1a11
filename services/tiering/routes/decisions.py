"""Somebody asks: why."""

from services.tiering import known_charges, reasons
from services.tiering.schemas.decisions import DecisionChargeList, DecisionRead, Why
from shared.http import PROBLEMS, AccountInScope, Router, Session
from shared.paging import Page
from shared.schemas import Id

router = Router()


@router.get("/v1/decisions/{decision_id}", name="tiering.read_decision", summary="Read why", responses=PROBLEMS)
async def read_decision(session: Session, decision_id: Id) -> DecisionRead:
    """Read policy, inputs, thresholds, rank and neighbours of a decision, and the same in plain words."""
    return DecisionRead.model_validate(await reasons.read_decision(session, decision_id))


@router.get(
    "/v1/decisions/{decision_id}/charges",
    name="tiering.list_decision_charges",
    summary="List the charges behind a decision",
    responses=PROBLEMS,
)
async def list_decision_charges(session: Session, decision_id: Id, page: Page) -> DecisionChargeList:
    """List the charge versions that a decision was taken on, by month and number, as known then: their sum is its input."""
    return DecisionChargeList.model_validate(await known_charges.list_charges(session, decision_id, page))


@router.get("/v1/accounts/{account_no}/why", name="tiering.read_account_why", summary="Read why, all of it", responses=PROBLEMS)
async def read_account_why(session: Session, account_no: AccountInScope) -> Why:
    """Read the decisions in force for an account and its movements, each with its reasons, and all sentences in two languages."""
    return Why.model_validate(await reasons.explain(session, account_no))
