"""A report as it is kept (存档): a document as plain JSON and back, its digest, and as a file of the wanted format."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Literal

import orjson

from services.tiering.rendering import csv, html, pdf, xlsx
from services.tiering.rendering import json as plain_json
from services.tiering.rendering.document import Chart, Column, Document, Section, Table, Value

Format = Literal["html", "pdf", "xlsx", "csv", "json"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Mapping[Format, str] = {
    "html": "text/html",
    "pdf": "application/pdf",
    "xlsx": XLSX,
    "csv": "text/csv",
    "json": "application/json",
}
_READERS: Mapping[str, Callable[[str], date]] = {"day": date.fromisoformat, "instant": datetime.fromisoformat}


def to_plain(document: Document) -> dict[str, Any]:
    """Return a document as JSON has it."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return plain


def from_plain(plain: Mapping[str, Any]) -> Document:
    """Return the document that was kept; days and instants are what their columns say."""
    return Document(plain["title"], plain["subtitle"], tuple(plain["notes"]), tuple(_section(one) for one in plain["sections"]))


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of content, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def rendered(document: Document, wanted: Format, table: int = 1) -> bytes:
    """Return a document as a file. CSV holds one of its tables, counted from 1; a table that there is not is the last one."""
    if wanted == "csv":
        tables = [one for section in document.sections for one in section.tables]
        return csv.render(tables[min(table, len(tables)) - 1]).encode("utf-8-sig") if tables else b""
    made: dict[str, Callable[[Document], str | bytes]] = {
        "html": html.render,
        "pdf": pdf.render,
        "xlsx": xlsx.render,
        "json": plain_json.render,
    }
    content = made[wanted](document)
    return content.encode() if isinstance(content, str) else content


def format_for(accept: str) -> Format:
    """Return the first format that an Accept header names; HTML where it names none of ours."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    found = (wanted for media in named for wanted, ours in MEDIA_TYPES.items() if media == ours)
    return next(found, "html")


def _section(plain: Mapping[str, Any]) -> Section:
    return Section(
        plain["heading"],
        tuple(plain["paragraphs"]),
        tuple(_table(one) for one in plain["tables"]),
        tuple(Chart(**one) for one in plain["charts"]),
    )


def _table(plain: Mapping[str, Any]) -> Table:
    columns = tuple(Column(**one) for one in plain["columns"])
    rows = [[_value(value, column) for value, column in zip(row, columns, strict=True)] for row in plain["rows"]]
    return Table(plain["title"], columns, rows)


def _value(value: Value, column: Column) -> Value:
    read = _READERS.get(column.kind)
    return read(value) if read is not None and isinstance(value, str) else value
