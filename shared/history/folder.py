"""A history folder: the files of a carrier's past, read as the events that would have been published then.

shipments.csv is required; org.csv, accounts.csv, charges.csv and scans.csv are optional. A row that cannot be used is
set aside with its line and reason; what makes the folder meaningless as a whole refuses it before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path

from shared.clock import business_date
from shared.events.freight import FreightCharged
from shared.history.csv_files import CsvFile, HistoryError, Record, UnreadableRow
from shared.history.organisation import (
    ACCOUNT_COLUMNS,
    UNIT_COLUMNS,
    Account,
    ListedAccount,
    Organisation,
    Unit,
    check_placement,
    organisation_of_states,
    read_accounts,
    read_organisation,
    readable,
)
from shared.history.parcels import Dated, Fact, Parcel, ParcelReading, charge_no_of, charge_row, scan_row, state_branch
from shared.history.rejected import RejectedRows
from shared.history.timeline import COLUMNS, FILES, Source, Timeline, place_of
from shared.months import add_months, business_month, month_start_instant

FILE_NAMES = ("shipments.csv", "org.csv", "accounts.csv", "charges.csv", "scans.csv")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a folder holds, for the summary; ``rejected`` counts rows per file."""

    parcels: int
    accounts: int
    units: int
    events: int
    extra_charges: int
    extra_scans: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class History:
    """What a folder says: units with parents first, accounts, and a timeline of publications.

    ``start`` is the business day of the first event, ``end`` the instant at which the replay ends: 01:00 Asia/Shanghai
    on the first day of the month after the last event, so that the last month is closed. ``digest`` tells one folder
    from another by the content of its files. ``strangers`` are accounts that nobody opens before an event names them.
    """

    folder: Path
    digest: str
    units: tuple[Unit, ...]
    accounts: tuple[Account, ...]
    strangers: frozenset[str]
    start: date
    end: datetime
    timeline: Timeline
    counts: Counts

    def publications(self) -> Iterator[Dated]:
        """Yield every (publication instant, event) in order of publication."""
        return self.timeline.everything()

    def close(self) -> None:
        """Let go of the files."""
        self.timeline.close()

    def window(self, start: datetime, end: datetime) -> Iterator[Dated]:
        """Yield what is published from ``start`` on and before ``end``, in order."""
        return self.timeline.window(start, end)


def folder_digest(folder: Path) -> str:
    """Return the digest of a folder's files without reading their rows.

    Raises:
        HistoryError: there is no such folder, or it has no shipments.csv.
    """
    if not folder.is_dir():
        raise HistoryError(f"{folder} is not a folder; name a folder that holds shipments.csv.")
    if not (folder / "shipments.csv").is_file():
        raise HistoryError(f"{folder / 'shipments.csv'} is missing; put it there or name another folder.")
    total = sha256()
    for name in FILE_NAMES:
        path = folder / name
        if path.exists():
            try:
                with path.open("rb") as file:
                    total.update(f"{name} {file_digest(file, 'sha256').hexdigest()}\n".encode())
            except OSError as error:
                raise HistoryError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    return total.hexdigest()


def read_history(folder: Path, rejected_dir: Path) -> History:
    """Read a history folder; rows that cannot be used go to ``rejected_dir/<file>.rejected.csv``.

    Raises:
        HistoryError: the folder cannot be used; nothing was changed then.
    """
    digest = folder_digest(folder)
    with ExitStack() as stack:
        reader = _Reader(folder, rejected_dir, stack)
        try:
            history = reader.read(digest)
            for rejected in reader.rejected.values():
                rejected.keep()
        except BaseException:
            for rejected in reader.rejected.values():
                rejected.discard()
            raise
    return history


@dataclass(slots=True)
class _Seen:
    """What is known of an account from its events: its first one, and its parcel ordered first."""

    first_event: datetime
    first_order: tuple[datetime, str, str] | None = None


@dataclass(slots=True)
class _Reader:
    """Reads the files of one folder in the order in which one needs the other."""

    folder: Path
    rejected_dir: Path
    stack: ExitStack
    rejected: dict[str, RejectedRows] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    accounts: dict[str, _Seen] = field(default_factory=dict)
    parcels: dict[str, int] = field(default_factory=dict)
    parcels_of_scans: dict[int, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def read(self, digest: str) -> History:
        organisation = self._organisation()
        listed = self._listed_accounts()
        reading = ParcelReading(_branch_named if organisation else state_branch)
        self._shipments(reading, organisation)
        organisation = organisation or organisation_of_states(self.states)
        check_placement(self.folder / "accounts.csv", listed.values(), organisation)
        extra_scans = self._scans(reading)
        extra_charges = self._charges(reading)
        if not self.places:
            raise HistoryError(f"{self.folder / 'shipments.csv'} line 2: no row can be read; give at least one parcel.")
        self.places.sort()
        timeline = Timeline(self.folder, self.places, self.parcels_of_scans, reading)
        accounts = self._opened(listed)
        rejected = {name: rows.count for name, rows in self.rejected.items() if rows.count}
        units = tuple(organisation.units)
        counts = Counts(len(self.parcels), len(accounts), len(units), len(timeline), extra_charges, extra_scans, rejected)
        end = month_start_instant(add_months(business_month(timeline.last), 1)) + timedelta(hours=1)
        strangers = frozenset(self.accounts.keys() - {account.account_no for account in accounts})
        start = business_date(timeline.first)
        return History(self.folder, digest, units, accounts, strangers, start, end, timeline, counts)

    def _open(self, name: str, columns: tuple[str, ...]) -> tuple[CsvFile, RejectedRows] | None:
        """Open a file of the folder and the place for its rejected rows; an optional file may be missing."""
        path = self.folder / name
        rejected_to = self.rejected_dir / f"{name}.rejected.csv"
        if not path.exists():
            self.rejected[name] = RejectedRows(rejected_to, columns)
            return None
        file = self.stack.enter_context(CsvFile(path, {column: column for column in columns}))
        rejected = self.rejected[name] = RejectedRows(rejected_to, file.header)
        self.stack.callback(rejected.close)
        return file, rejected

    def _organisation(self) -> Organisation | None:
        opened = self._open("org.csv", UNIT_COLUMNS)
        return read_organisation(*opened) if opened else None

    def _listed_accounts(self) -> dict[str, ListedAccount]:
        opened = self._open("accounts.csv", ACCOUNT_COLUMNS)
        return read_accounts(*opened) if opened else {}

    def _shipments(self, reading: ParcelReading, organisation: Organisation | None) -> None:
        opened = self._open(FILES[Source.SHIPMENTS], COLUMNS[Source.SHIPMENTS])
        if opened is None:
            raise HistoryError(f"{self.folder / 'shipments.csv'} is missing; put it there or name another folder.")
        file, rejected = opened
        for record in readable(file, rejected):
            try:
                parcel = reading.parcel(record.fields)
            except UnreadableRow as error:
                rejected.add(record, str(error))
                continue
            known = self.parcels.get(parcel.waybill_no)
            if known is None:
                self._take_parcel(parcel, record, organisation)
            elif file.at(known).fields != record.fields:
                rejected.add(record, f"waybill {parcel.waybill_no!r} stands on an earlier line with other content")

    def _take_parcel(self, parcel: Parcel, record: Record, organisation: Organisation | None) -> None:
        branch_code = parcel.branch_code
        if organisation is None:
            self.states.setdefault(branch_code, parcel.shared["origin"]["region"])
        elif not organisation.has_branch(branch_code):
            where = f"{self.folder / 'shipments.csv'} line {record.line}: origin_state"
            organisation.check(branch_code, "branch", where)
        self.parcels[parcel.waybill_no] = record.offset
        self.places += [place_of(at, Source.SHIPMENTS, record.offset, fact) for fact, at in parcel.facts]
        seen = self._note_event(parcel.account_no, min(at for _, at in parcel.facts))
        order = (parcel.ordered_at, parcel.waybill_no, branch_code)
        if seen.first_order is None or order < seen.first_order:
            seen.first_order = order

    def _note_event(self, account_no: str, at: datetime) -> _Seen:
        seen = self.accounts.get(account_no)
        if seen is None:
            seen = self.accounts[account_no] = _Seen(at)
        elif at < seen.first_event:
            seen.first_event = at
        return seen

    def _scans(self, reading: ParcelReading) -> int:
        """Read scans.csv and return how many scans it adds; a scan is known by waybill, status and instant."""
        opened = self._open(FILES[Source.SCANS], COLUMNS[Source.SCANS])
        if opened is None:
            return 0
        file, rejected = opened
        parcels = self._again(Source.SHIPMENTS)
        codes: dict[tuple[str, str, datetime], str | None] = {}
        for record in readable(file, rejected):
            try:
                scan = scan_row(record.fields)
                if scan.waybill_no not in self.parcels:
                    raise UnreadableRow(f"waybill_no {scan.waybill_no!r} is not in shipments.csv")
                identity = (scan.waybill_no, scan.status, scan.occurred_at)
                if codes.get(identity, scan.exception_code) != scan.exception_code:
                    raise UnreadableRow("the same scan stands on an earlier line with another exception_code")
            except UnreadableRow as error:
                rejected.add(record, str(error))
                continue
            if identity in codes:
                continue
            codes[identity] = scan.exception_code
            offset = self.parcels_of_scans[record.offset] = self.parcels[scan.waybill_no]
            self.places.append(place_of(scan.occurred_at, Source.SCANS, record.offset))
            account_no = reading.parcel(parcels.at(offset).fields).account_no
            self._note_event(account_no, scan.occurred_at)
        return len(codes)

    def _charges(self, reading: ParcelReading) -> int:
        """Read charges.csv and return how many charges it adds.

        Of two lines with the same charge and version but other content the one published first stays, and a parcel's
        own charge before any line: the choice never depends on the order in which the bus delivers.
        """
        opened = self._open(FILES[Source.CHARGES], COLUMNS[Source.CHARGES])
        if opened is None:
            return 0
        file, rejected = opened
        lines: list[tuple[datetime, int, Record, FreightCharged]] = []
        for record in readable(file, rejected):
            try:
                row = charge_row(record.fields)
            except UnreadableRow as error:
                rejected.add(record, str(error))
                continue
            lines.append((row.published_at, record.line, record, row.event))
        standing: dict[tuple[str, int], FreightCharged] = {}
        parcels = self._again(Source.SHIPMENTS)
        for published_at, _, record, event in sorted(lines, key=lambda line: line[:2]):
            identity = (event.charge_no, event.version)
            first = standing.get(identity) or self._own_charge(event, reading, parcels)
            if first is None:
                standing[identity] = event
                self.places.append(place_of(published_at, Source.CHARGES, record.offset))
                self._note_event(event.account_no, published_at)
            elif first != event:
                rejected.add(record, f"charge {event.charge_no!r} version {event.version} has other content elsewhere")
        return len(standing)

    def _own_charge(self, event: FreightCharged, reading: ParcelReading, parcels: CsvFile) -> FreightCharged | None:
        """Return the charge that the parcel's own row publishes under this number and version, if it does."""
        offset = self.parcels.get(event.waybill_no)
        if offset is None or event.version != 1 or event.charge_no != charge_no_of(event.waybill_no):
            return None
        parcel = reading.parcel(parcels.at(offset).fields)
        return next((parcel.charge(at) for fact, at in parcel.facts if fact is Fact.CHARGED), None)

    def _again(self, source: Source) -> CsvFile:
        return self.stack.enter_context(CsvFile(self.folder / FILES[source], {c: c for c in COLUMNS[source]}))

    def _opened(self, listed: dict[str, ListedAccount]) -> tuple[Account, ...]:
        """Return all accounts by the day they must be known, listed ones and those that only ordered parcels.

        An account that is neither listed nor ordered a parcel (a charge was moved to it) is left to its first event.
        """
        accounts = []
        for account_no in sorted(listed.keys() | self.accounts.keys()):
            seen, row = self.accounts.get(account_no), listed.get(account_no)
            if row is not None:
                name, branch_code, outlet_code, opened_on = row.name, row.branch_code, row.outlet_code, row.opened_on
            elif seen is not None and seen.first_order is not None:
                ordered_at, _, branch = seen.first_order
                name, branch_code, outlet_code, opened_on = None, branch, None, business_date(ordered_at)
            else:
                continue
            known_by = min(opened_on, business_date(seen.first_event)) if seen else opened_on
            accounts.append(Account(account_no, name, branch_code, outlet_code, opened_on, known_by))
        return tuple(sorted(accounts, key=lambda account: (account.must_open_by, account.account_no)))


def _branch_named(code: str) -> str:
    """Return the branch an origin_state names where the folder has an organisation: the code itself."""
    if not code:
        raise UnreadableRow("origin_state is empty")
    return code
