"""Money (金额): integer fen (分, 1/100 yuan) everywhere, text in yuan only at the edge, float nowhere. All of it is pure."""

import re
from decimal import Decimal

MAX_AMOUNT_FEN = 10**15
"""The largest amount of one charge, in fen (ten trillion yuan): far above any bill, and sums of thousands still fit a bigint."""

_USUAL = re.compile(r"([0-9]{1,12})(?:\.([0-9]{2}))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def fen_from_text(text: str) -> int:
    """Return the fen of an amount written in yuan: `"12.34"` gives 1234, `"12.340"` too.

    Raises ValueError with one sentence saying why the amount cannot be read: empty, not a number, not finite, negative,
    finer than a fen, or above MAX_AMOUNT_FEN. Spaces around it are ignored; thousands separators are not numbers.
    """
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        return int(usual[1]) * 100 + int(usual[2] or 0)
    text = text.strip()
    if not text:
        raise ValueError("the amount is empty")
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("the amount is not finite")
    if len(text) > 64 or not _NUMBER.fullmatch(text):
        raise ValueError("the amount is not a decimal number")
    yuan = Decimal(text)
    if yuan < 0:
        raise ValueError("the amount is negative")
    if yuan and yuan.adjusted() > 15:  # before any arithmetic: 1E+999 would be a number of a thousand digits
        raise ValueError("the amount is too large")
    if yuan and yuan.adjusted() < -2:
        raise ValueError("the amount is finer than a fen")
    numerator, denominator = yuan.as_integer_ratio()
    fen, finer = divmod(numerator * 100, denominator)
    if finer:
        raise ValueError("the amount is finer than a fen")
    if fen > MAX_AMOUNT_FEN:
        raise ValueError("the amount is too large")
    return fen


def yuan_text(fen: int) -> str:
    """Return fen as yuan with two digits: 1234 gives `12.34`, -5 gives `-0.05`."""
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02d}"
