"""Bytes become an event, are skipped, or are unreadable with one line saying why; nothing else ever happens."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import INBOUND_TOPICS, TYPES, Delivery, FreightCharged, Record, Skipped, Unreadable, decode, headers_for

CHARGE: dict[str, Any] = {
    "charge_no": "CH-1",
    "version": 1,
    "waybill_no": "WB-1",
    "account_no": "A-1",
    "amount_fen": 1872,
    "charged_at": "2018-03-01T10:15:00+08:00",
}
SCAN: dict[str, Any] = {
    "waybill_no": "WB-1",
    "status": "DELIVERED",
    "occurred_at": "2018-03-01T10:15:00+08:00",
    "origin": {"city": "", "region": ""},
    "destination": {"city": "", "region": ""},
    "pieces": 1,
}
REQUIRED = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/billing", "ce_type": b"freight.charged.v1"}
STAMP = 1_519_870_500_000  # 2018-03-01T02:15:00Z


def record(
    data: Any = CHARGE,
    topic: str = "freight.events",
    timestamp: int = STAMP,
    more: Iterable[tuple[str, Any]] = (),
    **headers: Any,
) -> Record:
    """Return a record with the required headers, changed as said; a header that is None is left out."""
    value = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
    named = {**REQUIRED, **headers}
    return Record(topic, 2, 77, b"any key", value, [(k, v) for k, v in named.items() if v is not None] + list(more), timestamp)


def read(record: Record) -> Delivery[Any] | Skipped:
    return decode(record, TYPES, inbound=record.topic in INBOUND_TOPICS)


def delivered(record: Record) -> Delivery[Any]:
    delivery = read(record)
    assert isinstance(delivery, Delivery)
    return delivery


def assert_unreadable(record: Record, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as refused:
        read(record)
    assert "\n" not in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


def changed(**fields: Any) -> dict[str, Any]:
    return {**CHARGE, **fields}


def test_the_least_that_an_inbound_event_needs() -> None:
    delivery = delivered(record())
    assert delivery.event == FreightCharged.model_validate_json(json.dumps(CHARGE))
    assert (delivery.event_id, delivery.source, delivery.sequence) == ("1", "/billing", 0)
    assert (delivery.topic, delivery.partition, delivery.offset) == ("freight.events", 2, 77)
    assert delivery.time == datetime(2018, 3, 1, 2, 15, tzinfo=UTC)  # the record's timestamp


def test_the_instant_of_publication_is_ce_time_where_it_is_given() -> None:
    assert delivered(record(ce_time=b"2018-03-02T08:00:00.5+08:00")).time == datetime(2018, 3, 2, 0, 0, 0, 500_000, tzinfo=UTC)
    assert delivered(record(ce_time=b"2018-03-02T00:00:00Z", timestamp=-1)).time == datetime(2018, 3, 2, tzinfo=UTC)


def test_our_own_headers_are_read_back() -> None:
    event = FreightCharged.model_validate_json(json.dumps(CHARGE))
    time = datetime(2018, 3, 1, 3, tzinfo=UTC)
    headers = headers_for(
        event_id=event.event_id, source="/tms", type=event.TYPE, time=time, key=event.key(), sequence=9, trace="00-a-b-01"
    )
    delivery = delivered(Record(event.TOPIC, 0, 1, b"A-1", event.to_bytes(), headers, -1))
    assert delivery.event == event
    assert delivery == Delivery(event, str(event.event_id), "/tms", time, 9, event.TOPIC, 0, 1, FreightCharged)
    assert dict(headers)["ce_time"] == b"2018-03-01T11:00:00+08:00"
    assert dict(headers)["ce_dataschema"] == b"urn:express-crm:event:freight.charged.v1"


def test_unknown_fields_and_headers_are_ignored_even_doubled_or_unreadable() -> None:
    more = [("x", b"\xff"), ("x", None), ("ce_partitionkey", b"\xff"), ("ce_partitionkey", b""), ("ce_dataschema", b"\0")]
    delivery = delivered(record(changed(new_field={"deep": [1.5, None]}), more=more))
    assert delivery.event.amount_fen == 1872


@pytest.mark.parametrize("sequence", [b"", b"abc", b"-1", b"1.5", b"9" * 19, b"9" * 30, None, "٣".encode()])
def test_a_sequence_that_is_none_counts_as_0_on_inbound_topics(sequence: bytes | None) -> None:
    assert delivered(record(ce_sequence=sequence)).sequence == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(None, "tombstone", id="tombstone"),
        pytest.param(b"\xff\xfe{}", "not UTF-8", id="not UTF-8"),
        pytest.param(b'{"charge_no":"\xff"}', "not UTF-8", id="not UTF-8 in a text"),
        pytest.param(b'{"x":"\xed\xa0\x80"}', "not UTF-8", id="a surrogate in bytes"),
        pytest.param(b"hello", "not JSON", id="not JSON"),
        pytest.param(b'{"a":1} x', "not JSON", id="more after it"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(CHARGE).encode(), "byte order mark", id="byte order mark"),
        pytest.param(b"[]", "object|dictionary", id="a list"),
        pytest.param(b"null", "object|dictionary", id="null"),
        pytest.param(b"[" * 100_000, "not JSON", id="depth bomb, open"),
        pytest.param(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON", id="depth bomb, closed"),
        pytest.param(b'{"x":"' + b"a" * 300_000 + b'"}', "bytes, more than", id="300 kB"),
        pytest.param(b'{"x":' + b"9" * 10_000 + b"}", "not JSON", id="a number of 10,000 digits in a field that is ignored"),
    ],
)
def test_data_that_is_no_event(data: bytes | None, reason: str) -> None:
    assert_unreadable(record(data), reason)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount_fen": -1}, "amount_fen"),
        ({"amount_fen": "1872"}, "amount_fen"),
        ({"amount_fen": 18.72}, "amount_fen"),
        ({"amount_fen": 1872.0}, "amount_fen"),
        ({"amount_fen": True}, "amount_fen"),
        ({"amount_fen": None}, "amount_fen"),
        ({"amount_fen": [1]}, "amount_fen"),
        ({"amount_fen": 10**15 + 1}, "amount_fen"),
        ({"amount_fen": 2**63}, "amount_fen"),
        ({"amount_fen": 10**400}, "amount_fen"),
        ({"version": 0}, "version"),
        ({"version": 2**31}, "version"),
        ({"version": False}, "version"),
        ({"weight_grams": 2**63}, "weight_grams"),
        ({"weight_grams": -1}, "weight_grams"),
        ({"account_no": ""}, "account_no"),
        ({"account_no": "A-1\n"}, "account_no"),
        ({"account_no": "A" * 33}, "account_no"),
        ({"account_no": "A_1"}, "account_no"),
        ({"account_no": "Ａ1"}, "account_no"),
        ({"account_no": 1}, "account_no"),
        ({"charge_no": ""}, "charge_no"),
        ({"charge_no": "é"}, "charge_no"),
        ({"charge_no": "C" * 41}, "charge_no"),
        ({"waybill_no": "W\t1"}, "waybill_no"),
        ({"charged_at": "2018-03-01T10:15:00"}, "charged_at"),
        ({"charged_at": "2018-03-01"}, "charged_at"),
        ({"charged_at": "1519870500"}, "charged_at"),
        ({"charged_at": 1519870500}, "charged_at"),
        ({"charged_at": "9999-12-31T23:59:59Z"}, "charged_at"),
        ({"charged_at": "1999-12-31T23:59:59+08:00"}, "charged_at"),
        ({"charged_at": "2101-01-01T00:00:00+08:00"}, "charged_at"),
        ({"charged_at": "2018-02-29T00:00:00+08:00"}, "charged_at"),
        ({"charged_at": "2018-03-01T24:00:00+08:00"}, "charged_at"),
        ({"charged_at": "2018-03-01T10:15:00+99:00"}, "charged_at"),
        ({"charged_at": "20180301T101500+0800"}, "charged_at"),
    ],
)
def test_fields_of_the_wrong_type_or_beyond_their_limits(fields: dict[str, Any], reason: str) -> None:
    assert_unreadable(record(changed(**fields)), reason)


@pytest.mark.parametrize("field", CHARGE)
def test_a_field_that_is_missing(field: str) -> None:
    assert_unreadable(record({name: value for name, value in CHARGE.items() if name != field}), field)


@pytest.mark.parametrize(
    "instant", ["2000-01-01T00:00:00+08:00", "2100-12-31T23:59:59+08:00", "1999-12-31T16:00:00Z", "2020-02-29T23:59:59-03:00"]
)
def test_instants_at_the_edge_of_what_is_accepted(instant: str) -> None:
    assert delivered(record(changed(charged_at=instant))).event.charged_at == datetime.fromisoformat(instant)


@pytest.mark.parametrize("pieces", [0, -3, 1.0, "1", True, None, 2**31])
def test_pieces_are_a_whole_number_from_1(pieces: Any) -> None:
    assert_unreadable(record({**SCAN, "pieces": pieces}, "shipment.events", ce_type=b"shipment.status-changed.v1"), "pieces")


def test_a_status_that_rules_do_not_know_is_read() -> None:
    scan = record({**SCAN, "status": "清关中"}, "shipment.events", ce_type=b"shipment.status-changed.v1")
    assert delivered(scan).event.status == "清关中"


@pytest.mark.parametrize("status", ["", "S" * 41])
def test_a_status_has_1_to_40_characters(status: str) -> None:
    assert_unreadable(record({**SCAN, "status": status}, "shipment.events", ce_type=b"shipment.status-changed.v1"), "status")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a\\u0000b", "NUL"),
        (b"\\\\\\u0000", "NUL"),
        (b"a\0b", "not JSON"),
        (b"\\ud800", "not JSON"),
        (b"\\udc00x", "not JSON"),
        (b"\\ud800\\u0041", "not JSON"),
    ],
)
@pytest.mark.parametrize("field", [b"city", b"nobody_knows_me"])
def test_nul_and_lone_surrogates_are_refused_wherever_they_stand(field: bytes, text: bytes, reason: str) -> None:
    data = json.dumps({**SCAN, "origin": {"region": "", "city": "x", "nobody_knows_me": "x"}}).encode()
    data = data.replace(b'"' + field + b'": "x"', b'"' + field + b'": "' + text + b'"')
    assert text in data
    assert_unreadable(record(data, "shipment.events", ce_type=b"shipment.status-changed.v1"), reason)


def test_a_backslash_before_u0000_is_only_text() -> None:
    scan = {**SCAN, "origin": {"region": "", "city": "a\\u0000 NaN Infinity"}}
    delivery = delivered(record(scan, "shipment.events", ce_type=b"shipment.status-changed.v1"))
    assert delivery.event.origin.city == "a\\u0000 NaN Infinity"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e5"])
def test_numbers_that_are_no_fen(number: bytes) -> None:
    assert_unreadable(record(json.dumps(CHARGE).encode().replace(b"1872", number)), "NaN|amount_fen|not JSON")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"[1,NaN]", b'{"NaN":"\\"",  "y": -Infinity }'])
def test_what_is_no_json_number_is_refused_in_fields_that_are_ignored(number: bytes) -> None:
    assert_unreadable(record(json.dumps(CHARGE).encode()[:-1] + b', "x": ' + number + b"}"), "NaN")


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_header(name: str) -> None:
    assert_unreadable(record(**{name: None}), f"{name} is missing")
    assert_unreadable(record(more=[(name, REQUIRED[name])]), f"{name} appears more than once")
    assert_unreadable(record(**{name: b""}), name)
    assert_unreadable(record(**{name: b"a\0"}), name)
    assert_unreadable(record(**{name: b"\xff"}), name)
    assert_unreadable(record(**{name: b"\xed\xa0\x80"}), name)
    assert_unreadable(record(**{name: b"x" * 256}), name)
    assert_unreadable(record(**{name: None}, more=[(name, None)]), f"{name} is missing")


@pytest.mark.parametrize("version", [b"0.3", b"1", b"1.0 ", b"2.0"])
def test_another_cloudevents_version(version: bytes) -> None:
    assert_unreadable(record(ce_specversion=version), "ce_specversion is not 1.0")


@pytest.mark.parametrize(
    "time", [b"", b"yesterday", b"2018-03-01T10:15:00", b"9999-12-31T23:59:59Z", b"\xff", b"a\0", b"1519870500"]
)
def test_a_ce_time_that_is_none(time: bytes) -> None:
    assert_unreadable(record(ce_time=time), "ce_time")


@pytest.mark.parametrize("timestamp", [-1, 0, 4_133_980_800_000_000, 2**63 - 1, -(2**63)])
def test_without_ce_time_and_without_a_sane_timestamp(timestamp: int) -> None:
    assert_unreadable(record(timestamp=timestamp), "timestamp")


@pytest.mark.parametrize("event_type", [b"freight.charged.v2", b"freight.refunded.v1", b"shipment.status-changed.v1", b"x\ny"])
def test_an_unknown_type_or_version_on_an_inbound_topic_is_unreadable(event_type: bytes) -> None:
    assert_unreadable(record(ce_type=event_type), "not one that freight.events carries")


@pytest.mark.parametrize("event_type", ["tiering.movement-detected.v2", "tiering.score-changed.v1", "freight.charged.v1"])
def test_an_unknown_type_or_version_on_our_own_topics_is_skipped_whatever_it_holds(event_type: str) -> None:
    assert read(record(b"\xff", "tiering.events", ce_type=event_type.encode())) == Skipped(event_type)


def test_a_type_without_subscription_is_skipped_on_our_own_topics() -> None:
    closed = record({}, "tiering.events", ce_type=b"tiering.month-closed.v1")
    assert decode(closed, {}, inbound=False) == Skipped("tiering.month-closed.v1")


def test_on_our_own_topics_time_and_sequence_are_required() -> None:
    data = {"month": "2018-03", "quarter": "2018-Q1", "closed_at": "2018-04-01T00:30:00+08:00", "accounts": 1}
    headers = {"ce_type": b"tiering.month-closed.v1", "ce_time": b"2018-04-01T00:30:00+08:00", "ce_sequence": b"7"}
    assert delivered(record(data, "tiering.events", **headers)).sequence == 7
    assert_unreadable(record(data, "tiering.events", **{**headers, "ce_time": None}), "ce_time is missing")
    for sequence in (None, b"", b"x", b"9" * 19):
        assert_unreadable(record(data, "tiering.events", **{**headers, "ce_sequence": sequence}), "ce_sequence")


def test_the_reason_never_says_what_the_publisher_wrote() -> None:
    with pytest.raises(Unreadable) as refused:
        read(record(changed(account_no="call 13800000000\nplease")))
    assert "138" not in str(refused.value)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
fields = st.sampled_from([*CHARGE, *SCAN, "x"])
objects = st.dictionaries(fields, scalars | st.lists(scalars, max_size=3), max_size=10)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted({*TYPES, "x", ""})),
    st.sampled_from(["freight.events", "shipment.events", "tiering.events"]),
    st.binary(max_size=300) | objects.map(lambda d: json.dumps({**CHARGE, **SCAN, **d}).encode()) | st.none(),
    st.lists(
        st.tuples(st.sampled_from([*REQUIRED, "ce_time", "ce_sequence", "x"]), st.binary(max_size=40) | st.none()), max_size=4
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)
def test_whatever_arrives_is_delivered_skipped_or_unreadable(
    event_type: str, topic: str, data: bytes | None, more: list[tuple[str, bytes | None]], timestamp: int, replace: bool
) -> None:
    base = {**REQUIRED, "ce_type": event_type.encode()}
    headers = list({**base, **dict(more)}.items()) if replace else [*base.items(), *more]
    outcome: object
    try:
        outcome = read(Record(topic, 0, 0, None, data, headers, timestamp))
    except Unreadable as error:
        outcome = error
    assert isinstance(outcome, Delivery | Skipped | Unreadable)
    assert str(outcome).isprintable()
