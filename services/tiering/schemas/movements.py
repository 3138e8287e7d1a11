"""What callers receive of movements."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import Kind, QuarterKind, State, Tier
from shared.schemas import AnswerModel, Id, Instant, MonthText, QuarterText


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
    priority: bool = Field(False, description="Maintained first: the last quarter's average is from the focus threshold on.")
    responsible_role: str | None = Field(None, description="Role that answers for it by the policy's matrix.")
    responsible_unit: str | None = None
    in_person: bool = False
    assist: list["Assist"] = []
    season_explained: bool | None = Field(
        description="Whether the season explains it: held against what the month let expect, the rule does not fire."
    )
    season_expected_fen: int | None = Field(description="What the season let expect of the month, in fen.")


class MovementList(AnswerModel):
    """One page of movements, by account and month."""

    items: list[MovementItem]
    next_cursor: str | None


class Assist(AnswerModel):
    """Who helps the one who answers for a movement."""

    role: str
    unit_code: str


class Restated(AnswerModel):
    """What a quarterly movement would be by today's totals."""

    kind: QuarterKind | None
    place: int | None
    previous_fen: int
    current_fen: int


class QuarterMovementItem(AnswerModel):
    """A quarterly movement of an account, as decided at the quarter's close."""

    movement_id: Id
    account_no: str
    branch_code: str = Field(description="Branch of the account on the quarter's last day.")
    quarter: QuarterText
    kind: QuarterKind
    place: int | None = Field(description="Place among its branch's risers or decliners, else null.")
    previous_fen: int = Field(description="Freight of the quarter before in fen, as it was at the close.")
    current_fen: int = Field(description="Freight of the quarter in fen, as it was at the close.")
    state: Literal["open"]
    decision_id: Id
    priority: bool = Field(description="Maintained first: a monthly average of the quarter from the focus threshold on.")
    service_tier: Tier
    responsible_role: str
    responsible_unit: str
    in_person: bool
    assist: list[Assist]
    detected_at: Instant
    restated: Restated | None = Field(description="What late charges would have made of it; null where nothing changed since.")


class QuarterMovementList(AnswerModel):
    """One page of quarterly movements, by account and quarter."""

    items: list[QuarterMovementItem]
    next_cursor: str | None
