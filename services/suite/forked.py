"""The supervisor's side of the nursery: orders a process and watches it like one of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from shared.local.children import StartFailedError, open_log

READY_SECONDS = 60.0
REPORT_SECONDS = 0.5
UNKNOWN = -int(signal.SIGKILL)
"""The exit code of a process whose end nobody saw: the nursery died, and the kernel killed it."""
ROOM = "-" * 64
"""The nursery's last argument: room for the command line that a child shows in `ps`."""


class Nursery:
    """The process to fork from; started at once, used when it has imported everything, started again if it dies."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._codes: dict[int, int] = {}

    def start(self) -> None:
        """Launch it unless it lives; has to be called by the thread that lives as long as the supervisor."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        with open_log(self._log) as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.suite.nursery", str(os.getpid()), ROOM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                bufsize=0,
            )

    def launch(self, arguments: list[str], environment: dict[str, str], log: Path) -> Forked:
        """Fork a process that runs `crm ARGUMENTS`. Raises StartFailedError when the nursery does not answer."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        open_log(log).close()
        order = {"arguments": arguments, "environment": environment, "log": str(log)}
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            while "code" in (answer := self._answer(READY_SECONDS)):
                self._codes[answer["pid"]] = answer["code"]
            return Forked(answer["pid"], self)
        except (OSError, EOFError):
            raise StartFailedError(f"crm {' '.join(arguments)} could not be started; see {self._log}.") from None

    def code_of(self, pid: int) -> int:
        """Return the exit code of a process that has ended."""
        try:
            while pid not in self._codes:
                answer = self._answer(REPORT_SECONDS)
                self._codes[answer["pid"]] = answer["code"]
        except (OSError, EOFError):
            return UNKNOWN
        return self._codes.pop(pid)

    def _answer(self, seconds: float) -> dict[str, int]:
        """Read the nursery's next line. Raises EOFError when it is gone or says nothing for so long."""
        if self._process is None or self._process.stdout is None:
            raise EOFError
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                raise EOFError
            read = self._process.stdout.read(65536)
            if not read:
                raise EOFError
            self._unread += read
        line, self._unread = self._unread.split(b"\n", 1)
        answer: dict[str, int] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it; the processes it forked end with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process, self._unread = None, b""


class Forked:
    """A process that the nursery has forked: what a supervisor needs of a `subprocess.Popen`."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the exit code once the process has ended."""
        if self.returncode is None and select.select([self._handle], [], [], 0)[0]:
            self.returncode = self._nursery.code_of(self.pid)
            os.close(self._handle)
        return self.returncode

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        if self.returncode is None:
            select.select([self._handle], [], [])
        return self.poll() or 0

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)
