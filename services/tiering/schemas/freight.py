"""What callers receive of freight."""

from pydantic import Field

from shared.schemas import AnswerModel, MonthText


class FreightMonth(AnswerModel):
    """The freight of an account in a business month."""

    month: MonthText
    amount_fen: int = Field(description="Sum of the standing charges in fen; a closed month changes with late charges, too.")
    charges: int = Field(description="Number of standing charges, cancelled ones included.")
    closed: bool = Field(description="Whether the month was closed, so that a later charge restates it.")


class Freight(AnswerModel):
    """The freight of an account, month by month."""

    months: list[FreightMonth]
