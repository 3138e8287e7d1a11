"""The supervisor restarts what dies, without end, and ends everything in order."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from shared.local.children import StartFailedError
from shared.local.supervisor import FRESH_AFTER, LONGEST_DELAY, Backoff, Job, Supervisor
from tests.local.processes import becomes_true


def job(name: str, program: str, rank: int = 1, patience: float = 1.0) -> Job:
    return Job(name, lambda: subprocess.Popen([sys.executable, "-c", program]), rank, patience)


def test_the_back_off_grows_to_5_s_and_starts_afresh_after_30_s_of_life() -> None:
    backoff = Backoff()
    delays = [backoff.after(1.0) for _ in range(10)]
    assert delays[0] == 0.1
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY == 5.0
    assert backoff.after(FRESH_AFTER + 1) == 0.1


async def test_a_child_that_dies_is_started_again_each_time() -> None:
    reports: list[str] = []
    supervisor = Supervisor(lambda name, sentence: reports.append(f"{name} {sentence}"), lambda: None)
    child = job("child", "import time; time.sleep(600)")
    await supervisor.start([child])
    seen = set()
    for _ in range(3):
        await becomes_true(lambda: child.process is not None and child.process.poll() is None and child.process.pid not in seen)
        assert child.process is not None
        seen.add(child.process.pid)
        child.process.kill()
    await becomes_true(lambda: len(reports) == 3)
    assert "was killed by signal 9" in reports[0]
    await supervisor.stop()
    assert not any(psutil.pid_exists(pid) for pid in seen | set(supervisor.pids().values()))


async def test_a_start_that_fails_later_is_tried_again() -> None:
    tries = []

    def launch() -> subprocess.Popen[bytes]:
        tries.append(1)
        if len(tries) == 2:
            raise StartFailedError("not now")
        return subprocess.Popen([sys.executable, "-c", ""])

    supervisor = Supervisor(lambda *_: None, lambda: None)
    await supervisor.start([Job("flaky", launch, 1, 1.0, in_thread=True)])
    await becomes_true(lambda: len(tries) >= 4)
    await supervisor.stop()


async def test_the_end_comes_by_rank_and_the_stubborn_are_killed(tmp_path: Path) -> None:
    note = (
        "import os, signal, sys, time\n"
        f"def end(*_):\n    open({str(tmp_path)!r} + '/order', 'a').write(NAME)\n    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + '/up' + NAME, 'w').close()\ntime.sleep(600)"
    )
    jobs = [job(name, note.replace("NAME", repr(name)), rank) for name, rank in (("s", 0), ("w", 1))]
    stubborn = job(
        "x",
        f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(tmp_path / 'upx')!r}, 'w'); time.sleep(600)",
        1,
        0.3,
    )
    supervisor = Supervisor(lambda *_: None, lambda: None)
    await supervisor.start([*jobs, stubborn])
    await becomes_true(lambda: all((tmp_path / f"up{name}").exists() for name in "swx"))
    began = time.monotonic()
    await supervisor.stop()
    assert (tmp_path / "order").read_text() == "ws"
    assert stubborn.process is not None
    assert stubborn.process.returncode == -9
    assert time.monotonic() - began < 3.0
