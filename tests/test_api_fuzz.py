"""schemathesis against each service as it runs: over HTTP, with a real token, on a real database that holds something.

No answer may be a 5xx or differ from the service's own OpenAPI document; wrong input must be refused, what the document allows
must not be called malformed (tests/fuzz_checks.py), and no operation may be reached without a token.
"""

import asyncio
import os
import re
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from uvicorn import Config, Server

from shared.db import Database
from shared.settings import SERVICES
from tests.access_world import WORLDS
from tests.conftest import Server as Postgres
from tests.serving import bearer, serving, settings_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = 25
"""Generated cases per operation in the fuzzing phase; the examples and coverage phases add theirs."""
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
    "SCHEMATHESIS_HOOKS": "tests.fuzz_checks",
    "PYTHONPATH": str(ROOT),
}
"""A small one: its HTTP client looks through all of it at every request."""


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What hypothesis works out about Unicode (seconds of it) and would work out again in every folder it is started in."""
    return tmp_path_factory.mktemp("hypothesis")


@pytest.mark.parametrize("name", SERVICES)
async def test_no_5xx_and_no_lie(postgres: Postgres, tmp_path: Path, storage: Path, name: str) -> None:
    settings = settings_of(name, postgres, await postgres.fresh(name), tmp_path)
    app = import_module(f"services.{name}.main").app
    token = bearer(settings, "outlet_staff" if name == "retention" else "ops_hq", "HQ")
    database = Database(name, settings.database_url(name), "worker")
    async with serving(app, settings) as client:
        await WORLDS[name](database, client, bearer(settings, "ops_hq", "HQ"))
        await database.close()
        report = await _fuzz(app, token["Authorization"], tmp_path, storage)
    tested = re.search(r"(\d+) selected / (\d+) total", report)
    assert tested is not None, report
    assert tested[1] == tested[2], report


async def _fuzz(app: object, authorization: str, folder: Path, storage: Path) -> str:
    """Serve the application that is already started, let schemathesis at it, and return its report. Fails on any finding."""
    listening = socket.create_server(("127.0.0.1", 0))
    # asyncio does not do it to sockets it did not make, and each answer would wait 40 ms for an acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = Server(Config(app, lifespan="off", log_config=None))  # type: ignore[arg-type]
    serving_ = asyncio.create_task(server.serve([listening]))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "--no-color",
        "run",
        f"http://127.0.0.1:{listening.getsockname()[1]}/openapi.json",
        "--header",
        f"Authorization: {authorization}",
        "--checks=all",
        "--exclude-checks=positive_data_acceptance",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-shrink",
        cwd=folder,
        env=ENVIRONMENT | {"HYPOTHESIS_STORAGE_DIRECTORY": str(storage)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        server.should_exit = True
        await serving_
    report = output.decode()
    if process.returncode != 0:
        pytest.fail(report, pytrace=False)
    return report
