"""What callers receive of live standings."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import GradeName, Tier
from shared.schemas import AnswerModel, Instant, QuarterText

Basis = Literal["own", "branch", "calendar"]


class StandingNeighbour(AnswerModel):
    """Who stands next in the same rank."""

    account_no: str | None = Field(description="Null where the account lies outside the caller's unit, and for shippers.")
    amount_fen: int


class StandingProjection(AnswerModel):
    """Where the quarter is expected to end, if the account goes on so and all others at the season's pace."""

    amount_fen: int
    service_tier: Tier | None
    place: int | None
    contribution_grade: GradeName
    basis: Basis = Field(description="What the season rests on: the account's own earlier years, its branch, or the calendar.")


class Standing(AnswerModel):
    """Where an account stands in the running quarter, by its freight so far."""

    account_no: str
    quarter: QuarterText
    as_of: Instant
    branch_code: str | None
    district_code: str | None
    policy_version: str
    amount_fen: int = Field(description="Freight of the quarter so far, in fen.")
    service_tier: Tier | None = Field(description="The tier that the quarter would end with now.")
    place: int | None = Field(
        description="In the district for VIP, else in the branch among those who are not VIP; null without freight or branch."
    )
    contribution_grade: GradeName = Field(description="The grade that the quarter would end with now.")
    above: StandingNeighbour | None = Field(description="Who is one place above in the same rank; null for the first.")
    below: StandingNeighbour | None
    to_next_place_fen: int | None = Field(description="How much more takes the place above, a tie's rules included.")
    to_key_fen: int | None = Field(description="How much more makes it key; null where it is.")
    to_vip_fen: int | None = Field(description="How much more makes it VIP; null where it is, or where there are none.")
    to_gold_fen: int | None = Field(description="How much more the quarter needs for gold; null where it has it.")
    to_diamond_fen: int | None = Field(description="How much more the quarter needs for diamond; null where it has it.")
    projection: StandingProjection
