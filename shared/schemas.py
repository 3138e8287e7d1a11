"""Wire types that several services share: months, quarters, instants, codes, and the strict base of request bodies."""

import re
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


INSTANT = (
    r"^(20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
)
DAY = r"^(20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
ID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


def _shaped(pattern: str, wanted: str) -> BeforeValidator:
    """Take text of one shape only: pydantic alone would read "0.5" as an instant, and a date of the year 1."""
    shape = re.compile(pattern)

    def check(value: Any) -> Any:
        if isinstance(value, date | UUID) or (isinstance(value, str) and len(value) <= 40 and shape.fullmatch(value)):
            return value
        raise ValueError(wanted)

    return BeforeValidator(check)


def instant_text(value: datetime) -> str:
    """Render an instant as RFC 3339 with +08:00."""
    return shanghai(value).isoformat()


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    _shaped(INSTANT, "an instant with its offset is wanted, like 2018-04-01T00:30:00+08:00 (in an address + is written %2B)"),
    PlainSerializer(instant_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT, "examples": ["2018-04-01T00:30:00+08:00"]}),
]
"""An instant; as input any offset, as output +08:00."""
Day = Annotated[
    date,
    Field(strict=False),
    _shaped(DAY, "a day is wanted, like 2018-03-01"),
    WithJsonSchema({"type": "string", "format": "date", "pattern": DAY, "examples": ["2018-03-01"]}),
]
"""A business day, 'YYYY-MM-DD'."""
Id = Annotated[
    UUID,
    Field(strict=False),
    _shaped(ID, "an id is wanted, like 759310e8-7afd-8d3e-8738-37c590aac631"),
    WithJsonSchema({"type": "string", "format": "uuid"}),
]
"""A public id."""


def free_text(longest: int) -> StringConstraints:
    """Constrain text that people write: trimmed, 1 to `longest` characters, not only white space.

    The pattern says the last in the OpenAPI document too, which a trimmed `min_length` cannot.
    """
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest, pattern=r"\S")


class StrictModel(BaseModel):
    """Base of request bodies: unknown members and values of a wrong type are refused; nothing is guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AnswerModel(BaseModel):
    """Base of answers: read from mappings, rows or objects."""

    model_config = ConfigDict(from_attributes=True)
