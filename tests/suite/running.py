"""Runs the suite as a person would, `crm suite`, and asks it over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.conftest import forgetful


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningSuite:
    """A suite with its own `.local`, and a caller at the root of the organisation."""

    def __init__(self, local: Path, history: Path, port: int | None = None) -> None:
        self.local = local
        self.history = history
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "CRM_LOCAL": str(local)}
        self.process: subprocess.Popen[bytes] | None = None
        self._client = httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False)
        self._token: str | None = None

    def start(self) -> None:
        forgetful(self.local / "postgres")
        with (self.local / "suite.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.words(), env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def words(self) -> list[str]:
        """Return the command that starts the suite."""
        return [sys.executable, "-m", "services.cli", "suite", "--history", str(self.history), "--port", str(self.port)]

    def crm(self, *words: str, code: int = 0) -> str:
        """Run a command of `crm` that ends with this exit code, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def log(self) -> str:
        return (self.local / "suite.log").read_text(errors="replace")[-4000:]

    async def healthz(self) -> dict[str, Any] | None:
        try:
            answer = await self._client.get("/healthz")
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    async def until_replayed(self, seconds: float) -> None:
        """Wait until the last close has settled."""
        deadline = time.monotonic() + seconds
        while True:
            assert self.process is not None
            assert self.process.poll() is None, f"the suite ended with {self.process.returncode}: {self.log()}"
            health = await self.healthz()
            if health is not None and health["replay"]["state"] == "done":
                return
            assert time.monotonic() < deadline, f"not replayed within {seconds} s: {health} {self.log()}"
            await asyncio.sleep(0.5)

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, f"{path} {params}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    async def ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        if self._token is None:
            self._token = self.crm("token", "--role", "ops_hq", "--unit", "HQ").strip()
        headers = {"Authorization": f"Bearer {self._token}", **rest.pop("headers", {})}
        return await self._client.request(method, path, headers=headers, **rest)

    async def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return the items of all pages of a list."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.get(path, **{"limit": 200, **params, **({"cursor": cursor} if cursor else {})})
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def stop(self) -> None:
        await self._client.aclose()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self.process.wait, 15)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.local / "suite.json").read_text())
        return found


@asynccontextmanager
async def replayed_suite(local: Path, history: Path, seconds: float = 1200) -> AsyncIterator[RunningSuite]:
    """Run a suite until its replay is through, and end it afterwards."""
    suite = RunningSuite(local, history)
    suite.start()
    try:
        await suite.until_replayed(seconds)
        yield suite
    finally:
        await suite.stop()
