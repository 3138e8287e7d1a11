"""How a value is written: for people (千分位, yuan, %) and for machines. All of it is pure."""

import math
import re
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from services.tiering.rendering.document import Kind
from shared.clock import shanghai
from shared.money import yuan_text

NO_DATA = "无数据"
NUMERIC: frozenset[Kind] = frozenset({"fen", "count", "percent"})
UNITS: dict[Kind, str] = {"fen": "元", "percent": "%", "count": "", "text": "", "day": "", "instant": ""}
# What no XML document may hold, what no UTF-8 can say, and the marks that turn neighbouring figures round (U+202E and its kind).
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_CENT = Decimal("0.01")


def clean(text: str) -> str:
    """Return text that every format can hold: what it cannot is shown as U+FFFD, never dropped in silence."""
    return _UNFIT.sub("\ufffd", text)


def known(value: Any) -> Any:
    """Return the value, None for a number that is none (NaN, infinity)."""
    return None if isinstance(value, float | Decimal) and not math.isfinite(value) else value


def in_unit(value: int | float | Decimal, kind: Kind) -> float:
    """Return a number as a chart or a worksheet holds it: fen in yuan, all others as they are."""
    return float(value / 100) if kind == "fen" else float(value)


def shown(value: Any, kind: Kind) -> str:
    """Write a cell for people: `1,234.50`, `12.5%`, `2018-03-31`, and "no data" where nothing is known."""
    value = known(value)
    if value is None:
        return NO_DATA
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int | float | Decimal):
        return _grouped(value, kind)
    return plain(value, kind)


def plain(value: Any, kind: Kind) -> str:
    """Write a cell for machines: `1234.50`, `12.5`, RFC 3339, and nothing where nothing is known."""
    value = known(value)
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shanghai(value).isoformat(" ", "seconds").removesuffix("+08:00")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return clean(value)
    return _yuan(value) if kind == "fen" else _number(value)


def width(text: str) -> int:
    """Return how many columns of Latin letters a text takes: a Chinese character takes two."""
    return sum(2 if ord(letter) >= 0x1100 else 1 for letter in text)


def shortened(text: str, longest: int) -> str:
    """Return a text of at most that many characters, with an ellipsis where something is left out."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _grouped(value: int | float | Decimal, kind: Kind) -> str:
    text = _yuan(value) if kind == "fen" else _number(value)
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}" + ("%" if kind == "percent" else "") if whole != "-0" else f"-0{dot}{rest}"


def _yuan(value: int | float | Decimal) -> str:
    return yuan_text(value if isinstance(value, int) else int(Decimal(str(value)).to_integral_value(ROUND_HALF_UP)))


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, int):
        return str(value)
    rounded = Decimal(str(value)).quantize(_CENT, ROUND_HALF_UP)
    return format(rounded.normalize(), "f") if rounded else "0"
