"""What callers receive of a document: the values themselves, for tables and charts of their own."""

from typing import Any, Literal

from pydantic import Field

from shared.schemas import AnswerModel

ColumnKind = Literal["text", "fen", "count", "percent", "day", "instant"]


class ColumnRead(AnswerModel):
    """A column of a table."""

    name: str
    label: str
    kind: ColumnKind = Field(description="What its cells are; fen are integers, 12.5 percent is 12.5.")


class TableRead(AnswerModel):
    """A table."""

    title: str
    columns: list[ColumnRead]
    rows: list[list[Any]] = Field(description="One cell per column; null is no data, never 0.")


class ChartRead(AnswerModel):
    """A chart."""

    kind: Literal["bar", "line", "pie"]
    title: str
    labels: list[str]
    series: dict[str, list[float | int | None]]
    unit: ColumnKind


class SectionRead(AnswerModel):
    """A part of a document."""

    heading: str
    paragraphs: list[str]
    tables: list[TableRead]
    charts: list[ChartRead]


class DocumentRead(AnswerModel):
    """A document."""

    title: str
    subtitle: str
    notes: list[str]
    sections: list[SectionRead]
