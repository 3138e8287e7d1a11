"""What callers receive of the radar."""

from typing import Literal

from pydantic import Field

from services.tiering.schemas.names import Kind
from services.tiering.schemas.standing import Basis
from shared.schemas import AnswerModel, Day, Id, Instant, MonthText

AlertState = Literal["open", "cleared"]


class RadarAlertItem(AnswerModel):
    """An account on course for a movement, and what it was judged on."""

    alert_id: Id
    account_no: str
    branch_code: str | None
    month: MonthText
    kind: Kind
    state: AlertState = Field(description="Cleared also where a charge of this second takes it off its course.")
    raised_on: Day = Field(description="Since when it has been on course without a break.")
    raised_at: Instant
    judged_at: Instant = Field(description="The daily run that the figures are of.")
    lead_days: int = Field(description="Days from raising to the month's close.")
    previous_fen: int = Field(description="Freight of the month before.")
    to_date_fen: int = Field(description="Freight of the month so far, at that run.")
    now_fen: int = Field(description="Freight of the month so far, now.")
    expected_fen: int = Field(description="What the season lets expect of the whole month.")
    expected_to_date_fen: int = Field(description="What should have come by then.")
    projected_fen: int = Field(description="Where the month is heading.")
    clear_from_fen: int = Field(description="From this amount on the alert no longer holds.")
    season_explained: bool = Field(description="Whether the season alone explains where it is heading: marked, never hidden.")
    basis: Basis
    policy_version: str


class RadarAlertList(AnswerModel):
    """One page of alerts, by account."""

    items: list[RadarAlertItem]
    next_cursor: str | None


class RuleQuality(AnswerModel):
    """What a rule's alerts were worth."""

    rule: Literal["season", "flat", "last_months_fall"]
    raised: int
    hits: int = Field(description="Alerts that a new movement of the month followed.")
    precision: float | None = Field(description="Hits of all raised.")
    recall: float | None = Field(description="Hits of all new movements.")
    lift: float | None = Field(description="Precision over the share of judged accounts that moved.")
    median_lead_days: float | None = Field(description="Days from raising to the close, of the hits.")


class RadarQuality(AnswerModel):
    """Precision, recall, lift and lead of the radar and of two plain rules, over closed months."""

    first: MonthText = Field(alias="from")
    to: MonthText
    months: int = Field(description="Closed months in which accounts were judged.")
    judged: int
    movements: int = Field(description="New movements by the plain rules: falls, and first months without freight.")
    rules: list[RuleQuality]
