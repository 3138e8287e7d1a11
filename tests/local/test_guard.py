"""No process of a server outlives its guard, and the guard does not outlive its parent."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from shared.local import children
from tests.local.processes import all_gone, eventually, family, start_python

STUBBORN = f"""
import os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(2):
    subprocess.Popen([{sys.executable!r}, "-c", "import os, time; os.setsid(); time.sleep(600)"])
open(sys.argv[1], "w").close()
time.sleep(600)
"""
PARENT = """
import sys, time
from pathlib import Path
from shared.local import children
place = Path(sys.argv[1])
children.start_guarded([sys.executable, "-c", sys.argv[2], str(place / "up")], place, place / "log", grace=1.0)
while not (place / "up").exists():
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["parent", "guard", "server"])
def test_nothing_is_left_of_a_server_that_ignores_signals(victim: str, tmp_path: Path) -> None:
    parent = start_python(PARENT, str(tmp_path), STUBBORN)
    everyone = family(parent.pid)[1:]
    assert len(everyone) == 4
    guard, server = everyone[0].pid, everyone[1].pid
    try:
        os.kill({"parent": parent.pid, "guard": guard, "server": server}[victim], signal.SIGKILL)
        # The kernel kills the server when its guard was killed; what the server started goes with the next start.
        expected = everyone if victim != "guard" else everyone[:2]
        assert eventually(lambda: all_gone(expected), 5.0)
    finally:
        parent.kill()
        parent.wait()
        for process in everyone:
            if process.is_running():
                process.kill()


def test_a_server_is_asked_first_and_killed_after_its_grace(tmp_path: Path) -> None:
    process = children.start_guarded(
        [sys.executable, "-c", STUBBORN, str(tmp_path / "up")], tmp_path, tmp_path / "log", stop=signal.SIGINT, grace=0.3
    )
    assert eventually((tmp_path / "up").exists)
    began = time.monotonic()
    children.end(process, 5.0)
    assert process.returncode == 128 + signal.SIGKILL
    assert 0.3 <= time.monotonic() - began < 3.0


def test_the_exit_code_of_the_server_is_passed_on(tmp_path: Path) -> None:
    process = children.start_guarded([sys.executable, "-c", "raise SystemExit(7)"], tmp_path, tmp_path / "log")
    assert process.wait(5) == 7


def test_strays_of_a_killed_server_are_found_by_their_working_directory(tmp_path: Path) -> None:
    parent = start_python(PARENT, str(tmp_path), STUBBORN)
    everyone = family(parent.pid)[1:]
    psutil.Process(everyone[0].pid).kill()
    assert eventually(lambda: all_gone(everyone[:2]))
    children.clear_strays(tmp_path, [sys.executable])
    assert eventually(lambda: all_gone(everyone))
    parent.kill()
    parent.wait()


def test_a_free_port_is_the_preferred_one_where_that_is_free() -> None:
    port = children.free_port()
    assert children.free_port(port) == port
