"""Logs, trace ids and metrics: what an operator sees of the suite.

Logs are one JSON object per line. A trace id begins at the HTTP request (`traceparent`, W3C), travels in the outbox row and the
record's header `ce_traceparent`, and is set again around the handler, so that one search shows the whole way of a change.
Nothing personal is logged: values of telling keys are replaced, phone numbers masked, SQL parameters and row contents cut off.

| metric | kind | labels | meaning |
|---|---|---|---|
| crm_http_requests_total | counter | service, method, route, status | HTTP answers |
| crm_http_seconds | histogram | service, route | time of an HTTP answer |
| crm_consumer_lag | gauge | service, topic, partition | events that wait in a partition |
| crm_consumer_stopped | gauge | service, topic, partition | 1 where a partition stopped on too many parked events |
| crm_handler_seconds | histogram | service, type | time of one batch of one event type in its handler |
| crm_handler_batch | histogram | service, type | events in such a batch |
| crm_events_total | counter | service, type | events applied |
| crm_events_skipped_total | counter | service, type | events of a type that nobody here subscribes |
| crm_parked_waiting | gauge | service | parked events that nobody has handled yet |
| crm_parked_total | counter | service, topic | events parked since the start |
| crm_outbox_depth | gauge | service | rows that are not sent yet |
| crm_outbox_age_seconds | gauge | service | age of the oldest of them |
| crm_tokens_refused_total | counter | reason | bearer tokens that were not believed |
| crm_unknown_shipment_statuses_total | counter | | scans with a status that no rule knows (tickets) |
"""

import asyncio
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000)

HTTP_REQUESTS = Counter("crm_http_requests", "HTTP answers", ["service", "method", "route", "status"])
HTTP_SECONDS = Histogram("crm_http_seconds", "Time of an HTTP answer", ["service", "route"], buckets=SECONDS)
CONSUMER_LAG = Gauge("crm_consumer_lag", "Events that wait in a partition", ["service", "topic", "partition"])
CONSUMER_STOPPED = Gauge("crm_consumer_stopped", "1 where a partition stopped", ["service", "topic", "partition"])
HANDLER_SECONDS = Histogram("crm_handler_seconds", "Time of one batch in its handler", ["service", "type"], buckets=SECONDS)
HANDLER_BATCH = Histogram("crm_handler_batch", "Events in one batch", ["service", "type"], buckets=SIZES)
EVENTS = Counter("crm_events", "Events applied", ["service", "type"])
EVENTS_SKIPPED = Counter("crm_events_skipped", "Events of a type without subscription", ["service", "type"])
PARKED = Gauge("crm_parked_waiting", "Parked events that nobody has handled yet", ["service"])
PARKED_TOTAL = Counter("crm_parked", "Events parked since the start", ["service", "topic"])
OUTBOX_DEPTH = Gauge("crm_outbox_depth", "Outbox rows that are not sent yet", ["service"])
OUTBOX_AGE = Gauge("crm_outbox_age_seconds", "Age of the oldest unsent outbox row", ["service"])
TOKENS_REFUSED = Counter("crm_tokens_refused", "Bearer tokens that were not believed", ["reason"])

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRACE_HEADER = "ce_traceparent"
"""Name of the record header that carries a trace id from one process to the next."""

_trace: ContextVar[str | None] = ContextVar("crm_trace", default=None)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def metrics_text() -> bytes:
    """Render all metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)


def begin_trace(parent: str | None = None) -> str:
    """Set this task's trace: the one of a `traceparent` if it is well formed, else a new one. Returns its id (32 hex digits)."""
    match = _TRACEPARENT.fullmatch(parent) if parent else None
    trace_id = match[1] if match and match[1].strip("0") else os.urandom(16).hex()
    _trace.set(trace_id)
    return trace_id


def trace_id() -> str | None:
    """Return the id of this task's trace, 32 hex digits, or None outside of one."""
    return _trace.get()


def trace_parent() -> str | None:
    """Return this task's trace as a `traceparent` for the next process, or None outside of one."""
    current = _trace.get()
    return f"00-{current}-{current[:16]}-01" if current else None


@contextmanager
def traced(parent: str | None) -> Iterator[str]:
    """Run a handler within the trace of the event that it handles."""
    before = _trace.set(None)
    try:
        yield begin_trace(parent)
    finally:
        _trace.reset(before)


TELLING = frozenset(
    {"phone", "mobile", "name", "address", "email", "password", "token", "authorization", "secret", "url", "dsn", "note", "text"}
)
_PHONE = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
_ROW_CONTENT = re.compile(r"^(DETAIL:|\[SQL:|\[parameters:).*$", re.M)


def without_personal_data(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what a log line may not carry: values of telling keys, phone numbers, passwords, row contents."""
    for key, value in line.items():
        if key in TELLING:
            line[key] = "***"
        elif isinstance(value, str):
            line[key] = _scrub(value)
    return line


def _scrub(value: str) -> str:
    return _PHONE.sub(r"\1****\2", _URL_PASSWORD.sub(r"\1:***@", _ROW_CONTENT.sub("", value)))


def _with_trace(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    current = _trace.get()
    if current is not None:
        line["trace_id"] = current
    return line


def _with_stack(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    info = line.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    elif isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        line["exception"] = _scrub("".join(traceback.format_exception(*info, limit=-12)))
    return line


class OutageFilter(logging.Filter):
    """Let through one line of a kind in ten seconds: a broker that is away makes its client repeat itself many times a second.

    A kind is logger, level and message before its arguments. The next line that passes says how many were held back.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self.seconds = seconds
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line passes."""
        kind = (record.name, record.levelno, str(record.msg)[:200])
        now = time.monotonic()
        with self._lock:
            last, held = self._seen.get(kind, (-self.seconds, 0))
            if now - last < self.seconds:
                self._seen[kind] = (last, held + 1)
                return False
            if len(self._seen) > 1_000:
                self._seen.clear()
            self._seen[kind] = (now, 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} like this held back)", None
        return True


_FIRST: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _with_trace,
]
# At import: structlog's own default renders stacks with the values of local variables, which may be personal.
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_FIRST, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def configure_logging(level: str = "INFO", style: str = "json", service: str = "") -> None:
    """Send all logs of this process, those of libraries too, to standard error in one shape."""
    last: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_FIRST,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _named(service),
                _with_stack,
                without_personal_data,
                last,
            ],
        )
    )
    handler.addFilter(_only_clients(OutageFilter()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def _named(service: str) -> Any:
    def add(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if service:
            line["service"] = service
        return line

    return add


def _only_clients(limit: OutageFilter) -> Any:
    def passes(record: logging.LogRecord) -> bool:
        return not record.name.startswith(("aiokafka", "asyncio")) or limit.filter(record)

    return passes


def log(name: str) -> Any:
    """Return a structured logger."""
    return structlog.stdlib.get_logger(name)


Check = Callable[[], Awaitable[str | None]]
"""Something that must be well: returns None, or one sentence that says what is wrong."""


async def readiness(checks: Mapping[str, Check], seconds: float = 2.0) -> tuple[bool, dict[str, str]]:
    """Ask all checks at once, each for at most `seconds`: whether all are well, and per name "ok" or what is wrong."""

    async def ask(check: Check) -> str:
        try:
            return await asyncio.wait_for(check(), seconds) or "ok"
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except Exception as error:
            return type(error).__name__

    report = dict(zip(checks, await asyncio.gather(*map(ask, checks.values())), strict=True))
    return all(answer == "ok" for answer in report.values()), report


def bus_check(bootstrap: str) -> Check:
    """Check that one of the brokers accepts connections."""

    async def check() -> str | None:
        for address in bootstrap.split(","):
            host, _, port = address.rpartition(":")
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                continue
            writer.close()
            return None
        return "no broker accepts connections"

    return check


def lag_check(service: str, limit: int) -> Check:
    """Check that no partition that this process consumes is stopped or more than `limit` events behind."""

    async def check() -> str | None:
        for metric, bound, what in ((CONSUMER_STOPPED, 0, "stopped"), (CONSUMER_LAG, limit, "behind")):
            for sample in (sample for family in metric.collect() for sample in family.samples):
                if sample.labels["service"] == service and sample.value > bound:
                    return f"{sample.labels['topic']}/{sample.labels['partition']} is {what} ({sample.value:g})"
        return None

    return check


async def answer_probe(path: str, service: str, checks: Mapping[str, Check]) -> tuple[int, str, bytes] | None:
    """Answer /healthz, /readyz or /metrics: status, content type, body; None for any other path."""
    if path == "/metrics":
        return 200, METRICS_TYPE, metrics_text()
    if path == "/healthz":
        return 200, "application/json", json.dumps({"status": "ok", "service": service}).encode()
    if path == "/readyz":
        ready, report = await readiness(checks)
        body = {"status": "ready" if ready else "not ready", "service": service, "checks": report}
        return (200 if ready else 503), "application/json", json.dumps(body).encode()
    return None
