"""A load source for HTTP: connections kept alive, each asks for the next account as soon as it is answered.

It does as little as it can per answer, since it shares two cores with what it measures; both servers get the same bytes.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from typing import Any, cast

from bench.programs import ready, run_program

WARM_UP_SECONDS = 0.5


class _Load:
    """What all connections share: the next request, and how many answers there were since counting began."""

    def __init__(self, requests: list[bytes]) -> None:
        self.next_request = cycle(requests).__next__
        self.answers = 0
        self.octets = 0
        self.other: dict[int, int] = {}


class _Connection(asyncio.Protocol):
    """One connection: an answer is complete when the length that it names has come."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._missing = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first account."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and ask for the next one."""
        if self._missing == 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            start = data.index(b"content-length: ") + 16
            length = int(data[start : data.index(b"\r\n", start)])
            if data[9:12] != b"200":
                status = int(data[9:12])
                self._load.other[status] = self._load.other.get(status, 0) + 1
            self._load.octets += length
            self._missing = length + end + 4
        self._missing -= len(data)
        if self._missing == 0:
            self._load.answers += 1
            assert self._transport is not None
            self._transport.write(self._load.next_request())


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Load `port` over `connections` for `seconds`; `requests` are pairs of an account and the number of its token."""
    heads = [
        f" HTTP/1.1\r\nHost: 127.0.0.1:{job['port']}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
        for token in job["tokens"]
    ]
    load = _Load([f"GET /v1/accounts/{account}/360{heads[token]}".encode() for account, token in job["requests"]])
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Connection(load), "127.0.0.1", job["port"]))[0] for _ in range(job["connections"])
    ]
    await asyncio.sleep(WARM_UP_SECONDS)
    await ready()
    before, octets, began = load.answers, load.octets, time.perf_counter()
    await asyncio.sleep(job["seconds"])
    answers, seconds = load.answers - before, time.perf_counter() - began
    answer = {"amount": answers, "seconds": seconds, "octets": load.octets - octets, "other": load.other}
    for transport in connections:
        transport.abort()
    return answer


if __name__ == "__main__":
    run_program(main)
