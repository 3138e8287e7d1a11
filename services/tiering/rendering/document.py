"""What a report says, apart from how it looks: sections with paragraphs, tables and charts. All of it is plain data.

A cell holds the value itself, never its text: fen and counts are integers, percents are numbers (12.5 is 12.5 %), days and
instants are `date` and `datetime`. None is "no data" and is shown as such, never as 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["text", "fen", "count", "percent", "day", "instant"]
ChartKind = Literal["bar", "line", "pie"]
Number = int | float | Decimal
Value = str | int | float | Decimal | date | datetime | None
"""One cell; a `datetime` carries its offset."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the name that machines read, the label that people read, and what its cells are."""

    name: str
    label: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table (表); every row has one cell per column."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]

    def __post_init__(self) -> None:
        width = len(self.columns)
        if any(len(row) != width for row in self.rows):
            raise ValueError(f"a row of the table {self.title!r} has not {width} cells")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart (图): one value per label in each series; None leaves a gap. A pie shows its first series.

    `unit` says what the values are; values of kind `fen` are fen here, too, and are drawn in yuan.
    """

    kind: ChartKind
    title: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[Number | None]]
    unit: Kind = "count"

    def __post_init__(self) -> None:
        if any(len(values) != len(self.labels) for values in self.series.values()):
            raise ValueError(f"a series of the chart {self.title!r} has not {len(self.labels)} values")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document under its own heading."""

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A report as it is handed over: `notes` say where the figures come from and what they are not."""

    title: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
