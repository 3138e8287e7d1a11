"""Wire types that several services share: months, quarters, instants, codes, and the strict base of request bodies."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints
from pydantic.json_schema import WithJsonSchema

from shared.clock import shanghai

MonthText = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$"), Field(examples=["2018-03"])]
"""A business month, 'YYYY-MM'."""
QuarterText = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-Q[1-4]$"), Field(examples=["2018-Q1"])]
"""A quarter, 'YYYY-Qn'."""
AccountNo = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,32}$"), Field(examples=["7551234567"])]
"""A settlement account's number."""
UnitCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"), Field(examples=["BR-SP"])]
"""An organisation unit's code."""
WaybillNo = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,40}$"), Field(examples=["SF1234567890123"])]
"""A parcel's number, 1-40 printable ASCII characters."""
Int8 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What PostgreSQL's bigint holds."""


def _text_only(value: Any) -> Any:
    if not isinstance(value, str | date | UUID):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic turns a ValueError into a 422
    return value


def _within_century(value: datetime) -> datetime:
    if not 2000 <= value.year <= 2100:
        raise ValueError("must lie in 2000-2100")
    return value


def instant_text(value: datetime) -> str:
    """Render an instant as RFC 3339 with +08:00."""
    return shanghai(value).isoformat()


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_text_only),
    PlainSerializer(instant_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2018-04-01T00:30:00+08:00"]}),
]
"""An instant; as input any offset, as output +08:00."""
Day = Annotated[date, Field(strict=False), BeforeValidator(_text_only)]
"""A business day, 'YYYY-MM-DD'."""
Id = Annotated[UUID, Field(strict=False), BeforeValidator(_text_only)]
"""A public id."""


class StrictModel(BaseModel):
    """Base of request bodies: unknown members and values of a wrong type are refused; nothing is guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AnswerModel(BaseModel):
    """Base of answers: read from mappings, rows or objects."""

    model_config = ConfigDict(from_attributes=True)
