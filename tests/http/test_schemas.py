"""Wire types take one shape of text each, and nothing that pydantic would guess."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.schemas import Day, Id, Instant, MonthText, QuarterText

RIGHT: list[tuple[Any, str, Any]] = [
    (Instant, "2018-04-01T00:30:00+08:00", datetime(2018, 3, 31, 16, 30, tzinfo=UTC)),
    (Instant, "2018-03-31T16:30:00Z", datetime(2018, 3, 31, 16, 30, tzinfo=UTC)),
    (Instant, "2100-12-31T23:59:59.999999-12:00", datetime(2101, 1, 1, 11, 59, 59, 999999, tzinfo=UTC)),
    (Day, "2020-02-29", date(2020, 2, 29)),
    (Id, "00000000-0000-8000-8000-00000000000F", UUID("00000000-0000-8000-8000-00000000000f")),
    (MonthText, "2018-12", "2018-12"),
    (QuarterText, "2018-Q4", "2018-Q4"),
]
NO_INSTANTS = """0.5|1522513800|2018-04-01|2018-04-01T00:30:00|2018-04-01 00:30:00Z|now|1999-12-31T23:59:59Z|2101-01-01T00:00:00Z
|9999-12-31T23:59:59Z|2018-02-30T00:00:00Z|2018-04-01T24:00:00Z|\u0662018-04-01T00:30:00Z"""
NO_IDS = ("urn:uuid:00000000-0000-8000-8000-00000000000f", "0" * 32, "{00000000-0000-8000-8000-00000000000f}", 5)
WRONG: list[tuple[Any, Any]] = [
    *((Instant, value) for value in NO_INSTANTS.replace("\n", "").split("|")),
    *((Instant, value) for value in (0, 1.5, None, True, "2018-04-01T00:30:00+08:00\n")),
    *((Day, value) for value in (0, "0", "2018-2-1", "2019-02-29", "2018-04-01T00:00:00Z", "0001-01-01")),
    *((Id, value) for value in NO_IDS),
    *((MonthText, value) for value in ("2018-13", "2018-00", "1999-01", "2018-1", "2018-01\n", "2018-01-01")),
    *((QuarterText, value) for value in ("2018-Q5", "2018-Q0", "2018Q1", "2018-Q1\n")),
]


@pytest.mark.parametrize(("kind", "value", "meant"), RIGHT)
def test_right(kind: Any, value: str, meant: Any) -> None:
    assert TypeAdapter(kind).validate_python(value) == meant


@pytest.mark.parametrize(("kind", "value"), WRONG)
def test_wrong(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_instants_leave_with_plus_eight() -> None:
    assert TypeAdapter(Instant).dump_json(datetime(2018, 3, 31, 16, 30, tzinfo=UTC)) == b'"2018-04-01T00:30:00+08:00"'
