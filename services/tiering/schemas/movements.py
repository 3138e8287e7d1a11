"""What callers receive of movements."""

from pydantic import Field

from services.tiering.schemas.names import Kind, State
from shared.schemas import AnswerModel, Id, Instant, MonthText


class MovementItem(AnswerModel):
    """A movement of an account."""

    movement_id: Id
    account_no: str
    branch_code: str | None = Field(description="Branch of the account when it was detected.")
    month: MonthText
    kind: Kind
    zero_months: int | None
    previous_fen: int = Field(description="Freight of the month before in fen, today's total while it is open.")
    current_fen: int = Field(description="Freight of the month in fen, today's total while it is open.")
    state: State
    detected_at: Instant
    decision_id: Id


class MovementList(AnswerModel):
    """One page of movements, by account and month."""

    items: list[MovementItem]
    next_cursor: str | None
