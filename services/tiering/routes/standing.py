"""Somebody asks: where does an account stand right now."""

from services.tiering import standing
from services.tiering.schemas.standing import Standing
from shared.http import PROBLEMS, AccountInScope, Router, Session

router = Router()


@router.get(
    "/v1/accounts/{account_no}/standing",
    name="tiering.read_standing",
    summary="Read where an account stands now",
    responses=PROBLEMS,
)
async def read_standing(session: Session, account_no: AccountInScope) -> Standing:
    """Read place, neighbours, the yuan to each line and the projected tier, by the running quarter's freight so far."""
    return Standing.model_validate(await standing.read_standing(session, account_no))
