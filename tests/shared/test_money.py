"""Decimal text becomes fen without float, and every refusal says why."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_AMOUNT_FEN, fen_from_text, yuan_text


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("12.34", 1234),
        ("0", 0),
        ("0.00", 0),
        ("-0.00", 0),
        ("0.01", 1),
        (".5", 50),
        ("7.", 700),
        ("+3.10", 310),
        (" 8.72 ", 872),
        ("12.340000", 1234),
        ("1E+2", 10_000),
        ("1234e-2", 1234),
        ("0e999", 0),
        ("0.29", 29),
        ("1.15", 115),
        ("10000000000000.00", MAX_AMOUNT_FEN),
    ],
)
def test_amounts_that_can_be_read(text: str, fen: int) -> None:
    assert fen_from_text(text) == fen


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("nan", "not finite"),
        ("NaN", "not finite"),
        ("inf", "not finite"),
        ("-Infinity", "not finite"),
        ("-0.01", "negative"),
        ("-1E-999", "negative"),
        ("0.001", "finer than a fen"),
        ("12.345", "finer than a fen"),
        ("1e-999", "finer than a fen"),
        ("10000000000000.01", "too large"),
        ("1e999", "too large"),
        ("1e999999999", "not a decimal number"),
        ("1,234.00", "not a decimal number"),
        ("1_000", "not a decimal number"),
        ("¥5", "not a decimal number"),
        ("１２", "not a decimal number"),
        ("0x10", "not a decimal number"),
        ("12.34.5", "not a decimal number"),
        (".", "not a decimal number"),
        ("sNaN", "not a decimal number"),
        ("9" * 100_000, "not a decimal number"),
    ],
)
def test_amounts_that_cannot_be_read_say_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fen_from_text(text)


@given(st.integers(0, MAX_AMOUNT_FEN))
def test_every_amount_is_read_as_it_is_written(fen: int) -> None:
    assert fen_from_text(yuan_text(fen)) == fen
    assert fen_from_text(str(Decimal(fen) / 100)) == fen


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_a_sentence(text: str) -> None:
    try:
        read: object = fen_from_text(text)
    except ValueError as error:
        read = str(error)
    if isinstance(read, str):
        assert read.startswith("the amount is ")
    else:
        assert read == Decimal(text.strip()) * 100


@pytest.mark.parametrize(
    ("fen", "text"), [(1234, "12.34"), (0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-1234, "-12.34"), (100, "1.00")]
)
def test_fen_are_shown_as_yuan(fen: int, text: str) -> None:
    assert yuan_text(fen) == text
