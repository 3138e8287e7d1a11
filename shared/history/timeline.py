"""Everything a history folder publishes, in order of publication, at about 50 bytes per event.

Only the place of each event is kept: instant, file, byte offset of its row, and which fact of the row it is, packed
into one whole number that sorts in the order of publication. The events themselves are made when they are asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cached_property, lru_cache
from pathlib import Path

from shared.events.envelope import Event
from shared.events.fields import FIRST_INSTANT
from shared.events.shipments import ShipmentStatusChanged
from shared.history.csv_files import CsvFile, HistoryError, UnreadableRow
from shared.history.parcels import (
    CHARGE_COLUMNS,
    SCAN_COLUMNS,
    SHIPMENT_COLUMNS,
    Dated,
    Fact,
    Parcel,
    ParcelReading,
    charge_row,
    scan_row,
)

_MICROSECOND = timedelta(microseconds=1)
_FACT_BITS, _OFFSET_BITS, _FILE_BITS = 3, 44, 2
_FILE_SHIFT = _FACT_BITS + _OFFSET_BITS
_INSTANT_SHIFT = _FILE_SHIFT + _FILE_BITS
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_PARCELS_AT_HAND = 8192
"""Parcels kept ready: the facts of one lie days apart, and its row is read once for all of them."""


_NAMES = tuple(fact.name for fact in Fact)
_FACTS = tuple(Fact)


class Source(IntEnum):
    """The files that publish, in the order in which simultaneous events of several files are published."""

    SHIPMENTS = 0
    SCANS = 1
    CHARGES = 2


_SOURCES = tuple(Source)
COLUMNS = {Source.SHIPMENTS: SHIPMENT_COLUMNS, Source.SCANS: SCAN_COLUMNS, Source.CHARGES: CHARGE_COLUMNS}
FILES = {Source.SHIPMENTS: "shipments.csv", Source.SCANS: "scans.csv", Source.CHARGES: "charges.csv"}


def place_of(at: datetime, source: Source, offset: int, fact: int = 0) -> int:
    """Return the place of an event in the order of publication."""
    since = (at - FIRST_INSTANT) // _MICROSECOND
    return since << _INSTANT_SHIFT | source << _FILE_SHIFT | offset << _FACT_BITS | fact


def _start_of(at: datetime) -> int:
    return (at - FIRST_INSTANT) // _MICROSECOND << _INSTANT_SHIFT


def _instant_of(place: int) -> datetime:
    return FIRST_INSTANT + (place >> _INSTANT_SHIFT) * _MICROSECOND


class Timeline:
    """The events of a folder by publication instant.

    ``places`` are sorted; ``parcels_of_scans`` gives for the offset of a scan the offset of its parcel's row.
    """

    def __init__(self, folder: Path, places: list[int], parcels_of_scans: Mapping[int, int], reading: ParcelReading) -> None:
        self._folder = folder
        self._places = places
        self._parcels_of_scans = parcels_of_scans
        self._reading = reading

    def __len__(self) -> int:
        return len(self._places)

    @property
    def first(self) -> datetime:
        """The instant of the first publication."""
        return _instant_of(self._places[0])

    @property
    def last(self) -> datetime:
        """The instant of the last publication."""
        return _instant_of(self._places[-1])

    def count(self, start: datetime, end: datetime) -> int:
        """Return how many events are published from ``start`` on and before ``end``."""
        low, high = self._bounds(start, end)
        return high - low

    def window(self, start: datetime, end: datetime) -> Iterator[Dated]:
        """Yield what is published from ``start`` on and before ``end``, in order.

        Raises:
            HistoryError: the files are no longer those that were read.
        """
        low, high = self._bounds(start, end)
        return self._events(low, high)

    def everything(self) -> Iterator[Dated]:
        """Yield all publications in order."""
        return self._events(0, len(self._places))

    def _bounds(self, start: datetime, end: datetime) -> tuple[int, int]:
        return bisect_left(self._places, _start_of(start)), bisect_left(self._places, _start_of(end))

    def _events(self, low: int, high: int) -> Iterator[Dated]:
        if low >= high:
            return
        try:
            for place in self._places[low:high]:
                yield self._rows.event(place)
        except (UnreadableRow, ValueError, StopIteration) as error:
            raise HistoryError(f"{self._folder} was changed while it was replayed; start afresh ({error}).") from None

    @cached_property
    def _rows(self) -> _Rows:
        files = {
            source: CsvFile(self._folder / name, {column: column for column in COLUMNS[source]})
            for source, name in FILES.items()
            if source is Source.SHIPMENTS or (self._folder / name).exists()
        }
        return _Rows(files, self._reading, self._parcels_of_scans)

    def close(self) -> None:
        """Let go of the files; they are opened again when an event is asked for."""
        rows = self.__dict__.pop("_rows", None)
        if rows is not None:
            rows.close()


class _Rows:
    """Makes events of the rows of open files."""

    def __init__(self, files: Mapping[Source, CsvFile], reading: ParcelReading, parcels_of_scans: Mapping[int, int]) -> None:
        self._files, self._reading, self._parcels_of_scans = files, reading, parcels_of_scans
        self._parcel = lru_cache(_PARCELS_AT_HAND)(self._read_parcel)
        self._scan = lru_cache(_PARCELS_AT_HAND)(self._first_scan)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _read_parcel(self, offset: int) -> Parcel:
        return self._reading.parcel(self._files[Source.SHIPMENTS].at(offset).fields)

    def _first_scan(self, offset: int) -> ShipmentStatusChanged:
        parcel = self._parcel(offset)
        return parcel.scan(Fact.CREATED.name, parcel.ordered_at)

    def _fact(self, offset: int, fact: Fact, at: datetime) -> Event:
        """Return the event of a fact. All scans of a row are copies of its first: what they share is checked once."""
        if fact is Fact.CHARGED:
            return self._parcel(offset).charge(at)
        return self._scan(offset).another(_NAMES[fact], at)

    def event(self, place: int) -> Dated:
        at = _instant_of(place)
        offset = place >> _FACT_BITS & _OFFSET_MASK
        event: Event
        match _SOURCES[place >> _FILE_SHIFT & (1 << _FILE_BITS) - 1]:
            case Source.SHIPMENTS:
                event = self._fact(offset, _FACTS[place & (1 << _FACT_BITS) - 1], at)
            case Source.SCANS:
                scan = scan_row(self._files[Source.SCANS].at(offset).fields)
                parcel = self._parcel(self._parcels_of_scans[offset])
                event = parcel.scan(scan.status, scan.occurred_at, scan.exception_code)
            case Source.CHARGES:
                event = charge_row(self._files[Source.CHARGES].at(offset).fields).event
        return at, event
