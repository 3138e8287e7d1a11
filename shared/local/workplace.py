"""The directory `.local`: everything a local suite keeps, who is using it, and what is running."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENDING_SECONDS = 15.0
"""How long a start waits for a suite that is just ending."""
NOTICE_SECONDS = 1.5
"""A suite whose `make` was killed notices within this time."""


class OccupiedError(RuntimeError):
    """Another suite works in the directory; the message is one sentence."""


class Workplace:
    """`.local`: locked by one suite at a time, described by suite.json while it runs."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.state_file = self.root / "suite.json"
        self.logs = self.root / "logs"
        self.history = self.root / "history"
        self.rejected = self.root / "rejected"

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Hold the lock; waits for a suite that is ending. Raises OccupiedError if one goes on working."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.root / "lock", "a+") as lock:
            self._acquire(lock.fileno())
            self._note_holder("running")
            self._wait_for_leftovers()
            for directory in (self.logs, self.rejected):
                directory.mkdir(exist_ok=True, mode=0o700)
            yield

    def note_ending(self) -> None:
        """Tell the next start that it is worth waiting."""
        self._note_holder("ending")

    def write_state(self, state: dict[str, Any]) -> None:
        """Say what runs and where, for `crm status` and the next start."""
        draft = self.state_file.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state, file, indent=1)
        draft.rename(self.state_file)

    def read_state(self) -> dict[str, Any]:
        """What write_state said last; empty when nothing was ever started here."""
        try:
            state: dict[str, Any] = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return state

    def reset(self) -> None:
        """Forget databases, topics and history; keys and logs stay. To be called with the lock held."""
        self.state_file.unlink(missing_ok=True)
        for name in ("postgres", "kafka", "history", "rejected"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "history.json").unlink(missing_ok=True)
        self.rejected.mkdir(exist_ok=True, mode=0o700)

    def _note_holder(self, word: str) -> None:
        (self.root / "holder.json").write_text(json.dumps({"pid": os.getpid(), "parent": os.getppid(), "is": word}))

    def _acquire(self, lock: int) -> None:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited > (ENDING_SECONDS if self._holder_is_ending() else NOTICE_SECONDS):
                    raise OccupiedError(
                        f"Another suite is running in {self.root}: end it first, or use another directory (CRM_LOCAL)."
                    ) from None
                time.sleep(0.1)

    def _holder_is_ending(self) -> bool:
        try:
            holder = json.loads((self.root / "holder.json").read_text())
        except (OSError, ValueError):
            return True  # it is being written
        return bool(holder["is"] == "ending")

    def _wait_for_leftovers(self) -> None:
        """Wait for the processes of a suite that was killed; they end by themselves within 10 s."""
        pids = self.read_state().get("pids", {})
        deadline = time.monotonic() + ENDING_SECONDS
        while any(_is_ours(pid) for pid in pids.values()) and time.monotonic() < deadline:
            time.sleep(0.1)


def _is_ours(pid: int) -> bool:
    """Whether the pid still belongs to one of our processes, and not to somebody who got the number later."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"guard.py" in command or b"crm" in command
