"""Processes are forked from one that has everything imported; none outlives it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.suite.forked import UNKNOWN, Nursery
from tests.local.processes import all_gone, eventually


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "nursery.log")
    made.start()
    yield made
    made.close()


def environment(tmp_path: Path) -> dict[str, str]:
    """Servers that are not there: a worker waits for them for ever."""
    names = ("CUSTOMER", "TIERING", "RETENTION", "TICKETS")
    urls = {f"CRM_{name}_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none" for name in names}
    return {**urls, "CRM_KAFKA_BOOTSTRAP": "127.0.0.1:9", "CRM_LOCAL": str(tmp_path)}


def test_a_child_runs_its_command_in_its_own_session_with_its_own_log_and_code(nursery: Nursery, tmp_path: Path) -> None:
    refused = nursery.launch(["work", "nothing"], environment(tmp_path), tmp_path / "refused.log")
    told = nursery.launch(["--help"], environment(tmp_path), tmp_path / "told.log")
    assert (refused.wait(), told.wait()) == (2, 0)
    assert "There is no service nothing" in (tmp_path / "refused.log").read_text()
    assert "crm suite" in (tmp_path / "told.log").read_text()


def test_a_child_shows_what_it_is_and_dies_with_the_nursery(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.launch(["work", "tiering"], environment(tmp_path), tmp_path / "work.log")
    process = psutil.Process(child.pid)
    assert eventually(lambda: [word for word in process.cmdline() if word] == ["crm", "work", "tiering"])
    assert nursery._process is not None
    nursery._process.kill()
    assert eventually(lambda: all_gone([process]))
    assert child.poll() == UNKNOWN
    again = nursery.launch(["--help"], environment(tmp_path), tmp_path / "again.log")
    assert again.wait() == 0


def test_a_killed_child_is_reported_with_its_signal(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.launch(["work", "tiering"], environment(tmp_path), tmp_path / "work.log")
    assert child.poll() is None
    child.kill()
    assert child.wait() == -9
