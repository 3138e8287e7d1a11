"""A seeded history folder that makes life hard: corrections before their originals and around a close, charges that are
thirteen months late or move to another month or account, provisional accounts, unreadable rows, two districts.
"""

import csv
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8))
SAO_PAULO = timezone(timedelta(hours=-3))
BEGIN = datetime(2017, 1, 3, 9, tzinfo=SHANGHAI)
DAYS = 240
BRANCHES = {"D1-B1": "D1", "D1-B2": "D1", "D2-B1": "D2"}


def write_hostile_folder(folder: Path, seed: int) -> None:
    """Write org.csv, accounts.csv, shipments.csv and charges.csv; the same seed gives the same bytes."""
    choose = random.Random(seed)
    folder.mkdir(parents=True)
    units = [("HQ", "hq", "", "Head office"), *((d, "district", "HQ", d) for d in ("D1", "D2"))]
    units += [(branch, "branch", district, branch) for branch, district in BRANCHES.items()]
    units += [(f"{branch}-O{n}", "outlet", branch, "an outlet") for branch in BRANCHES for n in (1, 2)]
    _write(folder / "org.csv", ["unit_code", "kind", "parent_code", "name"], choose.sample(units, len(units)))

    accounts = [f"H{n:03d}" for n in range(140)]
    listed = []
    branch_of = {}
    for account_no in accounts:
        branch = branch_of[account_no] = choose.choice(list(BRANCHES))
        if choose.random() < 0.7:
            opened = (BEGIN + timedelta(days=choose.choice((0, 0, 0, 31, 60, 120)))).date()
            outlet = choose.choice(["", f"{branch}-O1", f"{branch}-O2"])
            listed.append((account_no, f"Company {account_no}", branch, outlet, opened.isoformat()))
    listed.append(("H-SILENT", "Never ships", "D1-B1", "", "2017-02-28"))
    _write(folder / "accounts.csv", ["account_no", "name", "branch_code", "outlet_code", "opened_on"], listed)

    parcels = _parcels(choose, accounts, branch_of)
    _write(folder / "shipments.csv", _COLUMNS, [*parcels, *_unreadable(parcels)])
    _write(
        folder / "charges.csv",
        ["charge_no", "version", "waybill_no", "account_no", "amount", "charged_at", "published_at"],
        _charges(choose, parcels, accounts),
    )


_COLUMNS = [
    "waybill_no", "account_no", "origin_city", "origin_state", "destination_city", "destination_state", "pieces",
    "goods_value", "freight", "ordered_at", "handed_over_at", "delivered_at", "promised_at", "status",
]  # fmt: skip


def _parcels(choose: random.Random, accounts: list[str], branch_of: dict[str, str]) -> list[list[str]]:
    rows = []
    for number in range(2000):
        account_no = accounts[min(int(choose.expovariate(1 / 45)), len(accounts) - 1)]
        ordered = BEGIN + timedelta(days=choose.random() * DAYS)
        if choose.random() < 0.05:  # a month's edge, said in another offset
            month = choose.randrange(2, 9)
            ordered = datetime(2017, month, 1, tzinfo=SHANGHAI) - timedelta(seconds=choose.choice((1, 0)))
        handed = ordered + timedelta(hours=choose.random() * 60) if choose.random() < 0.97 else None
        promised = (ordered + timedelta(days=choose.choice((3, 5, 8)))).replace(microsecond=0)
        delivered = handed + timedelta(hours=12 + choose.random() * 110) if handed and choose.random() < 0.93 else None
        if delivered and choose.random() < 0.03:
            delivered = promised  # to the second: in time
        status = "delivered" if delivered else choose.choice(["shipped", "canceled", "processing", "vanished"])
        size = 12 if account_no < "H006" else 1  # a few that reach gold and diamond
        freight = f"{size * choose.lognormvariate(5.2, 1.3):.2f}" if choose.random() > 0.02 else "0"
        zone = choose.choice((SHANGHAI, SAO_PAULO, UTC))
        rows.append([
            f"HW{number:05d}", account_no, "city", branch_of[account_no], "town", "SP", "1", "10.00", freight,
            *(_text(moment, zone) for moment in (ordered, handed, delivered)),
            promised.isoformat(), status,
        ])  # fmt: skip
    return rows


def _text(moment: datetime | None, zone: tzinfo) -> str:
    return moment.replace(microsecond=0).astimezone(zone).isoformat() if moment else ""


def _unreadable(parcels: list[list[str]]) -> list[list[str]]:
    def spoilt(number: int, column: str, value: str) -> list[str]:
        row = [*parcels[number]]
        row[0], row[_COLUMNS.index(column)] = f"BAD{number}", value
        return row

    return [
        spoilt(1, "freight", ""),
        spoilt(2, "freight", "-1.00"),
        spoilt(3, "freight", "NaN"),
        spoilt(4, "freight", "1.005"),
        spoilt(5, "ordered_at", "yesterday"),
        spoilt(6, "pieces", "none"),
        spoilt(7, "account_no", "no spaces, please"),
    ]


def _charges(  # noqa: C901 - a list of mishaps
    choose: random.Random, parcels: list[list[str]], accounts: list[str]
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []

    def charge(row: list[str], version: int, account_no: str, amount: str, at: datetime, published: datetime) -> None:
        instants = (at.replace(microsecond=0).isoformat(), published.replace(microsecond=0).isoformat())
        rows.append((f"CH-{row[0]}", version, row[0], account_no, amount, *instants))

    charged = [row for row in parcels if row[10]]
    for row in choose.sample(charged, 380):
        at = datetime.fromisoformat(row[10])
        kind = choose.randrange(8)
        amount = f"{choose.lognormvariate(5.5, 1.2):.2f}"
        close = (at.astimezone(SHANGHAI).replace(day=28) + timedelta(days=5)).replace(day=1, hour=0, minute=30, second=0)
        if kind == 0:  # before its original
            charge(row, 2, row[1], amount, at, at - timedelta(hours=20))
        elif kind == 1:  # just before the close, and at its very instant
            charge(row, 2, row[1], amount, at, close - timedelta(seconds=1))
            charge(row, 3, row[1], "0", at, close)
        elif kind == 2:  # just after the close
            charge(row, 2, row[1], amount, at, close + timedelta(seconds=1))
        elif kind == 3:  # to another month
            charge(row, 2, row[1], amount, at - timedelta(days=33), at + timedelta(days=20))
        elif kind == 4:  # to another account
            charge(row, 2, choose.choice(accounts), amount, at, at + timedelta(days=choose.randrange(1, 100)))
        elif kind == 5:  # cancelled months later
            charge(row, 2, row[1], "0", at, at + timedelta(days=choose.randrange(20, 110)))
        elif kind == 6:  # versions out of order
            charge(row, 3, row[1], amount, at, at + timedelta(days=2))
            charge(row, 2, row[1], "999.99", at, at + timedelta(days=40))
        else:  # a repeated line
            charge(row, 2, row[1], amount, at, at + timedelta(days=9))
            rows.append(rows[-1])
    for number in range(60):  # thirteen months late, also from before the history began
        late = BEGIN + timedelta(days=choose.randrange(20, DAYS))
        row = (f"LATE-{number}", 1, f"LATE-{number}", choose.choice(accounts), f"{choose.lognormvariate(6, 1):.2f}")
        rows.append((*row, (late - timedelta(days=396)).isoformat(), late.isoformat()))
    rows.append(("ONLY-HERE", 1, "ONLY-HERE", "H-UNLISTED", "12.34", "2017-05-05T10:00:00+08:00", "2017-05-05T11:00:00+08:00"))
    rows.append(("BAD-AMOUNT", 1, "X", "H001", "1.234", "2017-05-05T10:00:00+08:00", "2017-05-05T11:00:00+08:00"))
    return rows


def _write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
