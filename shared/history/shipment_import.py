"""Import of a parcels file (`crm import shipments FILE`): every row is published through the public contract.

The file is read as a stream. Ids come from the rows, so that repeating an import changes nothing; after each batch that
the bus has acknowledged the place in the file is written down, so that an interrupted import goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.history.csv_files import CsvFile, HistoryError, Record, UnreadableRow
from shared.history.mapping import ColumnMapping
from shared.history.parcels import BranchOf, Dated, ParcelReading, state_branch
from shared.history.rejected import RejectedRows
from shared.history.rows import unit_code

ROWS_PER_BATCH = 500
REASONS_SHOWN = 20

Send = Callable[[Sequence[Dated]], Awaitable[None]]
"""Publishes events with their publication instants and returns when the bus has acknowledged all of them."""


@dataclass(slots=True)
class ImportCounts:
    """What an import has done so far, earlier interrupted runs of it included."""

    rows: int = 0
    parcels: int = 0
    events: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import has come, in bytes of the file."""

    bytes_done: int
    bytes_total: int
    counts: ImportCounts


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The end of an import.

    ``rejected_file`` holds the unreadable rows, if there are any and it was no dry run; ``first_rejections`` are the
    first 20 of this run as (line, reason). ``resumed_at`` is the line on which an interrupted import was taken up.
    """

    counts: ImportCounts
    rejected_file: Path | None
    first_rejections: tuple[tuple[int, str], ...]
    resumed_at: int | None


def branch_reading(mapping: ColumnMapping, branch_codes: Collection[str] = ()) -> BranchOf:
    """Return how an origin_state names a branch.

    The mapping's prefix decides where it has one. Else the state is the code of a branch where such a branch is known
    (``branch_codes``), and stands for `BR-` + state otherwise, as in a history folder without org.csv.
    """

    def branch_of(state: str) -> str:
        if mapping.branch_prefix is not None:
            if not state:
                raise UnreadableRow("origin_state is empty")
            return unit_code("origin_state", mapping.branch_prefix + state)
        return state if state in branch_codes else state_branch(state)

    return branch_of


async def import_shipments(
    path: Path,
    send: Send,
    *,
    mapping: ColumnMapping | None = None,
    branch_codes: Collection[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[ImportProgress], None] | None = None,
) -> ImportResult:
    """Publish the parcels of a CSV file and return what was done.

    Unreadable rows go to `FILE.rejected.csv` with line and reason, the rest goes in. A dry run reads everything, sends
    nothing and writes nothing. The place reached is kept in `FILE.progress.json` until the import is complete.

    Raises:
        HistoryError: the file cannot be used at all; nothing was sent then.
    """
    run = _Run(path, mapping or ColumnMapping(), branch_codes, dry_run)
    try:
        with run.file:
            # Before anything is sent: where the place cannot be kept, the import must not begin.
            run.save_place()
            for batch in iter(run.next_batch, None):
                if batch and not dry_run:
                    await send(batch)
                run.save_place()
                if on_progress:
                    on_progress(ImportProgress(run.offset, run.file.size, run.counts))
        return run.finish()
    finally:
        run.rejected.close()


class _Run:
    """One run over a file: where it stands and what it has counted."""

    def __init__(self, path: Path, mapping: ColumnMapping, branch_codes: Collection[str], dry_run: bool) -> None:
        self.file: CsvFile = mapping.open(path)
        self._complete = mapping.completion()
        self._reading = ParcelReading(branch_reading(mapping, branch_codes), mapping.naive, mapping.money)
        self._dry_run = dry_run
        self._place = _Place(path, mapping)
        rejected_to = path.with_name(f"{path.name}.rejected.csv")
        reached = None if dry_run else self._place.load()
        if reached and not RejectedRows.holds(rejected_to, reached["rejected_bytes"]):
            reached = None
        self.counts = ImportCounts(**reached["counts"]) if reached else ImportCounts()
        place: tuple[int, int] = (reached["offset"], reached["line"]) if reached else self.file.body
        self.offset, self._line = place
        self._resumed_at = self._line if self.counts.rows else None
        self._records = self.file.records(place)
        self._first: list[tuple[int, str]] = []
        self.rejected = RejectedRows(rejected_to, self.file.header, reached["rejected_bytes"] if reached else 0)

    def next_batch(self) -> list[Dated] | None:
        """Read some rows and return their events; None at the end of the file."""
        batch: list[Dated] = []
        rows_before = self.counts.rows
        for record in self._records:
            self.counts.rows += 1
            self.offset, self._line = record.end, record.line + record.lines
            try:
                batch += self._events(record)
            except UnreadableRow as error:
                self._reject(record, str(error))
            if self.counts.rows - rows_before == ROWS_PER_BATCH:
                break
        if self.counts.rows == rows_before:
            return None
        self.counts.events += len(batch)
        return batch

    def _events(self, record: Record) -> list[Dated]:
        if record.reason:
            raise UnreadableRow(record.reason)
        events = self._reading.parcel(self._complete(record.fields)).publications()
        self.counts.parcels += 1
        return events

    def _reject(self, record: Record, reason: str) -> None:
        self.counts.rejected += 1
        if len(self._first) < REASONS_SHOWN:
            self._first.append((record.line, reason))
        if not self._dry_run:
            self.rejected.add(record, reason)

    def save_place(self) -> None:
        """Write down that everything read so far is published."""
        if not self._dry_run:
            self._place.save(self.offset, self._line, self.rejected.position(), self.counts)

    def finish(self) -> ImportResult:
        """Put the rejected rows in place and forget the place reached."""
        kept = None
        if not self._dry_run:
            self.rejected.keep()
            self._place.forget()
            kept = self.rejected.path if self.counts.rejected else None
        return ImportResult(self.counts, kept, tuple(self._first), self._resumed_at)


class _Place:
    """The place an import has reached in a file, valid only while file and mapping are the same."""

    def __init__(self, path: Path, mapping: ColumnMapping) -> None:
        self._file = path.with_name(f"{path.name}.progress.json")
        state = path.stat()
        self._of = [state.st_size, state.st_mtime_ns, repr(mapping)]

    def load(self) -> dict[str, Any] | None:
        try:
            reached: dict[str, Any] = json.loads(self._file.read_bytes())
            return reached if reached["of"] == self._of else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, offset: int, line: int, rejected_bytes: int, counts: ImportCounts) -> None:
        reached = {
            "of": self._of,
            "offset": offset,
            "line": line,
            "rejected_bytes": rejected_bytes,
            "counts": asdict(counts),
        }
        part = self._file.with_name(f"{self._file.name}.part")
        try:
            part.write_text(json.dumps(reached), "utf-8")
            part.replace(self._file)
        except OSError as error:
            raise HistoryError(f"{self._file} cannot be written ({error.strerror}); make room for it.") from None

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
