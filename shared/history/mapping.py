"""How a partner's CSV names its columns, tells the time and counts money: a small TOML file beside the data.

    time_zone = "Asia/Shanghai"     # of times without an offset; a zone name or "+08:00"
    money = "yuan"                  # or "fen"
    branch_prefix = ""              # put before origin_state to get the branch code

    [columns]
    waybill_no = "Tracking number"  # ours = theirs; "" where the file has no such column

Columns not named are expected under our own name. Only pieces (then 1), goods_value, delivered_at, promised_at and
status (then unknown) may be missing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from shared.history.csv_files import CsvFile, HistoryError
from shared.history.parcels import ABSENT, SHIPMENT_COLUMNS
from shared.history.rows import MoneyUnit

MAY_BE_MISSING = frozenset({"pieces", "goods_value", "delivered_at", "promised_at", "status"})
_KEYS = ("columns", "time_zone", "money", "branch_prefix")
_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)

Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What a mapping file says; the default is the native form.

    ``columns`` gives for each of our columns the file's name for it, or "" where it has none. ``branch_prefix`` is None
    where the mapping does not speak of branches.
    """

    columns: Mapping[str, str] = field(default_factory=lambda: {column: column for column in SHIPMENT_COLUMNS})
    naive: tzinfo | None = None
    money: MoneyUnit = "yuan"
    branch_prefix: str | None = None

    def open(self, path: Path) -> CsvFile:
        """Open a file of this form."""
        return CsvFile(path, {ours: theirs for ours, theirs in self.columns.items() if theirs})

    def completion(self) -> Callable[[Cells], Cells]:
        """Return what turns the cells of a record of `open` into a row of all our columns."""
        present = [ours for ours in SHIPMENT_COLUMNS if self.columns[ours]]
        if len(present) == len(SHIPMENT_COLUMNS):
            return lambda cells: cells
        places = [present.index(ours) if ours in present else None for ours in SHIPMENT_COLUMNS]
        return lambda cells: tuple(ABSENT if place is None else cells[place] for place in places)


def read_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Raises:
        HistoryError: it is missing, no TOML, or says something that cannot be followed.
    """
    try:
        said = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise HistoryError(f"{path} is missing; name an existing mapping file.") from None
    except OSError as error:
        raise HistoryError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    except ValueError as error:
        raise HistoryError(f"{path} is not TOML ({error}); mend it.") from None
    unknown = sorted(said.keys() - set(_KEYS))
    if unknown:
        raise HistoryError(f"{path}: {unknown[0]!r} means nothing; the keys are {', '.join(_KEYS)}.")
    prefix = said.get("branch_prefix")
    if prefix is not None and not isinstance(prefix, str):
        raise HistoryError(f"{path}: branch_prefix must be text in quotes.")
    return ColumnMapping(_columns(path, said.get("columns", {})), _zone(path, said), _money(path, said), prefix)


def _columns(path: Path, said: object) -> dict[str, str]:
    if not isinstance(said, dict) or not all(isinstance(theirs, str) for theirs in said.values()):
        raise HistoryError(f'{path}: [columns] must hold lines such as waybill_no = "Tracking number".')
    for ours, theirs in said.items():
        if ours not in SHIPMENT_COLUMNS:
            raise HistoryError(f"{path}: {ours!r} is no column of ours; they are {', '.join(SHIPMENT_COLUMNS)}.")
        if not theirs.strip() and ours not in MAY_BE_MISSING:
            raise HistoryError(f"{path}: {ours} must have a column; name it.")
    return {ours: said.get(ours, ours).strip() for ours in SHIPMENT_COLUMNS}


def _zone(path: Path, said: Mapping[str, Any]) -> tzinfo | None:
    name = said.get("time_zone")
    if name is None:
        return None
    offset = _OFFSET.fullmatch(name) if isinstance(name, str) else None
    try:
        if offset:
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(ahead if offset[1] == "+" else -ahead)
        return ZoneInfo(name)
    except (KeyError, TypeError, ValueError, OSError):  # a name may also lead out of the zone database, or be no name
        raise HistoryError(f'{path}: time_zone {name!r} is unknown; give a name such as "Asia/Shanghai" or "+08:00".') from None


def _money(path: Path, said: Mapping[str, Any]) -> MoneyUnit:
    match said.get("money", "yuan"):
        case "yuan":
            return "yuan"
        case "fen":
            return "fen"
        case other:
            raise HistoryError(f'{path}: money {other!r} is no unit; give "yuan" or "fen".')
