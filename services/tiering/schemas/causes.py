"""What callers send and receive of causes."""

from typing import Any, Literal

from pydantic import Field

from shared.schemas import AnswerModel, Id, Instant, MonthText, StrictModel

Verdict = Literal["confirmed", "refuted"]


class CauseItem(AnswerModel):
    """Why freight moved, as the shipper said it or as the facts suggest."""

    cause_id: Id
    month: MonthText
    cause: str = Field(description="A code, such as late_parcels, price_rise, product_dropped, route_lost, season.")
    origin: Literal["asked", "inferred"]
    evidence: dict[str, Any] = Field(description="What it rests on: figures, and ids of contacts, tickets, charges or parcels.")
    state: Literal["proposed", "confirmed", "refuted"]
    found_at: Instant
    judged_at: Instant | None
    judged_by: str | None


class CauseList(AnswerModel):
    """The causes of one movement."""

    movement_id: Id
    account_no: str
    items: list[CauseItem]


class CauseVerdict(StrictModel):
    """What a person says of an inferred cause."""

    verdict: Verdict


class CauseQuality(AnswerModel):
    """How often an inferred cause was right."""

    cause: str
    inferred: int
    confirmed: int
    refuted: int
    hit_rate: float | None = Field(description="Confirmed of those that people judged; null where nobody has.")
    asked_too: int = Field(description="Of the same movement the shipper named a cause.")
    agreed: int = Field(description="And it was this one.")


class CausesQuality(AnswerModel):
    """The hit rate of inferred causes, by cause."""

    first: MonthText = Field(alias="from")
    to: MonthText
    items: list[CauseQuality]
