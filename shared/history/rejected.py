"""Rows that could not be used, written to a file of their own with line, reason and the cells as they came."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from shared.history.csv_files import HistoryError, Record


class RejectedRows:
    """Collects the unreadable rows of one file; nothing appears under the final name before `keep`.

    ``resume_at`` is the number of bytes an interrupted run had written (`position`); what came after is dropped.
    """

    def __init__(self, path: Path, header: Sequence[str], resume_at: int = 0) -> None:
        self.path = path
        self.count = 0
        self._header = header
        self._resume_at = resume_at
        self._part = path.with_name(f"{path.name}.part")
        self._file: TextIOWrapper | None = None

    @staticmethod
    def holds(path: Path, size: int) -> bool:
        """Say whether the rows that an interrupted run had written, ``size`` bytes of them, are still there."""
        part = path.with_name(f"{path.name}.part")
        return size == 0 or (part.exists() and part.stat().st_size >= size)

    def add(self, record: Record, reason: str) -> None:
        """Write one row down."""
        self.count += 1
        file = self._file or self._open()
        csv.writer(file, lineterminator="\n").writerow([record.line, reason, *record.raw])

    def position(self) -> int:
        """Return how many bytes are safely written, to go on from there after an interruption."""
        if self._file is None:
            return self._resume_at
        self._file.flush()
        return self._part.stat().st_size

    def keep(self) -> None:
        """Put the file in place; without rejected rows the one of an earlier run goes away."""
        if self._resume_at and self._file is None:
            self._open()
        if self._file is None:
            self.path.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
            return
        self._file.close()
        self._part.replace(self.path)

    def close(self) -> None:
        """Let go of the file and leave it as it is, for a later run that goes on."""
        if self._file is not None:
            self._file.close()

    def discard(self) -> None:
        """Forget all that was written."""
        self.close()
        self._part.unlink(missing_ok=True)

    def _open(self) -> TextIOWrapper:
        resumed = self._resume_at > 0 and self.holds(self.path, self._resume_at)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if resumed:
                os.truncate(self._part, self._resume_at)
            self._file = self._part.open("a" if resumed else "w", encoding="utf-8", newline="")
        except OSError as error:
            raise HistoryError(f"{self.path} cannot be written ({error.strerror}); make room for it.") from None
        if not resumed:
            csv.writer(self._file, lineterminator="\n").writerow(["line", "reason", *self._header])
        return self._file
