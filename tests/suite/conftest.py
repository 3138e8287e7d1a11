"""One full replay of the real parcels, and one of a hostile folder, each shared by all tests that read it.

Tests of one folder run in one process (tests/conftest.py), so that it is replayed once; the suites end with the last of them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from shared.history.simulate import simulate
from tests.oracle.recount import Recount, recount
from tests.suite.hostile import write_hostile_folder
from tests.suite.running import RunningSuite, replayed_suite


@dataclass
class Replayed:
    """A suite that has replayed a folder, and what an independent recount makes of the same folder."""

    suite: RunningSuite
    expected: Recount


@pytest.fixture(scope="session")
def parcels(real_data: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real parcels; on a machine without them a small simulated history."""
    if real_data is not None:
        return real_data / "olist"
    folder = tmp_path_factory.mktemp("simulated") / "history"
    simulate(folder, date(2018, 9, 10), accounts=150, months=14, seed=11)
    return folder


@pytest.fixture(scope="package")
async def real(parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replayed]:
    async with replayed_suite(tmp_path_factory.mktemp("real"), parcels) as suite:
        yield Replayed(suite, recount(parcels))


@pytest.fixture(scope="package")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replayed]:
    folder = tmp_path_factory.mktemp("hostile") / "history"
    write_hostile_folder(folder, seed=4711)
    async with replayed_suite(tmp_path_factory.mktemp("hostile_local"), folder) as suite:
        yield Replayed(suite, recount(folder))


@pytest.fixture(params=["real", "hostile"])
def replayed(request: pytest.FixtureRequest) -> Replayed:
    found: Replayed = request.getfixturevalue(request.param)
    return found
