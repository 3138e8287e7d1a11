"""Units and settlement accounts of a history folder: who belongs where (district 区, branch 分部, outlet 点部)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

from shared.history import rows
from shared.history.csv_files import CsvFile, HistoryError, Record, UnreadableRow
from shared.history.rejected import RejectedRows

UnitKind = Literal["hq", "district", "branch", "outlet"]
KINDS: tuple[UnitKind, ...] = get_args(UnitKind)
"""The kinds of units, each above the next."""
UNIT_COLUMNS = ("unit_code", "kind", "parent_code", "name")
ACCOUNT_COLUMNS = ("account_no", "name", "branch_code", "outlet_code", "opened_on")
ROOT = "HQ"
DISTRICT_OF_STATES = "BR"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the organisation; the root has no parent."""

    unit_code: str
    kind: UnitKind
    parent_code: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """A settlement account of the history.

    ``must_open_by`` is the business day on which it has to be known: `opened_on`, or the day of its first event where
    that comes before.
    """

    account_no: str
    name: str | None
    branch_code: str | None
    outlet_code: str | None
    opened_on: date
    must_open_by: date


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """A row of accounts.csv and its line."""

    account_no: str
    name: str | None
    branch_code: str | None
    outlet_code: str | None
    opened_on: date
    line: int


class Organisation:
    """The tree of units, to ask whether a code is a branch or an outlet and where it hangs."""

    def __init__(self, units: Iterable[Unit], source: str) -> None:
        self.units = sorted(units, key=lambda unit: KINDS.index(unit.kind))
        self._by_code = {unit.unit_code: unit for unit in self.units}
        self._source = source

    def check(self, code: str, kind: UnitKind, where: str) -> None:
        """Refuse a code that is no unit of this kind; ``where`` names file, line and column."""
        unit = self._by_code.get(code)
        if unit is None:
            raise HistoryError(f"{where} names the unknown unit {code!r}; add it to {self._source} or mend the code.")
        if unit.kind != kind:
            raise HistoryError(f"{where} names {code!r}, which is a {unit.kind}; give the code of a {kind}.")

    def parent_of(self, code: str) -> str | None:
        """Return the code of the unit above."""
        return self._by_code[code].parent_code

    def has_branch(self, code: str) -> bool:
        """Say whether a code is a branch."""
        unit = self._by_code.get(code)
        return unit is not None and unit.kind == "branch"


def organisation_of_states(states: Mapping[str, str]) -> Organisation:
    """Return the organisation of a folder without org.csv: HQ, one district, a branch per code, named as its state."""
    units = [Unit(ROOT, "hq", None, ROOT), Unit(DISTRICT_OF_STATES, "district", ROOT, DISTRICT_OF_STATES)]
    units += [Unit(code, "branch", DISTRICT_OF_STATES, states[code]) for code in sorted(states)]
    return Organisation(units, "org.csv")


def read_organisation(file: CsvFile, rejected: RejectedRows) -> Organisation:
    """Read org.csv.

    Raises:
        HistoryError: an unknown parent, a cycle, no root or several, or a unit below one of a lower kind.
    """
    units: dict[str, Unit] = {}
    lines: dict[str, int] = {}
    for record in readable(file, rejected):
        try:
            unit = _unit(record.fields)
            if unit.unit_code in units and units[unit.unit_code] != unit:
                raise UnreadableRow(f"unit {unit.unit_code!r} stands already on line {lines[unit.unit_code]}")
        except UnreadableRow as error:
            rejected.add(record, str(error))
            continue
        units.setdefault(unit.unit_code, unit)
        lines.setdefault(unit.unit_code, record.line)
    _check_tree(file.path, units, lines)
    return Organisation(units.values(), file.path.name)


def _unit(fields: tuple[str, ...]) -> Unit:
    code, kind, parent_code, name = fields
    rows.unit_code("unit_code", code)
    if kind not in KINDS:
        raise UnreadableRow(f"kind {kind!r} is none of {', '.join(KINDS)}")
    if not parent_code and kind != "hq":
        raise UnreadableRow(f"parent_code is empty, but a {kind} hangs below another unit")
    return Unit(code, kind, parent_code or None, name or code)


def _check_tree(path: Path, units: Mapping[str, Unit], lines: Mapping[str, int]) -> None:
    for code, unit in units.items():
        if unit.parent_code is not None and unit.parent_code not in units:
            raise HistoryError(
                f"{path} line {lines[code]}: the parent {unit.parent_code!r} of {code!r} is an unknown unit; "
                "add a row for it or mend the code."
            )
    sound: set[str] = set()
    for code in units:
        _refuse_cycle(path, code, units, lines, sound)
    roots = [code for code, unit in units.items() if unit.parent_code is None]
    if len(roots) != 1:
        where = f"line {lines[roots[1]]}" if roots else "line 1"
        raise HistoryError(f"{path} {where}: the file has {len(roots)} units without a parent; keep exactly one, the hq.")
    for code, unit in units.items():
        parent = units[unit.parent_code] if unit.parent_code is not None else None
        if parent and KINDS.index(parent.kind) >= KINDS.index(unit.kind):
            raise HistoryError(
                f"{path} line {lines[code]}: the {unit.kind} {code!r} hangs below the {parent.kind} "
                f"{parent.unit_code!r}; "
                f"give it a parent of a higher kind ({' > '.join(KINDS)})."
            )


def _refuse_cycle(path: Path, code: str, units: Mapping[str, Unit], lines: Mapping[str, int], sound: set[str]) -> None:
    way: list[str] = []
    at: str | None = code
    while at is not None and at not in sound:
        if at in way:
            ring = " > ".join([*way[way.index(at) :], at])
            raise HistoryError(f"{path} line {lines[at]}: the units {ring} form a cycle; mend one parent_code.")
        way.append(at)
        at = units[at].parent_code
    sound.update(way)


def read_accounts(file: CsvFile, rejected: RejectedRows) -> dict[str, ListedAccount]:
    """Read accounts.csv; a repeated line is one, another line for the same account is rejected."""
    accounts: dict[str, ListedAccount] = {}
    seen: dict[str, tuple[str, ...]] = {}
    for record in readable(file, rejected):
        try:
            account = _listed_account(record)
            if seen.setdefault(account.account_no, record.fields) != record.fields:
                line = accounts[account.account_no].line
                raise UnreadableRow(f"account {account.account_no!r} stands already on line {line}")
        except UnreadableRow as error:
            rejected.add(record, str(error))
            continue
        accounts.setdefault(account.account_no, account)
    return accounts


def _listed_account(record: Record) -> ListedAccount:
    account_no, name, branch_code, outlet_code, opened_on = record.fields
    rows.account_no(account_no)
    if outlet_code and not branch_code:
        raise UnreadableRow("branch_code is empty, but outlet_code is not")
    opening = rows.day("opened_on", opened_on)
    return ListedAccount(account_no, name or None, branch_code or None, outlet_code or None, opening, record.line)


def check_placement(path: Path, accounts: Iterable[ListedAccount], organisation: Organisation) -> None:
    """Refuse accounts whose branch or outlet is unknown, of another kind, or whose outlet is not the branch's."""
    for account in accounts:
        where = f"{path} line {account.line}:"
        if account.branch_code:
            organisation.check(account.branch_code, "branch", f"{where} branch_code")
        if account.outlet_code:
            organisation.check(account.outlet_code, "outlet", f"{where} outlet_code")
            if organisation.parent_of(account.outlet_code) != account.branch_code:
                raise HistoryError(
                    f"{where} the outlet {account.outlet_code!r} does not belong to the branch "
                    f"{account.branch_code!r}; "
                    "give an outlet of that branch or none."
                )


def readable(file: CsvFile, rejected: RejectedRows) -> Iterator[Record]:
    """Yield the records whose cells could be taken apart; the others are written down as rejected."""
    for record in file.records():
        if record.reason:
            rejected.add(record, record.reason)
        else:
            yield record
