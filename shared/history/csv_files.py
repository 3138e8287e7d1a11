"""CSV files as partners really send them: read record by record, each with the line and the place where it stands.

A record that cannot be read spoils itself alone. A whole file is refused only where no record of it can be trusted:
it is missing, it is not UTF-8, or its header is not the one asked for.
"""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_LINE_BYTES = 64 * 1024
MAX_RECORD_LINES = 50
BOM = b"\xef\xbb\xbf"
SAMPLE_BYTES = 256 * 1024
TOO_MANY_SPOILT = 3
OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00")


class HistoryError(Exception):
    """The files cannot be used at all: one sentence that names the file, the line and the remedy."""


class UnreadableRow(ValueError):  # noqa: N818 - a verdict on a row, not a failure of ours
    """One row cannot be used; the text says why, in words for the person who mends the file."""


class Record(NamedTuple):
    """One record of a file.

    ``fields`` holds the values of the columns asked for, in that order, without surrounding blanks; it is empty where
    ``reason`` says why the record cannot be read. ``line`` counts physical lines from 1, of which the record takes
    ``lines``; it lies between the byte offsets ``offset`` and ``end``.
    """

    line: int
    lines: int
    offset: int
    end: int
    raw: tuple[str, ...]
    fields: tuple[str, ...]
    reason: str = ""


class _Line(NamedTuple):
    number: int
    offset: int
    data: bytes
    end: int


class CsvFile:
    """A CSV file with a header, open for reading.

    ``columns`` maps our column names to those of the file. Columns may stand in any order; others are ignored.

    Raises:
        HistoryError: the file is missing, empty, not UTF-8, or lacks a column.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path = path
        self._lookups: BinaryIO | None = None
        try:
            self._file: BinaryIO = path.open("rb")
        except FileNotFoundError:
            raise HistoryError(f"{path} is missing; put it there or name another place.") from None
        except OSError as error:
            raise HistoryError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._refuse_other_encodings()
            self._read_header(columns)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        if self._lookups is not None:
            self._lookups.close()

    def _refuse_other_encodings(self) -> None:
        """Refuse a file whose text beyond ASCII is mostly not UTF-8; single spoilt lines are left to their records."""
        sample = self._file.read(SAMPLE_BYTES)
        foreign, spoilt = 0, 0
        for line in sample.split(b"\n")[:-1]:
            if not line.isascii():
                foreign += 1
                spoilt += not _is_utf8(line)
        if sample.startswith(OTHER_ENCODINGS) or (spoilt >= TOO_MANY_SPOILT and spoilt * 2 > foreign):
            raise HistoryError(f"{self.path} line 1: the file is not UTF-8 text; save it as UTF-8 and try again.")
        self._file.seek(0)

    def _read_header(self, columns: Mapping[str, str]) -> None:
        self._width = 0
        wanted = ",".join(columns.values())
        header = next(self._records(0, 1), None)
        if header is None or header.reason:
            why = header.reason if header else "the file is empty"
            raise HistoryError(f"{self.path} line 1: {why}; the first line must be the header {wanted}.")
        self.header = header.raw
        self.body = (header.end, header.line + header.lines)
        names = [name.strip() for name in header.raw]
        missing = [name for name in columns.values() if name not in names]
        twice = [name for name in columns.values() if names.count(name) > 1]
        if missing or twice:
            what = f"lacks {', '.join(missing)}" if missing else f"names {', '.join(twice)} twice"
            raise HistoryError(f"{self.path} line {header.line}: the header {what}; it must be {wanted}.")
        self._width = len(names)
        places = [names.index(name) for name in columns.values()]
        # itemgetter of a single place gives the bare value instead of a tuple.
        self._pick = itemgetter(*places) if len(places) > 1 else lambda raw: (raw[places[0]],)

    def records(self, start: tuple[int, int] | None = None) -> Iterator[Record]:
        """Yield the records below the header, or from ``start`` (byte offset, line number) on."""
        return self._records(*(start or self.body))

    def at(self, offset: int) -> Record:
        """Return the record that begins at a byte offset (its line number is unknown and given as 0)."""
        if self._lookups is None:
            # A handle of its own: whoever walks through `records` keeps its place.
            self._lookups = self.path.open("rb")
        return next(self._records(offset, 0, self._lookups))

    def _records(self, offset: int, number: int, file: BinaryIO | None = None) -> Iterator[Record]:
        lines = _Lines(file or self._file, offset, number)
        while (first := lines.next()) is not None:
            if not first.data.strip():
                continue
            if b'"' not in first.data:
                yield self._record(first, first.data, 1, first.end)
                continue
            taken = lines.rest_of_record(first)
            record = self._record(first, b"".join(line.data for line in taken), len(taken), taken[-1].end)
            if record.reason and len(taken) > 1:
                # A stray quotation mark must not swallow the good rows behind it: only its own line is spoilt.
                lines.push_back(taken[1:])
                record = self._record(first, first.data, 1, first.end)
            yield record

    def _record(self, first: _Line, data: bytes, lines: int, end: int) -> Record:
        if len(data) >= MAX_LINE_BYTES:
            return self._spoilt(first, f"the row is longer than {MAX_LINE_BYTES - 1} bytes")
        if b"\0" in data:
            return self._spoilt(first, "the row holds a NUL byte")
        if first.offset == 0:
            data = data.removeprefix(BOM)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return self._spoilt(first, "the row is not UTF-8 text")
        text = text.removesuffix("\n").removesuffix("\r")
        if '"' not in text:
            raw = text.split(",")
        else:
            try:
                raw = next(csv.reader([text], strict=True))
            except csv.Error:
                return self._spoilt(first, "the quotation marks do not match")
        if self._width and len(raw) != self._width:
            return self._spoilt(first, f"the row has {len(raw)} columns, not {self._width}", raw)
        fields = tuple(map(str.strip, self._pick(raw))) if self._width else ()
        return Record(first.number, lines, first.offset, end, tuple(raw), fields)

    def _spoilt(self, line: _Line, reason: str, raw: Sequence[str] | None = None) -> Record:
        if raw is None:
            text = line.data[:MAX_LINE_BYTES].decode(errors="backslashreplace").rstrip("\r\n").replace("\0", "\\0")
            raw = text.split(",")
        return Record(line.number, 1, line.offset, line.end, tuple(raw), (), reason)


class _Lines:
    """Physical lines of a file from a place on, with the possibility to give some back."""

    def __init__(self, file: BinaryIO, offset: int, number: int) -> None:
        self._file, self._offset, self._number = file, offset, number
        self._given_back: deque[_Line] = deque()
        file.seek(offset)

    def next(self) -> _Line | None:
        if self._given_back:
            return self._given_back.popleft()
        data = self._file.readline(MAX_LINE_BYTES)
        if not data:
            return None
        offset, number = self._offset, self._number
        self._offset += len(data)
        self._number += 1
        if len(data) == MAX_LINE_BYTES and not data.endswith(b"\n"):
            self._skip_to_end_of_line()
        return _Line(number, offset, data, self._offset)

    def _skip_to_end_of_line(self) -> None:
        while rest := self._file.readline(MAX_LINE_BYTES):
            self._offset += len(rest)
            if rest.endswith(b"\n"):
                return

    def rest_of_record(self, first: _Line) -> list[_Line]:
        """Return the lines of a record: it ends where its quotation marks are even in number."""
        taken, marks = [first], first.data.count(b'"')
        while marks % 2 and len(taken) < MAX_RECORD_LINES:
            line = self.next()
            if line is None:
                break
            taken.append(line)
            marks += line.data.count(b'"')
        return taken

    def push_back(self, lines: Sequence[_Line]) -> None:
        self._given_back.extendleft(reversed(lines))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
