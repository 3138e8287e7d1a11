"""A load source for HTTP that asks at a constant rate, whatever the answers do: no coordinated omission.

Requests are due at fixed instants. One that finds all connections busy waits for the first that is free, and its time counts from
the instant at which it was due.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import cycle
from typing import Any, cast

from bench.programs import ready, run_program

WARM_UP_REQUESTS = 50
LAST_ANSWERS_SECONDS = 10.0


class _Load:
    """What is due and waits, which connections are free, and how long answers took from when they were due."""

    def __init__(self, requests: list[bytes]) -> None:
        self.next_request = cycle(requests).__next__
        self.waiting: deque[float] = deque()
        self.free: list[_Connection] = []
        self.took: list[float] = []
        self.other: dict[int, int] = {}

    def due(self, at: float) -> None:
        """Ask, or wait for a connection."""
        if self.free:
            self.free.pop().ask(at)
        else:
            self.waiting.append(at)


class _Connection(asyncio.Protocol):
    """One connection: an answer is complete when the length that it names has come."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free."""
        self._transport = cast("asyncio.Transport", transport)
        self._load.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be asked no more: the server closes a connection that was free for some seconds."""
        if self in self._load.free:
            self._load.free.remove(self)

    def ask(self, due: float) -> None:
        """Send a request that was due at an instant."""
        assert self._transport is not None
        self._due = due
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        """Note a complete answer, and ask what waits."""
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        start = self._data.index(b"content-length: ") + 16
        if len(self._data) < end + 4 + int(self._data[start : self._data.index(b"\r\n", start)]):
            return
        self._load.took.append(time.perf_counter() - self._due)
        if self._data[9:12] != b"200":
            status = int(self._data[9:12])
            self._load.other[status] = self._load.other.get(status, 0) + 1
        self._data = b""
        if self._load.waiting:
            self.ask(self._load.waiting.popleft())
        else:
            self._load.free.append(self)


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Ask `rate` requests per second for `seconds`, after a warm-up; answers the times from due to answered, in ms."""
    heads = [
        f" HTTP/1.1\r\nHost: 127.0.0.1:{job['port']}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
        for token in job["tokens"]
    ]
    load = _Load([f"GET {path}{heads[token]}".encode() for path, token in job["requests"]])
    loop = asyncio.get_running_loop()
    for _ in range(job["connections"]):
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", job["port"])
    for _ in range(WARM_UP_REQUESTS):
        load.due(time.perf_counter())
        await asyncio.sleep(1 / job["rate"])
    await _drain(load, WARM_UP_REQUESTS)
    await ready()
    load.took.clear()
    began = time.perf_counter()
    count = int(job["rate"] * job["seconds"])
    for n in range(count):
        at = began + n / job["rate"]
        if (early := at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        load.due(at)
    await _drain(load, count)
    took = sorted(1000 * second for second in load.took)
    percent = {f"p{q}": round(took[min(len(took) - 1, len(took) * q // 100)], 3) for q in (50, 90, 99)}
    seconds = time.perf_counter() - began
    return {"amount": len(took), "seconds": seconds, "asked": count, "milliseconds": percent, "other": load.other}


async def _drain(load: _Load, count: int) -> None:
    deadline = time.perf_counter() + LAST_ANSWERS_SECONDS
    while len(load.took) < count and time.perf_counter() < deadline:  # noqa: ASYNC110 - only after the last request
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    run_program(main)
