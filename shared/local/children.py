"""Starting, watching and ending processes so that none is ever leaked."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from shared.local import guard

LOG_LIMIT = 5_000_000
"""Bytes of a server's log that are kept when it is started again."""


class StartFailedError(RuntimeError):
    """A local server did not come up; the message is one sentence with the place of its log."""


def free_port(preferred: int | None = None) -> int:
    """A port of 127.0.0.1 nobody listens on: the preferred one where possible."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port or 0))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartFailedError("no free port on 127.0.0.1")


def open_log(path: Path) -> BinaryIO:
    """Open a log file to append to (0600); one that has grown too large is begun afresh."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.unlink()
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def start_guarded(
    command: Sequence[str],
    directory: Path,
    log: Path,
    *,
    identity: Sequence[str] = (),
    stop: signal.Signals = signal.SIGTERM,
    grace: float = 5.0,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server behind its guard, in a session of its own, with `directory` as its working directory.

    `identity` is a command prefix that changes the user. `stop` and `grace` (seconds) say how the server is ended.
    """
    program = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(int(stop)), str(grace)]
    with open_log(log) as output:
        return subprocess.Popen(
            [*identity, *program, *command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
        )


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a guarded server: politely for so many seconds, then by force."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def server_pid(process: subprocess.Popen[bytes]) -> int | None:
    """The pid of the server behind its guard."""
    return next(iter(guard.descendants(process.pid)), None)


def working_in(directory: Path) -> list[int]:
    """Processes whose working directory is `directory`: what is left of a server that was killed there."""
    place = os.path.realpath(directory)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if os.readlink(f"/proc/{name}/cwd") == place:
                    found.append(int(name))
            except OSError:
                continue
    return found


def clear_strays(directory: Path, programs: Sequence[str], seconds: float = 10.0) -> None:
    """Kill what a killed server left behind in its data directory: two servers on the same data would destroy it.

    Only processes that run one of `programs` (paths) are touched, so that a shell somebody opened there lives.
    """
    deadline = time.monotonic() + seconds
    wanted = {os.path.realpath(program) for program in programs}
    while strays := [pid for pid in working_in(directory) if _program(pid) in wanted]:
        if time.monotonic() > deadline:
            raise StartFailedError(f"processes {strays} still use {directory}; end them and start again")
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _program(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str, log: Path, seconds: float) -> None:
    """Poll `ready` until the server answers; raise StartFailedError when it ended or took too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise StartFailedError(f"{what} ended with code {process.returncode} while starting; its log is {log}")
        if time.monotonic() > deadline:
            raise StartFailedError(f"{what} did not answer within {seconds:.0f} s; its log is {log}")
        time.sleep(0.03)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the thread that started it ends; leave at once if it is gone already.

    For our own workers: they may be killed at any instruction by design, so that nothing gentler is needed.
    """
    ctypes.CDLL(None).prctl(guard.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
