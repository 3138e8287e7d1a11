"""The edge of a service: what every request passes before its route sees it, as one ASGI middleware.

In this order: trace id, `Host`, path and query (no NUL, valid UTF-8), body (at most 1 MiB, JSON only, and JSON that every reader
understands alike: no duplicate keys, no NaN, no lone surrogates, at most 64 deep). Afterwards: metrics, log line, and a problem
without a stack for whatever nobody caught.
"""

import asyncio
import json
import math
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import observability
from shared.db import is_infrastructure
from shared.problems import MEDIA_TYPE, Invalid, Problem, Unavailable

MAX_BODY = 1 << 20
MAX_DEPTH = 64
BODY_SECONDS = 30
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SAFETY_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))

logger = observability.log("crm.http")


class Edge:
    """Wraps one service's application; `state.allowed_hosts` holds the accepted hosts once it has started."""

    def __init__(self, app: ASGIApp, service: str, state: State) -> None:
        self.app = app
        self.service = service
        self.state = state
        self._seconds: dict[str, Any] = {}
        self._answers: dict[tuple[str, str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *SAFETY_HEADERS]
            await send(message)

        headers = scope["crm.headers"] = dict(scope["headers"])
        parent = headers.get(b"traceparent")
        observability.begin_trace(parent.decode("latin-1") if parent else None)
        try:
            self._check_address(scope, headers)
            if scope["method"] in WITH_BODY:
                receive = _again(await _read_body(headers, receive), receive)
            await self.app(scope, receive, answer)
        except Exception as error:
            if status:
                raise
            await respond(answer, _problem(error))
        finally:
            self._note(scope, status, perf_counter() - began)

    def _check_address(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"")
        name = host.rpartition(b":")[0] if b":" in host and not host.endswith(b"]") else host
        if name not in self.state.allowed_hosts and b"*" not in self.state.allowed_hosts:
            raise Problem(400, "host-not-allowed", "Host not allowed", "The Host header names none of this service's hosts.")
        if "\0" in scope["path"] or not (_clean(scope.get("raw_path") or b"") and _clean(scope["query_string"])):
            raise Invalid("The address holds a NUL character or is not UTF-8.", "bad-text")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "name", "none")
        method = scope["method"] if route != "none" else "any"
        key = (method, route, status)
        if key not in self._answers:
            self._answers[key] = observability.HTTP_REQUESTS.labels(self.service, method, route, str(status))
            self._seconds[route] = observability.HTTP_SECONDS.labels(self.service, route)
        self._answers[key].inc()
        self._seconds[route].observe(seconds)
        if method in WITH_BODY:
            logger.info("answered", service=self.service, operation=route, status=status, ms=round(seconds * 1000, 1))


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if is_infrastructure(error):
        logger.warning("infrastructure failed a request", error=type(error).__name__)
        return Unavailable("A server this answer needs is away; nothing was decided, or it shows when you ask again.")
    logger.error("a request failed", error=type(error).__name__, exc_info=error)
    return Problem(500, "internal", "Internal error", "The request failed here, not with you; the trace id finds it in the logs.")


async def respond(send: Send, problem: Problem) -> None:
    """Send a problem as the whole answer."""
    body = problem.body(observability.trace_id())
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _clean(raw: bytes) -> bool:
    if b"%" not in raw and raw.isascii():
        return True
    plain = unquote_to_bytes(raw)
    try:
        plain.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in plain


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 9 or int(declared) > MAX_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "incomplete-body", "Incomplete body", "The connection ended within the body.")
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise Problem(408, "slow-body", "Too slow", f"The body took more than {BODY_SECONDS} s.") from None
    body = b"".join(parts)
    if body:
        media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media != b"application/json":
            raise Problem(415, "not-json", "Unsupported media type", "The body must be application/json.")
        check_json(body)
    return body


def _too_large() -> Problem:
    return Problem(413, "body-too-large", "Body too large", f"A body has at most {MAX_BODY} bytes.")


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read to the application, then what really comes."""
    message: MutableMapping[str, Any] | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_again() -> Message:
        nonlocal message
        given, message = message, None
        return given if given is not None else await receive()

    return receive_again


def check_json(body: bytes) -> None:
    """Refuse JSON that two readers may understand differently, or that PostgreSQL cannot store. Raises Invalid."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_not_a_number, parse_float=_finite, parse_int=_int8)
        if "\\u" in text or text.count("[") + text.count("{") > MAX_DEPTH:
            _check_values(value, 0)
    except RecursionError:
        raise Invalid(f"The body is nested deeper than {MAX_DEPTH}.", "bad-json") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise Invalid("The body is not JSON in UTF-8.", "bad-json") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Invalid("An object of the body has a member twice.", "bad-json")
    return members


def _not_a_number(word: str) -> Any:
    raise Invalid(f"{word} is not JSON.", "bad-json")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Invalid("A number of the body is too large.", "bad-json")
    return value


def _int8(digits: str) -> int:
    value = int(digits) if len(digits) <= 20 else 2**63
    if not -(2**63) <= value < 2**63:
        raise Invalid("A number of the body is too large.", "bad-json")
    return value


def _check_values(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(f"The body is nested deeper than {MAX_DEPTH}.", "bad-json")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise Invalid("A text of the body holds a NUL character or half a surrogate pair.", "bad-text")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_values(name, depth)
            _check_values(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check_values(member, depth + 1)
