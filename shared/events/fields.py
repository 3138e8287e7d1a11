"""The building blocks of every event: codes, amounts, instants and months, each with its limits and form on the wire.

Reading is strict: a number is never text, an amount never has a fraction, a boolean is no number. The limits are part
of the public contract and appear in the exported JSON Schemas.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from shared.clock import SHANGHAI, shanghai_text
from shared.money import MAX_AMOUNT_FEN
from shared.months import month_text, parse_month, parse_quarter, quarter_start, quarter_text

INT8_MAX = 2**63 - 1
INT4_MAX = 2**31 - 1
FIRST_INSTANT = datetime(2000, 1, 1, tzinfo=SHANGHAI)
END_OF_INSTANTS = datetime(2101, 1, 1, tzinfo=SHANGHAI)
"""Instants lie in the years 2000 to 2100 of Asia/Shanghai, both included; what says otherwise is a broken clock."""

_INSTANT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_DAY_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
_QUARTER_PATTERN = r"^[0-9]{4}-Q[1-4]$"


def _instant(strict: bool) -> CoreSchema:
    return core_schema.datetime_schema(strict=strict, tz_constraint="aware", ge=FIRST_INSTANT, lt=END_OF_INSTANTS)


def _from_text(pattern: str, inner: CoreSchema) -> CoreSchema:
    return core_schema.chain_schema([core_schema.str_schema(strict=True, pattern=pattern), inner])


INSTANT_TEXT = _from_text(_INSTANT_PATTERN, _instant(strict=False))
"""Core schema of an RFC 3339 text: without the pattern pydantic would also take a number of seconds in quotes."""


_PLAIN_INSTANT = re.compile(
    r"20(?:0[1-9]|[1-9][0-9])-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{3}|\.[0-9]{6})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
).fullmatch


def plain_instant(text: str) -> datetime | None:
    """Return the instant that a usual RFC 3339 text of the years 2001-2099 says, in 0.4 of the time that pydantic takes.

    None is no verdict: the text may still be an instant in a form that is rare.
    """
    if _PLAIN_INSTANT(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # 30 February
        return None


class _Wire:
    """Reads a value from text on the wire and takes the Python value itself in code; says its own JSON Schema."""

    def __init__(self, wire: CoreSchema, python: CoreSchema, described: JsonSchemaValue) -> None:
        self._schema = core_schema.json_or_python_schema(wire, python)
        self._described = described

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self._schema

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self._described)


def _period(parse: Callable[[str], date], start: Callable[[date], date]) -> CoreSchema:
    cached = lru_cache(maxsize=4096)(parse)

    def read(value: Any) -> date:
        if type(value) is date and start(value) == value:
            return value
        if isinstance(value, str):
            return cached(value)
        raise ValueError("a month or quarter is text or the date of its first day")

    return core_schema.no_info_plain_validator_function(read)


_MONTH_SCHEMA = _period(parse_month, lambda day: day.replace(day=1))
_QUARTER_SCHEMA = _period(parse_quarter, quarter_start)

Instant = Annotated[
    datetime,
    _Wire(
        INSTANT_TEXT,
        _instant(strict=True),
        {"type": "string", "format": "date-time", "pattern": _INSTANT_PATTERN},
    ),
    PlainSerializer(shanghai_text, return_type=str, when_used="json"),
]
"""An instant with an offset, in 2000-2100; RFC 3339 text on the wire, +08:00 where it is ours."""

Day = Annotated[
    date,
    _Wire(
        _from_text(_DAY_PATTERN, core_schema.date_schema(strict=False)),
        core_schema.date_schema(strict=True),
        {"type": "string", "format": "date", "pattern": _DAY_PATTERN},
    ),
]
"""A business day of Asia/Shanghai; `2018-03-31` on the wire."""

Month = Annotated[
    date,
    _Wire(_MONTH_SCHEMA, _MONTH_SCHEMA, {"type": "string", "pattern": _MONTH_PATTERN}),
    PlainSerializer(month_text, return_type=str, when_used="json"),
]
"""A business month: the date of its first day in code, `2018-03` on the wire."""

Quarter = Annotated[
    date,
    _Wire(_QUARTER_SCHEMA, _QUARTER_SCHEMA, {"type": "string", "pattern": _QUARTER_PATTERN}),
    PlainSerializer(quarter_text, return_type=str, when_used="json"),
]
"""A quarter: the date of the first day of its first month in code, `2018-Q1` on the wire."""

PublicId = UUID
"""A public id: a UUIDv8 made from a natural key (`shared.ids.natural_id`), so that a replay gives the same one."""

AccountNo = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,32}$")]
"""The number of a settlement account."""

Number = Annotated[str, Field(pattern=r"^[ -~]{1,40}$")]
"""A waybill or charge number, or a code of another system: 1-40 printable ASCII characters."""

UnitCode = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,40}$")]
"""The code of a unit of the organisation: 1-40 characters without control characters."""

Place = Annotated[str, Field(max_length=80)]
"""A city or region as the publisher writes it, never an address; empty where it is not known."""

AmountFen = Annotated[int, Field(ge=0, le=MAX_AMOUNT_FEN)]
"""The amount of one charge or declaration, in fen."""

TotalFen = Annotated[int, Field(ge=0, le=INT8_MAX)]
"""A sum of charges, in fen."""

ChangeFen = Annotated[int, Field(ge=-INT8_MAX, le=INT8_MAX)]
"""By how much a sum changed, in fen; negative where it fell."""

Grams = Annotated[int, Field(ge=0, le=INT8_MAX)]
"""A weight in grams."""

Version = Annotated[int, Field(ge=1, le=INT4_MAX)]
"""Which statement about a thing this is: the highest one stands, whichever comes first."""

Count = Annotated[int, Field(ge=0, le=INT8_MAX)]
"""How many."""
