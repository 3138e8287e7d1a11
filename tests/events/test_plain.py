"""Data that is told at sight to be a charge: never anything that pydantic refuses, never with another meaning."""

import json
import random
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.events import FreightCharged
from shared.events.fields import Instant, plain_instant
from shared.events.freight import _read_plain

CHARGE: dict[str, Any] = {
    "charge_no": "CH-1",
    "version": 1,
    "waybill_no": "WB-1",
    "account_no": "A-1",
    "amount_fen": 1872,
    "charged_at": "2018-03-01T10:15:00+08:00",
    "product": "std",
    "weight_grams": 900,
}
INSTANT = TypeAdapter(Instant)
INSTANTS = [
    "2018-02-29T00:00:00Z",
    "2018-03-01T24:00:00+08:00",
    "2018-03-01T23:59:60Z",
    "2018-03-01T10:15:00.123456789Z",
    "2018-03-01T10:15:00.9999999Z",
    "2018-03-01t10:15:00z",
    "2018-03-01 10:15:00Z",
    "2018-03-01T10:15:00+0800",
    "2018-03-01T10:15:00+15:00",
    "2018-W09-4T10:15:00Z",
    "20180301T101500+0800",
    "2000-01-01T00:00:00+08:00",
    "2100-12-31T23:59:59+08:00",
    "1519870500",
]
ODD = [
    *(None, True, False, 0, -0, -1, 1, 1.0, 1e3, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**15, 10**15 + 1, 10**400, [], {}, [1]),
    *("", "a", "a" * 32, "a" * 33, "a" * 40, "a" * 41, "A_1", "-", "a-", "é", "Ａ", "\x7f", "\t", "a\\", "\\u0041", "null", "1"),
    *INSTANTS,
]


def agrees(text: str) -> bool:
    """Say whether the text is plain; if it is, pydantic must read it, and read the same."""
    if not FreightCharged.is_plain(text):
        return False
    event = FreightCharged.model_validate_json(text)
    plain = _read_plain(text)
    instant = plain_instant(plain.charged_at)
    assert instant is not None
    assert {name: getattr(plain, name) for name in CHARGE} | {"charged_at": instant} == event.model_dump()
    assert instant.utcoffset() == event.charged_at.utcoffset()
    return True


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_usual_charges_are_plain_in_any_order_of_their_fields(separators: tuple[str, str]) -> None:
    fields = list(CHARGE.items())
    for seed in range(20):
        random.Random(seed).shuffle(fields)
        assert agrees(json.dumps(dict(fields), separators=separators))
    assert agrees(json.dumps({name: value for name, value in CHARGE.items() if name not in ("product", "weight_grams")}))
    assert agrees(json.dumps(CHARGE | {"product": None, "weight_grams": None}))
    assert agrees(FreightCharged(**CHARGE | {"charged_at": datetime.fromisoformat(CHARGE["charged_at"])}).to_bytes().decode())


@pytest.mark.parametrize("field", [*CHARGE, "unknown"])
def test_every_odd_value_of_every_field_agrees(field: str) -> None:
    for value in ODD:
        agrees(json.dumps(CHARGE | {field: value}))
        agrees(json.dumps(CHARGE | {field: value}, ensure_ascii=False))
    for number in ("1.0", "1e0", "01", "+1", "-0", "0x1", "NaN", "1_0", "Infinity"):
        agrees(json.dumps(CHARGE | {field: "@"}).replace('"@"', number))
    doubled = json.dumps(CHARGE)[:-1]
    for value in ODD:
        agrees(f"{doubled}, {json.dumps(field)}: {json.dumps(value)}}}")


@settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(st.sampled_from([*CHARGE, "x"]), st.sampled_from(ODD), max_size=2),
    st.lists(
        st.tuples(st.integers(0, 250), st.integers(0, 2), st.sampled_from([*' "\\{}[]:,.0123456789eE+-TZnulAW\n\t\x7fé'])),
        max_size=2,
    ),
)
def test_mutilated_charges_agree(fields: dict[str, Any], cuts: list[tuple[int, int, str]]) -> None:
    text = json.dumps(CHARGE | fields)
    for place, length, character in cuts:
        text = text[:place] + character + text[place + length :]
    agrees(text)


@settings(max_examples=1500)
@given(
    st.from_regex(
        r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-6][0-9])\Z"
    )
)
def test_instants_are_read_as_pydantic_reads_them(text: str) -> None:
    instant = plain_instant(text)
    if instant is not None:
        assert INSTANT.validate_json(json.dumps(text)) == instant


@settings(max_examples=3000, deadline=None)
@given(
    st.sampled_from(["2018-03-01T10:15:00+08:00", "2018-03-01T10:15:00Z", "2018-W09-4T10:15:00Z", "2018-03-01T101500.0+08:00"]),
    st.lists(st.tuples(st.integers(0, 24), st.sampled_from([*"0123459-+:TWZ. té\u0663"])), min_size=1, max_size=3),
)
def test_mutilated_instants_are_read_as_pydantic_reads_them(text: str, changes: list[tuple[int, str]]) -> None:
    for place, character in changes:
        text = text[:place] + character + text[place + 1 :]
    instant = plain_instant(text)
    if instant is not None:
        assert INSTANT.validate_json(json.dumps(text)) == instant


@pytest.mark.parametrize("text", INSTANTS)
def test_rare_instants_are_left_to_pydantic(text: str) -> None:
    assert plain_instant(text) is None


def test_padding_is_not_plain() -> None:
    text = json.dumps(CHARGE)
    assert not FreightCharged.is_plain(text + " " * 1_000)
    with pytest.raises(ValidationError):
        FreightCharged.model_validate_json("{")
