"""Events of the tiering service about scores (评分). Topic `tiering.events`."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Instant, Month, TotalFen, Version
from shared.months import month_text

Fifth = Annotated[int, Field(ge=1, le=5)]
Percent = Annotated[int, Field(ge=0, le=100)]


class ScoresChanged(Event):
    """A score that a reader shows changed: at a close, or because an event raised the churn risk or its effect faded."""

    TYPE: ClassVar[str] = "tiering.scores-changed.v1"
    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Account scored.")
    month: Month = Field(description="Closed month that the scores stand on.")
    version: Version = Field(description="Rises with every event of this account and month, from 1.")
    scored_at: Instant = Field(description="Instant of the run that scored the month.")
    recency_score: Fifth = Field(description="R: fifth of the whole organisation by how recently it shipped, 5 the best.")
    frequency_score: Fifth = Field(description="F: fifth by the charges of twelve months.")
    money_score: Fifth = Field(description="M: fifth by the freight of twelve months.")
    clv_fen: TotalFen = Field(description="Freight expected of the next twelve months, discounted, in fen.")
    churn_risk: Percent = Field(description="Risk to be lost, 0 to 100, events included.")
    forecast_fen: TotalFen = Field(description="Freight expected of the month after, in fen.")
    forecast_low_fen: TotalFen = Field(description="Lower end of the interval that holds four of five outcomes.")
    forecast_high_fen: TotalFen = Field(description="Upper end of it.")

    def identity(self) -> tuple[str | int, ...]:
        """Scores are the same when account, month and version are."""
        return self.account_no, month_text(self.month), self.version
