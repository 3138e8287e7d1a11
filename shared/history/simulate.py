"""Simulated history (`crm simulate`): a history folder of an invented carrier, for those who have no files of their own.

The same arguments give the same files, byte for byte. Everything invented says so: names end in "(simulated)", numbers
begin with SIM, and a README.txt lies beside the files. Files are written month by month, so that millions fit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

from shared.events.fields import FIRST_INSTANT
from shared.history.csv_files import HistoryError
from shared.history.organisation import ACCOUNT_COLUMNS, UNIT_COLUMNS
from shared.history.parcels import CHARGE_COLUMNS, SCAN_COLUMNS, SHIPMENT_COLUMNS
from shared.history.simulated_accounts import SimulatedAccount, branches, invent_accounts, units
from shared.history.simulated_parcels import ParcelSimulation
from shared.months import add_months, month_start_instant, month_text

DEFAULT_ACCOUNTS, DEFAULT_MONTHS, DEFAULT_SEED = 800, 24, 20180301

_README = """This history is SIMULATED: no carrier, shipper or parcel in it exists.

{months} months, {first} to {last}; {accounts} settlement accounts; seed {seed}.
Made by: crm simulate --accounts {accounts} --months {months} --seed {seed}
"""


@dataclass(frozen=True, slots=True)
class SimulatedCounts:
    """How many rows were invented."""

    accounts: int
    parcels: int
    charges: int
    scans: int


def simulate(
    folder: Path,
    today: date,
    *,
    accounts: int = DEFAULT_ACCOUNTS,
    months: int = DEFAULT_MONTHS,
    seed: int = DEFAULT_SEED,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedCounts:
    """Write a simulated history folder that ends with the last month closed before ``today``.

    The folder appears complete or not at all. ``on_progress`` gets the months done and to do.

    Raises:
        HistoryError: the folder exists already, or the numbers make no history.
    """
    last = add_months(today.replace(day=1), -1)
    first = add_months(last, 1 - months) if 0 < months <= 12 * (last.year - FIRST_INSTANT.year) else None
    if accounts < 1 or first is None:
        raise HistoryError("a simulated history needs at least 1 account and 1 month, and begins after 2000; mend these.")
    if folder.exists():
        raise HistoryError(f"{folder} exists already; remove it or name another folder.")
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        counts = _write(part, first, months, accounts, seed, on_progress)
        text = _README.format(months=months, first=month_text(first), last=month_text(last), accounts=accounts, seed=seed)
        (part / "README.txt").write_text(text, "utf-8", newline="\n")
        part.rename(folder)
    except OSError as error:
        raise HistoryError(f"{folder} cannot be written ({error.strerror}); make room for it.") from None
    return counts


def _write(
    folder: Path, first: date, months: int, accounts: int, seed: int, on_progress: Callable[[int, int], None] | None
) -> SimulatedCounts:
    random = Random(seed)  # noqa: S311 - invented parcels are no secret
    invented = invent_accounts(random, accounts, first, months)
    _write_file(
        folder / "org.csv",
        UNIT_COLUMNS,
        (f"{unit.unit_code},{unit.kind},{unit.parent_code or ''},{unit.name}\n" for unit in units()),
    )
    _write_file(folder / "accounts.csv", ACCOUNT_COLUMNS, map(_account_row, invented))
    parcels = ParcelSimulation(random, invented, branches(), month_start_instant(add_months(first, months)))
    written = [0, 0, 0]
    with ExitStack() as stack:
        files = [
            stack.enter_context((folder / name).open("w", encoding="utf-8", newline="\n"))
            for name in ("shipments.csv", "charges.csv", "scans.csv")
        ]
        for file, columns in zip(files, (SHIPMENT_COLUMNS, CHARGE_COLUMNS, SCAN_COLUMNS), strict=True):
            file.write(",".join(columns) + "\n")
        for index in range(months):
            month = parcels.month(add_months(first, index), index)
            for place, rows in enumerate((month.shipments, month.charges, month.scans)):
                files[place].writelines(rows)
                written[place] += len(rows)
            if on_progress:
                on_progress(index + 1, months)
    return SimulatedCounts(len(invented), *written)


def _account_row(account: SimulatedAccount) -> str:
    return (
        f"{account.account_no},{account.name},{account.branch.code},{account.outlet_code or ''},{account.opened_on.isoformat()}\n"
    )


def _write_file(path: Path, columns: Sequence[str], rows: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(rows)
