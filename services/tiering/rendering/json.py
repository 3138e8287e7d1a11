"""A document as JSON: the values themselves (fen, not yuan), for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from services.tiering.rendering.document import Document
from services.tiering.rendering.figures import clean, known
from shared.clock import shanghai


def render(document: Document) -> str:
    """Render a document; instants are RFC 3339 with +08:00, what is not known is null."""
    return json.dumps(plain(document), ensure_ascii=False, separators=(",", ":"))


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
