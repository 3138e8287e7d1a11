"""A document as JSON: the values themselves (fen, not yuan), for machines."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from services.tiering.rendering.document import Chart, Column, Document, Section, Table
from services.tiering.rendering.figures import clean, known
from shared.clock import shanghai

READERS: dict[str, Callable[[str], Any]] = {"day": date.fromisoformat, "instant": datetime.fromisoformat}


def render(document: Document) -> str:
    """Render a document; instants are RFC 3339 with +08:00, what is not known is null."""
    return json.dumps(plain(document), ensure_ascii=False, separators=(",", ":"))


def read(content: Mapping[str, Any]) -> Document:
    """Return the document that was rendered. Raises KeyError or ValueError where it was none."""
    sections = [
        Section(one["heading"], one["paragraphs"], list(map(_table, one["tables"])), [Chart(**chart) for chart in one["charts"]])
        for one in content["sections"]
    ]
    return Document(content["title"], content["subtitle"], content["notes"], sections)


def _table(content: Mapping[str, Any]) -> Table:
    columns = [Column(**column) for column in content["columns"]]
    readers = [READERS.get(column.kind) for column in columns]
    rows = [
        [reader(value) if reader is not None and value is not None else value for reader, value in zip(readers, row, strict=True)]
        for row in content["rows"]
    ]
    return Table(content["title"], columns, rows)


def plain(value: Any) -> Any:
    """Return a document, or a part of one, as lists, mappings and plain values."""
    value = known(value)
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, datetime):
        return shanghai(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, Sequence) else value
