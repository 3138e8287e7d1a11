"""Stands between a parent and one server: no process of the server outlives the guard, nor the guard its parent.

Run as a program, with the standard library alone: `python -I -S guard.py PARENT_PID STOP_SIGNAL GRACE_SECONDS
COMMAND...`. It ends the server on SIGTERM, or when PARENT_PID is no longer its parent: first STOP_SIGNAL, after
GRACE_SECONDS kill -9 for all that is left. PostgreSQL puts every backend into a session of its own, so that no signal
to a group would reach them all: the guard is a "subreaper", orphans of the server become its children, and it finds
them in /proc. If the guard itself is killed, the kernel kills the server (PR_SET_PDEATHSIG). Exit code: the server's
own, 128 + signal if one ended it.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
WATCH_SECONDS = 0.25


def descendants(root: int) -> list[int]:
    """Every living process below `root`, nearest first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(name))
    found = list(children.get(root, ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _launch(command: list[str]) -> int:
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == guard:  # the guard may have died before the call above
                signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
                os.execvp(command[0], command)
        except OSError as problem:
            sys.stderr.write(f"{command[0]}: {problem}\n")
        finally:
            os._exit(127)
    return pid


def _reap(server: int) -> int | None:
    """Take the exit codes of all that ended; the server's own, once it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == server:
            code = os.waitstatus_to_exitcode(status)


def _kill_all(server: int) -> None:
    while left := descendants(os.getpid()):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
        _reap(server)


def main(parent: int, stop: int, grace: float, command: list[str]) -> int:
    """Run `command` to its end, or to ours."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = _launch(command)
    deadline: float | None = None
    while (code := _reap(server)) is None:
        received = signal.sigtimedwait(WATCHED, WATCH_SECONDS)
        told = received is not None and received.si_signo != signal.SIGCHLD
        if deadline is None and (told or os.getppid() != parent):
            os.kill(server, stop)
            deadline = time.monotonic() + grace
        if deadline is not None and time.monotonic() > deadline:
            os.kill(server, signal.SIGKILL)
    _kill_all(server)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
