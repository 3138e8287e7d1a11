"""The customer 360 over HTTP: token checked, row-level security on, against a prepared row without either."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx2

from bench.measuring import PAIRS, QUICK_PAIRS, Figure, Program, Run, alternate, cpu_by_process, cpu_of, expect, ratios
from bench.overview_data import BRANCHES, account_no, branch_of, expected_page, fill
from bench.programs import ProgramError, measure
from bench.servers import Bench
from shared.db import Database
from shared.identity import make_token
from shared.local.children import free_port
from shared.settings import load_settings

GOAL = 0.80
FLOOR = 0.60
CONNECTIONS = 32
SAMPLES = 40
START_SECONDS = 60.0


async def run(bench: Bench) -> list[Figure]:
    """Measure requests per second of both servers under the same Zipf requests, each asked with its own branch's token."""
    accounts, seconds = (4_000, 1.5) if bench.quick else (100_000, 5.0)
    database = Database("customer", bench.url("customer"), "worker")
    await database.open()
    settings = load_settings(local=bench.place, customer_database_url=bench.url("customer"))
    tokens = [make_token(settings, "branch_manager", f"B{number}") for number in range(BRANCHES)]
    requests = zipf_requests(accounts, 20_000)
    async with bench.admin("customer") as owner, AsyncExitStack() as servers:
        await fill(database, owner, accounts)
        await database.close()
        environment = {
            "CRM_LOCAL": str(bench.place),
            "CRM_CUSTOMER_DATABASE_URL": bench.url("customer"),
            "CRM_LOG_LEVEL": "WARNING",
        }
        ours = await servers.enter_async_context(serving("bench.ours_360", environment))
        bare = await servers.enter_async_context(serving("bench.bare_360", {"BENCH_DATABASE_URL": bench.url("customer")}))
        await check_pages(owner, {"ours": ours, "bare": bare}, tokens, accounts)
        job = {"tokens": tokens, "requests": requests, "connections": CONNECTIONS, "seconds": seconds}
        runs = await alternate({"bare": _loaded(bare, job), "ours": _loaded(ours, job)}, QUICK_PAIRS if bench.quick else PAIRS)
        await check_pages(owner, {"ours": ours, "bare": bare}, tokens, accounts)
    per_request = cpu_of(runs, per=1_000)
    notes: dict[str, Any] = {
        "floor": FLOOR,
        "best_per_second": {name: round(max(run.rate for run in of_one)) for name, of_one in runs.items()},
        "cpu_seconds_are": "per 1,000 requests",
        "cpu_by_process": cpu_by_process(runs, per=1_000),
    }
    return [
        Figure(
            "read_360",
            "bare FastAPI and asyncpg, one prepared JSON row",
            GOAL,
            "higher",
            ratios(runs["ours"], runs["bare"]),
            {name: per_request[name] for name in ("ours", "bare")},
            notes,
        )
    ]


def zipf_requests(accounts: int, count: int) -> list[tuple[str, int]]:
    """Draw accounts by Zipf's law (the n-th in 1/n), in an order of favour that has nothing to do with their numbers."""
    chance = random.Random(7)
    favour = list(range(accounts))
    chance.shuffle(favour)
    drawn = chance.choices(favour, [1 / (place + 1) for place in range(accounts)], k=count)
    return [(account_no(number), branch_of(number)) for number in drawn]


@asynccontextmanager
async def serving(module: str, environment: dict[str, str]) -> AsyncIterator[int]:
    """Run a server in a process of its own and lend its port."""
    port = free_port()
    words = (sys.executable, "-m", module, str(port), str(os.getpid()))
    process = await asyncio.create_subprocess_exec(*words, env={**os.environ, **environment})
    try:
        async with asyncio.timeout(START_SECONDS), httpx2.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/healthz")
                    break
                except httpx2.TransportError:
                    if process.returncode is not None:
                        raise ProgramError(f"{module} ended with code {process.returncode}") from None
                    await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def check_pages(owner: asyncpg.Connection, ports: dict[str, int], tokens: list[str], accounts: int) -> None:
    """Compare sampled pages of both servers with what they must be; ours must refuse strangers. Raises WrongTotalError."""
    chance = random.Random(11)
    async with httpx2.AsyncClient() as client:

        async def ask(name: str, account: str, headers: dict[str, str]) -> httpx2.Response:
            return await client.get(f"http://127.0.0.1:{ports[name]}/v1/accounts/{account}/360", headers=headers)

        for number in chance.sample(range(accounts), SAMPLES):
            account, branch = account_no(number), branch_of(number)
            expected = await expected_page(owner, account)
            for name in ports:
                answer = await ask(name, account, {"Authorization": f"Bearer {tokens[branch]}"})
                expect(f"the answer of {name} about {account}", answer.status_code, 200)
                compare_page(name, json.loads(answer.content), expected)
            stranger = await ask("ours", account, {"Authorization": f"Bearer {tokens[(branch + 1) % BRANCHES]}"})
            expect("the answer to another branch", stranger.status_code, 404)
            nobody = await ask("ours", account, {})
            expect("the answer without a token", nobody.status_code, 401)


def compare_page(name: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare a page section by section. Raises WrongTotalError."""
    for section, content in expected.items():
        expect(f"{section} of {name}", found.get(section), content)
    expect(f"sections of {name}", sorted(found), sorted(expected))


def _loaded(port: int, job: dict[str, Any]) -> Program:
    async def program() -> Run:
        run, answer = await measure("bench.http_load", {**job, "port": port})
        expect("answers that were not 200", answer["other"], {})
        expect("whether there were answers", run.amount > 0, True)
        return run

    return program
