"""Starts the suite's own processes by forking one that has everything imported already.

Ten interpreters that each import the same modules cost 25 seconds of processor time at every start, and a killed worker two
seconds before it works again; a fork costs milliseconds, and the modules are in memory once. The nursery has one thread,
no event loop and no connection, so that forking it is safe. It reads orders from standard input, one JSON line each:
`{"arguments", "environment", "log"}`, and answers `{"pid"}`; when a child ends it writes `{"pid", "code"}`.

Every child is killed by the kernel when the nursery dies, and the nursery when the supervisor does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
from importlib import import_module
from typing import Any, NoReturn

from shared.local.children import die_with_parent
from shared.settings import SERVICES

PRELOADED = ("services.suite.gateway", "shared.relay", "shared.worker", "uvicorn", "uvloop", "httptools")


def main(parent: int) -> None:
    """Fork on demand until the supervisor closes the pipe or dies."""
    die_with_parent(parent)
    for name in [*PRELOADED, *(f"services.{service}.worker" for service in SERVICES)]:
        import_module(name)
    gc.collect()
    gc.freeze()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    orders = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _report_the_ended(answers)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                return
            *lines, orders = (orders + read).split(b"\n")
            for line in lines:
                print(json.dumps({"pid": _fork(json.loads(line))}), file=answers, flush=True)


def _report_the_ended(answers: Any) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        print(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _fork(order: dict[str, Any]) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(order, nursery)
    return pid


def _become(order: dict[str, Any], nursery: int) -> NoReturn:
    """Turn this fork into the process that was ordered: its session, files, environment, name; then run the command."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent(nursery)
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(source, number)
        os.closerange(3, 64)
        os.environ.clear()
        os.environ.update(order["environment"])
        _show_as(["crm", *order["arguments"]])
        code = _run(order["arguments"])
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str]) -> int:
    from services.cli import main as crm

    try:
        crm(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _show_as(arguments: list[str]) -> None:
    """Write the arguments over those that the kernel shows for this process; what does not fit is cut off."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end are fields 48 and 49 of the whole line
    shown = b"\0".join(word.encode() for word in arguments)[: end - start - 1]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main(int(sys.argv[1]))
