"""What callers receive of concentration."""

from typing import Literal

from pydantic import Field

from shared.schemas import AnswerModel, Id, MonthText


class ConcentrationItem(AnswerModel):
    """On how few accounts a unit's freight of a month hung, as it was at the close."""

    unit_code: str
    kind: Literal["branch", "district", "hq"]
    month: MonthText
    accounts: int = Field(description="Accounts with freight in the month.")
    freight_fen: int
    top_1_share: float | None = Field(description="Share of the largest account.")
    top_3_share: float | None
    top_10_share: float | None
    core_accounts: int = Field(description="The fewest accounts that bring 80 % of the freight.")
    core_share: float | None = Field(description="Which share of the accounts they are.")


class ConcentrationList(AnswerModel):
    """One page of units, by code."""

    items: list[ConcentrationItem]
    next_cursor: str | None


class CoreAccount(AnswerModel):
    """One of the fewest accounts that bring 80 % of a unit's freight."""

    account_no: str
    branch_code: str | None
    place: int
    amount_fen: int
    share: float | None
    cumulative_share: float | None = Field(description="Share of this account and all before it.")
    months: int = Field(description="Months that the fluctuation is of: the last twelve, since the opening.")
    mean_fen: int
    fluctuation: float | None = Field(
        description="Coefficient of variation: standard deviation over mean; null for one month or none with freight."
    )
    hangs_on: Literal["one", "several", "no_contact", "no_data"] = Field(
        description="How many people made its contacts of those months; no_data where somebody has no opaque id."
    )
    staff_id: Id | None = Field(description="The one person, by an id that says nothing outside the directory of staff.")


class Pareto(AnswerModel):
    """The core accounts of a unit, the largest first, one page of them."""

    unit_code: str
    month: MonthText | None = Field(description="Null before the first close.")
    accounts: int
    core_accounts: int
    freight_fen: int
    core_share: float | None = Field(description="The smallest share of accounts that brings 80 % of the freight.")
    items: list[CoreAccount]
    next_cursor: str | None
