"""Events of the tiering service: the radar (异动雷达), which sees a movement coming before its month ends.

Topic `tiering.events`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Day, Instant, Month, PublicId, TotalFen, UnitCode, Version


class RadarState(Event):
    """The whole state of a radar alert after a daily run changed it."""

    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "account_no"

    alert_id: PublicId = Field(description='Made from ("radar", "season", account_no, month).')
    account_no: AccountNo = Field(description="Account on course for a movement.")
    month: Month = Field(description="Month that is running.")
    kind: Literal["fall_over_half", "zero_month"] = Field(description="Movement that it is heading for.")
    state: Literal["open", "cleared"] = Field(description="Whether it still heads there.")
    raised_on: Day = Field(description="Day since which it has been on course without a break.")
    judged_at: Instant = Field(description="Instant of the run that this event comes from.")
    previous_fen: TotalFen = Field(description="Freight of the month before in fen.")
    to_date_fen: TotalFen = Field(description="Freight of the month so far in fen, as that run saw it.")
    expected_fen: TotalFen = Field(description="What the season lets expect of the whole month, in fen.")
    projected_fen: TotalFen = Field(description="Where the month is heading, in fen.")
    season_explained: bool = Field(description="Whether the season alone explains where it is heading.")
    branch_code: UnitCode | None = Field(description="Branch of the account at the time, null where it has none.")
    district_code: UnitCode | None = Field(description="District of that branch, null where it has none.")
    version: Version = Field(description="Rises with every event of this alert, from 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A state is the same one when alert and version are."""
        return str(self.alert_id), self.version


class RadarRaised(RadarState):
    """An account is on course for a fall of more than half, or for a month without freight, days before the month ends."""

    TYPE: ClassVar[str] = "tiering.radar-raised.v1"


class RadarCleared(RadarState):
    """Freight has taken an account off that course."""

    TYPE: ClassVar[str] = "tiering.radar-cleared.v1"
