"""The envelope of every event: CloudEvents 1.0 in Kafka binary mode, and the one place where bytes become an event.

The data of an event is the record's value (JSON); what is true of every event stands in headers `ce_*`. Publishers are
closed: they write the fields of the exported schema and no other. Readers are open: they ignore fields and headers they
do not know, so that a newer publisher does not stop an older reader.

`decode` answers one of three ways and no other: a `Delivery`, a `Skipped`, or it raises `Unreadable` with one line
saying why, whatever bytes arrive. An unreadable record is parked with its bytes, a skipped one counted.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, ClassVar, Generic, NoReturn, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import SchemaValidator, ValidationError

from shared.clock import shanghai_text
from shared.events.fields import END_OF_INSTANTS, FIRST_INSTANT, INSTANT_TEXT, INT8_MAX, plain_instant
from shared.ids import natural_id

MAX_DATA_BYTES = 256 * 1024
"""The most data an event may have; the outbox refuses more, too."""

MAX_ATTRIBUTE_CHARACTERS = 255
"""The longest `ce_id` or `ce_source`: longer ones fit no index."""

INBOUND_TOPICS = frozenset({"shipment.events", "freight.events"})
"""Topics that anybody may publish to: there an unknown type is a publisher's mistake, on our own topics it is news."""


class Event(BaseModel, ABC):
    """A fact that one service publishes and others read: immutable, without names, phones, addresses or free text.

    A type says what happened and in which major version (`TYPE`), where it is published (`TOPIC`), and which field is
    its partition key (`KEY`); events of one key arrive in the order in which they were committed.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", validate_by_alias=True, validate_by_name=True)

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]

    @staticmethod
    def is_plain(text: str) -> bool:
        """Say cheaply of usual data that it is this event beyond doubt: then it is made only where somebody looks at it.

        False is no verdict, pydantic has the say then. An event of which there are many at once may override this; what it
        accepts must be accepted by pydantic too, with the same values, and mean the same to PostgreSQL's JSON functions.
        """
        return False

    def key(self) -> str:
        """Return the partition key as text."""
        return str(getattr(self, self.KEY))

    @abstractmethod
    def identity(self) -> tuple[str | int, ...]:
        """Return the natural key of this publication: the same fact published again has the same."""

    @property
    def event_id(self) -> UUID:
        """The `ce_id` of this publication, made from its type and identity."""
        return natural_id(self.TYPE, *self.identity())

    def to_bytes(self) -> bytes:
        """Return the data as it is published: compact JSON in UTF-8, all fields present, instants with +08:00."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)


E = TypeVar("E", bound=Event)


@dataclass(slots=True)
class Delivery(Generic[E]):
    """One arrival of an event; the same event may arrive again, at this position or another.

    `time` is the instant of publication. `sequence` rises per key on our own topics (0 where an inbound event has
    none): a read model ignores what is not greater than the one it has stored.
    """

    content: E | str
    """The event, or its plain data, as long as nobody has looked at it."""
    event_id: str
    source: str
    time: datetime
    sequence: int
    topic: str
    partition: int
    offset: int
    model: type[E]

    @property
    def event(self) -> E:
        """The event, made from plain data when it is first looked at."""
        content = self.content
        if isinstance(content, str):
            self.content = content = self.model.model_validate_json(content)
        return content

    @property
    def data(self) -> str:
        """The data as JSON, good in any case: as it arrived if it is plain, otherwise written anew."""
        return self.content if isinstance(self.content, str) else self.content.to_bytes().decode()


@dataclass(slots=True)
class Rejected(Generic[E]):
    """An event that can be read but breaks a rule; it is parked with the reason (one line, no personal data)."""

    delivery: Delivery[E]
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record of our own topics whose type this reader does not know or did not subscribe; it is counted."""

    type: str


class Unreadable(Exception):  # noqa: N818 - a verdict on a record, not a failure of ours
    """A record that no reader of this contract can read; `str()` is the reason in one line. It is parked."""


class KafkaRecord(Protocol):
    """What `decode` reads of a record: aiokafka's ConsumerRecord is one, `Record` another. `timestamp` is in ms."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def partition(self) -> int:
        """The partition, from 0."""
        ...

    @property
    def offset(self) -> int:
        """The position in the partition."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key as the publisher chose it."""
        ...

    @property
    def value(self) -> bytes | None:
        """The data; None is a tombstone."""
        ...

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """The headers in their order; a name may stand twice."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """A record as parking stores it, so that a retry reads the same bytes again. `timestamp` is in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int


def schema_uri(event_type: str) -> str:
    """Return the `ce_dataschema` of a type; its schema is the file `<type>.json` beside this module."""
    return f"urn:express-crm:event:{event_type}"


def headers_for(
    *,
    event_id: UUID | str,
    source: str,
    type: str,
    time: datetime,
    key: str,
    sequence: int,
    dataschema: str | None = None,
    trace: str | None = None,
) -> list[tuple[str, bytes]]:
    """Return the headers of a record in CloudEvents binary mode.

    `time` is the instant of publication, `key` the partition key, `sequence` the position in the order of the key;
    `dataschema` is `schema_uri(type)` unless said otherwise, `trace` the W3C traceparent of the change, if any.
    """
    said_source, said_type, said_schema = _said_of_all(source, type, dataschema)
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        said_source,
        said_type,
        ("ce_time", shanghai_text(time).encode()),
        ("ce_partitionkey", key.encode()),
        ("ce_sequence", b"%d" % sequence),
        said_schema,
    ]
    if trace:
        headers.append(("ce_traceparent", trace.encode()))
    return headers


@lru_cache(maxsize=1024)
def _said_of_all(source: str, type: str, dataschema: str | None) -> list[tuple[str, bytes]]:
    """Return the headers that all events of a source and type share."""
    said = {"ce_source": source, "ce_type": type, "ce_dataschema": dataschema or schema_uri(type)}
    return [(name, text.encode()) for name, text in said.items()]


_READ = frozenset({"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_sequence"})
_BACKSLASH, _N, _I = b"\\NI"
_NOT_JSON_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|NaN|Infinity', re.DOTALL)
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_INSTANT_VALIDATOR = SchemaValidator(INSTANT_TEXT)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(record: KafkaRecord, registry: Mapping[str, type[Event]], *, inbound: bool) -> Delivery[Any] | Skipped:
    """Return the event of a record.

    `registry` maps a type to its model: all types, or those a worker subscribes. Raises Unreadable, and nothing else,
    for whatever breaks the contract. `inbound` says that anybody may publish to the topic (it is one of
    INBOUND_TOPICS): there an unknown type or major version is Unreadable too, on topics of our own it is Skipped; and
    there `ce_time` and `ce_sequence` may be missing, for which the record's timestamp and 0 stand in.
    """
    headers = tuple(record.headers)
    attributes = dict(headers)
    if len(attributes) < len(headers):
        _refuse_repeated(headers)
    if attributes.get("ce_specversion") != b"1.0":
        _refuse_specversion(attributes)
    event_id, source = _text(attributes, "ce_id"), _text(attributes, "ce_source", _repeated_text)
    event_type = _text(attributes, "ce_type", _repeated_text)
    topic = record.topic
    model = registry.get(event_type)
    reading = _reading(model) if model is not None else None
    if model is None or reading is None or topic != reading.topic:
        if not inbound:
            return Skipped(event_type)
        raise Unreadable(f"type {_shown(event_type)} is not one that {topic} carries")
    content = _content(reading, record.value)
    sequence = _sequence(attributes.get("ce_sequence"))
    if sequence is None:
        if not inbound:
            raise Unreadable("header ce_sequence is missing or no whole number")
        sequence = 0
    time = _time(attributes, record.timestamp, inbound)
    return Delivery(content, event_id, source, time, sequence, topic, record.partition, record.offset, model)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading an event asks of its model, kept here: attributes of a pydantic class are found by a slow path."""

    topic: str
    is_plain: Callable[[str], bool]
    validate: Callable[[bytes], Event]


@cache
def _reading(model: type[Event]) -> _Reading:
    return _Reading(model.TOPIC, model.is_plain, model.__pydantic_validator__.validate_json)


def _content(reading: _Reading, data: bytes | None) -> Event | str:
    """Return plain data as it is, other data as the event that it holds."""
    if not data:
        raise Unreadable("the record has no data (a tombstone)" if data is None else "the data is empty")
    if len(data) > MAX_DATA_BYTES:
        raise Unreadable(f"the data has {len(data)} bytes, more than {MAX_DATA_BYTES}")
    if data.isascii() and reading.is_plain(text := data.decode()):
        return text
    # Two things that the JSON parser lets pass; looking for one rare byte first, by its number, is cheaper than for the word.
    if _BACKSLASH in data and _NUL_ESCAPE.search(data):
        raise Unreadable("the data holds the character NUL")
    if ((_N in data and b"NaN" in data) or (_I in data and b"Infinity" in data)) and _holds_not_json_number(data):
        raise Unreadable("the data is not JSON: NaN and Infinity are no numbers")
    try:
        return reading.validate(data)
    except ValidationError as error:
        reason = _reason(error, data)
    except Exception as error:  # a parser that fails in a new way must not stop a partition
        reason = f"the data cannot be read: {type(error).__name__}"
    raise Unreadable(reason)


def _holds_not_json_number(data: bytes) -> bool:
    return any(found[0] in (b"NaN", b"Infinity") for found in _NOT_JSON_NUMBER.finditer(data))


def _reason(error: ValidationError, data: bytes) -> str:
    """Say the first thing wrong, by field and rule, without what the publisher wrote there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        if data.startswith(b"\xef\xbb\xbf"):
            return "the data is not JSON: it begins with a byte order mark"
        try:
            data.decode()
        except UnicodeDecodeError as where:
            return f"the data is not UTF-8 (byte {where.start})"
        return f"the data is not JSON: {_shown(first['msg'].removeprefix('Invalid JSON: '))}"
    field = ".".join(str(part) for part in first["loc"]) or "the data"
    return f"{_shown(field)}: {_shown(first['msg'])}"


def _shown(text: str) -> str:
    """Return text of unknown origin fit for one line of a log: printable, at most 200 characters."""
    printable = "".join(character if character.isprintable() else "?" for character in text[:200])
    return printable if len(text) <= 200 else printable + "..."


def _refuse_repeated(headers: Sequence[tuple[str, bytes | None]]) -> None:
    """Refuse a header that we read and that appears twice; others may."""
    seen: set[str] = set()
    for name, _ in headers:
        if name in seen and name in _READ:
            raise Unreadable(f"header {name} appears more than once")
        seen.add(name)


def _refuse_specversion(attributes: dict[str, bytes | None]) -> NoReturn:
    if attributes.get("ce_specversion") is None:
        raise Unreadable("header ce_specversion is missing (CloudEvents 1.0, binary mode)")
    raise Unreadable("header ce_specversion is not 1.0")


def _header_text(value: bytes) -> str:
    """Return the text of a header. Raises ValueError with what is wrong."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if len(text) > MAX_ATTRIBUTE_CHARACTERS:
        raise ValueError(f"has more than {MAX_ATTRIBUTE_CHARACTERS} characters")
    if "\0" in text:
        raise ValueError("holds the character NUL")
    return text


_repeated_text = lru_cache(maxsize=1024)(_header_text)
"""The same for headers of which there are few, the type and the source."""


def _text(attributes: dict[str, bytes | None], name: str, read: Callable[[bytes], str] = _header_text) -> str:
    value = attributes.get(name)
    if not value:
        raise Unreadable(f"header {name} is missing")
    try:
        return read(value)
    except ValueError as error:
        raise Unreadable(f"header {name} {error}") from None


def _sequence(value: bytes | None) -> int | None:
    """Return the number of a `ce_sequence`, None where it is none: other publishers may mean something else by it."""
    if value is None or len(value) > 19 or not value.isdigit():
        return None
    sequence = int(value)
    return sequence if sequence <= INT8_MAX else None


def _time(attributes: dict[str, bytes | None], timestamp_ms: int, inbound: bool) -> datetime:
    """Return the instant of publication: `ce_time`; on inbound topics, where it is missing, the record's timestamp."""
    if "ce_time" in attributes:
        text = _text(attributes, "ce_time")
        plain = plain_instant(text)
        if plain is not None:
            return plain
        try:
            return _INSTANT_VALIDATOR.validate_python(text)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise Unreadable(f"header ce_time: {error.errors(include_url=False)[0]['msg']}") from None
    if not inbound:
        raise Unreadable("header ce_time is missing")
    try:
        instant = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        instant = _EPOCH
    if not FIRST_INSTANT <= instant < END_OF_INSTANTS:
        raise Unreadable("there is no ce_time, and the record's timestamp lies outside 2000-2100")
    return instant
