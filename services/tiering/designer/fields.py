"""What a field of a dataset is (字段): its kind, where it comes from, and how its values are read and shown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import ColumnElement, Date, cast, func, literal_column

from services.tiering.rendering.document import Kind
from shared.months import month_text, parse_month, parse_quarter, quarter_text

FieldKind = Literal["text", "fen", "count", "percent", "day", "instant", "month", "quarter", "flag"]
NUMBERS: frozenset[FieldKind] = frozenset({"fen", "count", "percent"})
GROUPABLE: frozenset[FieldKind] = frozenset({"text", "day", "month", "quarter", "flag"})
TIMES: frozenset[FieldKind] = frozenset({"day", "month", "quarter"})
LONGEST_TEXT = 100


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a report may group by, measure or filter; `source` says which column it is."""

    name: str
    label: str
    kind: FieldKind
    source: str
    column: ColumnElement[Any]


def field(name: str, label: str, kind: FieldKind, column: Any) -> Field:
    """Make a field that is a column of a table."""
    return Field(name, label, kind, f"{column.table.name}.{column.name}", column)


def month_of(name: str, label: str, column: Any) -> Field:
    """Make the business month (Asia/Shanghai) of an instant."""
    # Written out, not bound: PostgreSQL takes an expression with parameters for another one where it groups by it.
    month = cast(func.date_trunc(literal_column("'month'"), func.timezone(literal_column("'Asia/Shanghai'"), column)), Date)
    return Field(name, label, "month", f"{column.table.name}.{column.name}", month)


def read_value(kind: FieldKind, value: Any) -> Any:
    """Return a filter's value as the database takes it. Raises ValueError with one sentence where it is of another type."""
    if kind == "flag":
        if isinstance(value, bool):
            return value
        raise ValueError("true or false is wanted")
    if kind in NUMBERS:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValueError("a whole number is wanted" + (" (fen)" if kind == "fen" else ""))
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"text of at most {LONGEST_TEXT} characters is wanted")
    return READERS[kind](value)


def _read_day(value: str) -> date:
    day = date.fromisoformat(value)
    if not 2000 <= day.year <= 2100 or len(value) != 10:
        raise ValueError("a day is written YYYY-MM-DD, such as 2018-03-31")
    return day


def _read_instant(value: str) -> Any:
    raise ValueError("filter by the month of it, or by the period")


READERS: dict[FieldKind, Callable[[str], Any]] = {
    "text": str,
    "day": _read_day,
    "month": parse_month,
    "quarter": parse_quarter,
    "instant": _read_instant,
}


def shown_value(kind: FieldKind, value: Any) -> Any:
    """Return a value of the database as a cell of a document holds it."""
    if value is None:
        return None
    if kind == "month":
        return month_text(value)
    if kind == "quarter":
        return quarter_text(value)
    return ("是" if value else "否") if kind == "flag" else value


def cell_kind(kind: FieldKind) -> Kind:
    """Return what a column of such values is in a document."""
    return "text" if kind in ("month", "quarter", "flag") else kind  # type: ignore[return-value]
