"""Health and metrics of a process that serves no HTTP otherwise: a worker or a relay, on CRM_PROBE_PORT."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

from shared.observability import Check, answer_probe

REQUEST_SECONDS = 5


@asynccontextmanager
async def probes(port: int, service: str, checks: Mapping[str, Check]) -> AsyncIterator[None]:
    """Answer /healthz, /readyz and /metrics on 127.0.0.1 or, in a container, its address; port 0 answers nothing."""
    if port == 0:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                line = (await reader.readuntil(b"\r\n")).split()
                path = line[1].decode(errors="replace") if len(line) > 1 else ""
                found = await answer_probe(path, service, checks)
                status, kind, body = found or (404, "text/plain", b"")
                head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    async with await asyncio.start_server(answer, host=None, port=port):
        yield
