"""An independent recount of a history folder: what the suite must answer, from the CSV files alone.

Plain Python of the standard library, slow and meant to be read. It shares no code with the suite: months, quarters, working
days, amounts and public ids are worked out here once more, from the wording of the rules. If it and the suite disagree,
one of the two has misread a rule.

    python tests/oracle/recount.py FOLDER        prints how much of everything there is

How time passes: the replay walks the instants S, 00:30 in Asia/Shanghai of every day, and the end. Before S everything with a
publication instant earlier than S has been published. At S, on the first of a month, the month before is closed; then
accounts are judged again whose closed months were touched since the S before.
"""

import csv
import hashlib
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8))
DAY = timedelta(days=1)
DIAMOND_FEN, GOLD_FEN = 10_000_00, 2_000_00
VIPS_PER_DISTRICT, KEYS_PER_BRANCH, ZERO_MONTHS_RAISED = 10, 12, 3
FINAL_STATUSES = {"DELIVERED", "CANCELLED", "RETURNED", "REFUSED"}
CAUSES = {"DAMAGED": "damaged", "LOST": "lost", "REFUSED": "refused", "DELAYED": "delayed"}
LARGEST_AMOUNT_FEN = 10**15


# What is answered -----------------------------------------------------------------------------------------------------


@dataclass
class Account:
    """A settlement account as it stands at the end."""

    account_no: str
    branch_code: str | None
    district_code: str | None
    outlet_code: str | None
    opened_on: date
    provisional: bool


@dataclass
class Tier:
    """What a quarter's close decided for an account."""

    account_no: str
    branch_code: str | None
    district_code: str | None
    service_tier: str
    rank: int | None
    amount_fen: int


@dataclass
class Grade:
    """What a month's close decided for an account."""

    account_no: str
    grade: str
    average_fen: int


@dataclass
class Movement:
    """A movement with its amounts as they are at the end (a withdrawn one: as it last showed them while open); `decided_*`
    are those it was found with."""

    movement_id: str
    account_no: str
    month: str
    revision: int
    kind: str
    zero_months: int | None
    previous_fen: int
    current_fen: int
    decided_previous_fen: int
    decided_current_fen: int
    state: str
    withdrawn_reason: str | None
    detected_at: datetime
    service_tier: str


@dataclass
class QuarterMovement:
    """What a quarter's close found against the quarter before; it stays."""

    movement_id: str
    account_no: str
    branch_code: str
    quarter: str
    kind: str
    place: int | None
    previous_fen: int
    current_fen: int
    detected_at: datetime


@dataclass
class Task:
    """The maintenance task of a movement, monthly or quarterly."""

    task_id: str
    movement_id: str
    kind: str
    account_no: str
    month: str
    quarter: str | None
    movement_kind: str
    role: str
    unit_code: str
    helpers: list[tuple[str, str]]
    due_at: datetime
    state: str


@dataclass
class Ticket:
    """A problem parcel's ticket; `due_at` is None in years whose holidays are not written down here."""

    ticket_id: str
    waybill_no: str
    account_no: str
    branch_code: str
    cause_hint: str
    opened_at: datetime
    due_at: datetime | None
    state: str


@dataclass
class Recount:
    """Everything, by the keys that the suite's lists are asked by: months `2018-03`, quarters `2018-Q1`."""

    start: date
    end: datetime
    root_unit: str
    accounts: dict[str, Account]
    totals: dict[str, dict[str, tuple[int, int]]]
    """Account, month -> (fen, standing charges). A month without charges is missing."""
    tiers: dict[str, dict[str, Tier]]
    grades: dict[str, dict[str, Grade]]
    bands: dict[str, dict[str, str]]
    """Quarter, account -> A, B or C."""
    entitled: dict[str, tuple[bool, bool, str]]
    """Account -> green channel, special claims, plan of points, by the last quarter's close."""
    movements: list[Movement]
    quarter_movements: list[QuarterMovement]
    tasks: list[Task]
    tickets: list[Ticket]
    parcels: int
    rejected: dict[str, list[int]]
    """File -> line numbers that cannot be used."""


# Time -----------------------------------------------------------------------------------------------------------------


def month_of(day: date) -> str:
    return f"{day.year:04d}-{day.month:02d}"


def shift(month: str, n: int) -> str:
    year, number = int(month[:4]), int(month[5:])
    for _ in range(abs(n)):
        number += 1 if n > 0 else -1
        if number == 13:
            year, number = year + 1, 1
        if number == 0:
            year, number = year - 1, 12
    return f"{year:04d}-{number:02d}"


def first_day(month: str) -> date:
    return date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> date:
    return first_day(shift(month, 1)) - DAY


def quarter_of(month: str) -> str:
    return f"{month[:4]}-Q{(int(month[5:]) + 2) // 3}"


def shanghai_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)


def business_day(instant: datetime) -> date:
    return instant.astimezone(SHANGHAI).date()


def start_of_next_quarter(instant: datetime) -> datetime:
    month = month_of(business_day(instant))
    quarter = quarter_of(month)
    while quarter_of(month) == quarter:
        month = shift(month, 1)
    return shanghai_midnight(first_day(month))


# Working days of the years in which the real parcels lie, from the notices of the State Council: (first free day, last free
# day) and the weekend days that are worked instead.
FREE = [
    ("2016-01-01", "2016-01-03"), ("2016-02-07", "2016-02-13"), ("2016-04-02", "2016-04-04"), ("2016-04-30", "2016-05-02"),
    ("2016-06-09", "2016-06-11"), ("2016-09-15", "2016-09-17"), ("2016-10-01", "2016-10-07"),
    ("2016-12-31", "2017-01-02"), ("2017-01-27", "2017-02-02"), ("2017-04-02", "2017-04-04"), ("2017-04-29", "2017-05-01"),
    ("2017-05-28", "2017-05-30"), ("2017-10-01", "2017-10-08"),
    ("2017-12-30", "2018-01-01"), ("2018-02-15", "2018-02-21"), ("2018-04-05", "2018-04-07"), ("2018-04-29", "2018-05-01"),
    ("2018-06-16", "2018-06-18"), ("2018-09-22", "2018-09-24"), ("2018-10-01", "2018-10-07"),
    ("2018-12-30", "2019-01-01"),
]  # fmt: skip
WORKED = {
    "2016-02-06", "2016-02-14", "2016-06-12", "2016-09-18", "2016-10-08", "2016-10-09",
    "2017-01-22", "2017-02-04", "2017-04-01", "2017-05-27", "2017-09-30",
    "2018-02-11", "2018-02-24", "2018-04-08", "2018-04-28", "2018-09-29", "2018-09-30", "2018-12-29",
}  # fmt: skip
HOLIDAYS_KNOWN = (date(2016, 1, 1), date(2018, 12, 31))


def is_worked(day: date) -> bool:
    text = day.isoformat()
    if text in WORKED:
        return True
    return day.isoweekday() <= 5 and not any(first <= text <= last for first, last in FREE)


def after_working_hours(instant: datetime, hours: int) -> datetime | None:
    """Spend the hours from 09:00 to 18:00 of day after day. None where the holidays are not known."""
    at = instant.astimezone(SHANGHAI)
    left, day = timedelta(hours=hours), at.date()
    while HOLIDAYS_KNOWN[0] <= day <= HOLIDAYS_KNOWN[1]:
        if is_worked(day):
            opens = max(at, shanghai_midnight(day) + timedelta(hours=9))
            closes = shanghai_midnight(day) + timedelta(hours=18)
            if opens < closes:
                if opens + left <= closes:
                    return opens + left
                left -= closes - opens
        day += DAY
    return None


def public_id(*parts: object) -> str:
    """The UUID whose version is 8 and whose other digits are those of the SHA-256 of the parts joined by a slash."""
    digits = list(hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()[:32])
    digits[12] = "8"
    digits[16] = "8"
    text = "".join(digits)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


# Files ----------------------------------------------------------------------------------------------------------------


class UnreadableRowError(Exception):
    """This row cannot be used."""


@dataclass
class Parcel:
    """A row of shipments.csv."""

    waybill_no: str
    account_no: str
    branch_code: str
    freight_fen: int
    ordered_at: datetime
    handed_over_at: datetime | None
    promised_at: datetime | None
    scans: list[tuple[str, datetime]]
    """(status, instant), those of scans.csv too."""


@dataclass(frozen=True)
class Charge:
    """A charge and the instant at which it is published."""

    charge_no: str
    version: int
    waybill_no: str
    account_no: str
    amount_fen: int
    charged_at: datetime
    published_at: datetime

    @property
    def month(self) -> str:
        return month_of(business_day(self.charged_at))


@dataclass
class Folder:
    """What the files say."""

    units: dict[str, tuple[str, str | None]]
    """Unit -> (kind, parent)."""
    listed: dict[str, tuple[str | None, str | None, date]]
    """Account of accounts.csv -> (branch, outlet, opened on)."""
    parcels: dict[str, Parcel]
    charges: list[Charge]
    """In the order of publication."""
    rejected: dict[str, list[int]]


def rows_of(path: Path, columns: list[str], rejected: dict[str, list[int]]) -> list[tuple[int, list[str]]]:
    """Return (line, cells in the order of `columns`) of every row that can be taken apart; a row is one line."""
    rejected[path.name] = []
    if not path.exists():
        return []
    found, places = [], None
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
            if "\0" in text:
                raise ValueError("NUL")
            [cells] = csv.reader([text], strict=True)
        except (ValueError, csv.Error):
            rejected[path.name].append(number)
            continue
        cells = [cell.strip() for cell in cells]
        if places is None:
            places, width = [cells.index(column) for column in columns], len(cells)
        elif len(cells) != width:
            rejected[path.name].append(number)
        else:
            found.append((number, [cells[place] for place in places]))
    return found


def read_instant(text: str) -> datetime:
    if len(text) <= 10:
        raise UnreadableRowError("no time of day")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableRowError("no instant") from None
    if instant.tzinfo is None or not 2000 <= instant.astimezone(SHANGHAI).year <= 2100:
        raise UnreadableRowError("no offset, or outside 2000-2100")
    return instant.astimezone(SHANGHAI)


def read_fen(text: str) -> int:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text) or len(text) > 64:
        raise UnreadableRowError("no decimal amount")
    yuan = Decimal(text)
    if yuan < 0 or yuan > LARGEST_AMOUNT_FEN:
        raise UnreadableRowError("negative or absurd")
    fen = yuan * 100
    if fen != fen.to_integral_value() or fen > LARGEST_AMOUNT_FEN:
        raise UnreadableRowError("finer than a fen, or absurd")
    return int(fen)


def read_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text) or not 1 <= int(text) <= 2**31 - 1:
        raise UnreadableRowError("no whole number from 1 on")
    return int(text)


def matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise UnreadableRowError(f"not {pattern}")
    return text


ACCOUNT_NO, CODE, UNIT_CODE = r"[A-Za-z0-9-]{1,32}", r"[\x20-\x7e]{1,40}", r"[^\x00-\x1f\x7f]{1,40}"
SHIPMENTS = [
    "waybill_no", "account_no", "origin_city", "origin_state", "destination_city", "destination_state", "pieces",
    "goods_value", "freight", "ordered_at", "handed_over_at", "delivered_at", "promised_at", "status",
]  # fmt: skip


def read_folder(folder: Path) -> Folder:
    rejected: dict[str, list[int]] = {}
    units = read_units(folder / "org.csv", rejected)
    parcels = read_parcels(folder / "shipments.csv", rejected, states=not units)
    if not units:
        units = {"HQ": ("hq", None), "BR": ("district", "HQ")}
        units |= {parcel.branch_code: ("branch", "BR") for parcel in parcels.values()}
    add_scans(folder / "scans.csv", parcels, rejected)
    listed = read_accounts(folder / "accounts.csv", rejected)
    charges = read_charges(folder / "charges.csv", parcels, rejected)
    return Folder(units, listed, parcels, charges, rejected)


def read_units(path: Path, rejected: dict[str, list[int]]) -> dict[str, tuple[str, str | None]]:
    units: dict[str, tuple[str, str | None]] = {}
    seen: dict[str, list[str]] = {}
    for line, cells in rows_of(path, ["unit_code", "kind", "parent_code", "name"], rejected):
        code, kind, parent, _name = cells
        good = (
            re.fullmatch(UNIT_CODE, code)
            and kind in {"hq", "district", "branch", "outlet"}
            and (parent or kind == "hq")
            and seen.setdefault(code, cells) == cells
        )
        if good:
            units[code] = (kind, parent or None)
        else:
            rejected[path.name].append(line)
    return units


def read_parcels(path: Path, rejected: dict[str, list[int]], states: bool) -> dict[str, Parcel]:
    parcels: dict[str, Parcel] = {}
    seen: dict[str, list[str]] = {}
    for line, cells in rows_of(path, SHIPMENTS, rejected):
        try:
            parcel = read_parcel(cells, states)
            if seen.setdefault(parcel.waybill_no, cells) != cells:
                raise UnreadableRowError("the waybill stands above with other content")
        except UnreadableRowError:
            rejected[path.name].append(line)
            continue
        parcels.setdefault(parcel.waybill_no, parcel)
    return parcels


def read_parcel(cells: list[str], states: bool) -> Parcel:
    waybill_no, account_no, origin_city, origin, city, region, pieces, goods, freight, *instants, status = cells
    ordered_at = read_instant(instants[0])
    handed_over_at, delivered_at, promised_at = (read_instant(text) if text else None for text in instants[1:])
    matching(CODE, waybill_no)
    matching(ACCOUNT_NO, account_no)
    if not origin or any(len(place) > 80 for place in (origin_city, origin, city, region)):
        raise UnreadableRowError("places")
    branch_code = matching(UNIT_CODE, f"BR-{origin}" if states else origin)
    read_number(pieces)
    read_fen(goods)
    scans = [("CREATED", ordered_at)]
    if handed_over_at:
        matching(CODE, "CH-" + waybill_no)
        scans.append(("PICKED_UP", handed_over_at))
    if delivered_at:
        scans.append(("DELIVERED", delivered_at))
    elif status == "canceled":
        scans.append(("CANCELLED", ordered_at + timedelta(hours=24)))
    return Parcel(waybill_no, account_no, branch_code, read_fen(freight), ordered_at, handed_over_at, promised_at, scans)


def add_scans(path: Path, parcels: dict[str, Parcel], rejected: dict[str, list[int]]) -> None:
    seen: dict[tuple[str, str, datetime], str] = {}
    for line, (waybill_no, status, occurred, code) in rows_of(
        path, ["waybill_no", "status", "occurred_at", "exception_code"], rejected
    ):
        try:
            scan = (matching(CODE, status), read_instant(occurred))
            if code:
                matching(CODE, code)
            if waybill_no not in parcels or seen.setdefault((waybill_no, *scan), code) != code:
                raise UnreadableRowError("unknown waybill, or other content above")
        except UnreadableRowError:
            rejected[path.name].append(line)
            continue
        if scan not in parcels[waybill_no].scans:
            parcels[waybill_no].scans.append(scan)


def read_accounts(path: Path, rejected: dict[str, list[int]]) -> dict[str, tuple[str | None, str | None, date]]:
    listed: dict[str, tuple[str | None, str | None, date]] = {}
    seen: dict[str, list[str]] = {}
    for line, cells in rows_of(path, ["account_no", "name", "branch_code", "outlet_code", "opened_on"], rejected):
        account_no, _name, branch, outlet, opened = cells
        try:
            matching(ACCOUNT_NO, account_no)
            matching(r"2[01][0-9]{2}-[0-9]{2}-[0-9]{2}", opened)
            opened_on = date.fromisoformat(opened)
            if opened_on.year > 2100 or (outlet and not branch) or seen.setdefault(account_no, cells) != cells:
                raise UnreadableRowError("no day, an outlet without a branch, or other content above")
        except (UnreadableRowError, ValueError):
            rejected[path.name].append(line)
            continue
        listed[account_no] = (branch or None, outlet or None, opened_on)
    return listed


def read_charges(path: Path, parcels: dict[str, Parcel], rejected: dict[str, list[int]]) -> list[Charge]:
    """All charges in the order of publication: of parcels handed over, and of charges.csv.

    Of two with the same number and version the one published first stays; a parcel's own one goes before any line.
    """
    of_parcels = [
        Charge("CH-" + p.waybill_no, 1, p.waybill_no, p.account_no, p.freight_fen, p.handed_over_at, p.handed_over_at)
        for p in parcels.values()
        if p.handed_over_at
    ]
    own = {charge.charge_no: charge for charge in of_parcels}
    lines = []
    columns = ["charge_no", "version", "waybill_no", "account_no", "amount", "charged_at", "published_at"]
    for line, (charge_no, version, waybill_no, account_no, amount, charged, published) in rows_of(path, columns, rejected):
        try:
            charge = Charge(
                matching(CODE, charge_no),
                read_number(version),
                matching(CODE, waybill_no),
                matching(ACCOUNT_NO, account_no),
                read_fen(amount),
                read_instant(charged),
                read_instant(published),
            )
        except UnreadableRowError:
            rejected[path.name].append(line)
            continue
        lines.append((charge.published_at, line, charge))
    kept: dict[tuple[str, int], Charge] = {}
    for _, line, charge in sorted(lines, key=lambda entry: entry[:2]):
        first = kept.get((charge.charge_no, charge.version))
        if first is None and charge.version == 1 and charge.charge_no == "CH-" + charge.waybill_no:
            first = own.get(charge.charge_no)
        if first is None:
            kept[charge.charge_no, charge.version] = charge
        elif content(first) != content(charge):
            rejected[path.name].append(line)
    return sorted([*of_parcels, *kept.values()], key=lambda charge: charge.published_at)


def content(charge: Charge) -> tuple[object, ...]:
    return charge.waybill_no, charge.account_no, charge.amount_fen, charge.charged_at


# The rules ------------------------------------------------------------------------------------------------------------


def judge(sums: dict[str, int], month: str) -> tuple[str, int | None] | None:
    """Return (kind, run of zero months) that a month shows, given fen by month, or None."""
    current, previous = sums.get(month, 0), sums.get(shift(month, -1), 0)
    if current == 0:
        months_with_freight = [other for other, fen in sums.items() if fen > 0 and other < month]
        if not months_with_freight:
            return None
        run, walked = 0, max(months_with_freight)
        while walked < month:
            walked = shift(walked, 1)
            run += 1
        return ("zero_month", run) if run <= ZERO_MONTHS_RAISED else None
    if previous > 0 and 2 * current < previous:
        return "fall_over_half", None
    return None


def grade_of(sum_fen: int) -> str:
    if sum_fen >= 3 * DIAMOND_FEN:
        return "diamond"
    if sum_fen >= 3 * GOLD_FEN:
        return "gold"
    return "silver"


def responsible(tier: str, account: Account, root_unit: str) -> tuple[str, str]:
    if tier == "vip":
        return "district_head", account.district_code or root_unit
    if tier == "key":
        return "branch_manager", account.branch_code or root_unit
    return "outlet_staff", account.outlet_code or account.branch_code or root_unit


def helpers_of(role: str, account: Account, root_unit: str) -> list[tuple[str, str]]:
    """The care group telephones where the outlet calls in person; nobody helps the others."""
    return [("care_rep", account.branch_code or root_unit)] if role == "outlet_staff" else []


def band_quarter(accounts: list[Account], sums: dict[str, int]) -> dict[str, str]:
    """Of the accounts of a district with freight the first twentieth, rounded up, is A, up to the first fifth B."""
    bands = {account.account_no: "C" for account in accounts}
    for district in {account.district_code for account in accounts} - {None}:
        shipped = [a for a in accounts if a.district_code == district and sums[a.account_no] > 0]
        shipped.sort(key=lambda a: (-sums[a.account_no], a.opened_on, a.account_no))
        for place, account in enumerate(shipped, 1):
            if (place - 1) * 20 < len(shipped):
                bands[account.account_no] = "A"
            elif (place - 1) * 5 < len(shipped):
                bands[account.account_no] = "B"
    return bands


def compare_quarters(
    accounts: list[Account], before: dict[str, int], now: dict[str, int], shipped_earlier: set[str]
) -> list[tuple[Account, str, int | None]]:
    """Return (account, kind, place) of the movements of a quarter.

    `before` and `now` are the sums of two quarters in fen; `shipped_earlier` had freight before both.
    """
    found: list[tuple[Account, str, int | None]] = []
    for branch in sorted({account.branch_code for account in accounts if account.branch_code is not None}):
        members = [account for account in accounts if account.branch_code == branch]
        with_base = [account for account in members if before[account.account_no] > 0]
        named: dict[str, tuple[str, int]] = {}
        gains = sorted((before[a.account_no] - now[a.account_no], a.opened_on, a.account_no) for a in with_base)
        if gains and gains[0][0] < 0:
            named[gains[0][2]] = ("riser", 1)
        losses = sorted((now[a.account_no] - before[a.account_no], a.opened_on, a.account_no) for a in with_base)
        for place, (change, _, account_no) in enumerate(losses[:4], 1):
            if change < 0:
                named[account_no] = ("decliner", place)
        for account in members:
            old, new = before[account.account_no], now[account.account_no]
            if account.account_no in named:
                found.append((account, *named[account.account_no]))
                continue
            kind = rise_or_fall(old, new) if old > 0 else None
            if old == 0 and new > 0 and account.account_no in shipped_earlier:
                kind = "resumed"
            if kind is not None:
                found.append((account, kind, None))
    return found


def rise_or_fall(old: int, new: int) -> str | None:
    if 5 * new >= 6 * old:
        return "rise"
    return "fall" if 5 * new <= 4 * old else None


def rank_quarter(accounts: list[Account], sums: dict[str, int]) -> dict[str, Tier]:
    tiers = {
        a.account_no: Tier(a.account_no, a.branch_code, a.district_code, "general", None, sums[a.account_no]) for a in accounts
    }
    contenders = [a for a in accounts if a.branch_code is not None and sums[a.account_no] > 0]
    contenders.sort(key=lambda a: (-sums[a.account_no], a.opened_on, a.account_no))
    for district in {a.district_code for a in contenders if a.district_code is not None}:
        best = [a for a in contenders if a.district_code == district][:VIPS_PER_DISTRICT]
        for rank, account in enumerate(best, 1):
            tiers[account.account_no].service_tier, tiers[account.account_no].rank = "vip", rank
    for branch in {a.branch_code for a in contenders}:
        rest = [a for a in contenders if a.branch_code == branch and tiers[a.account_no].service_tier != "vip"]
        for rank, account in enumerate(rest, 1):
            tiers[account.account_no].rank = rank
            if rank <= KEYS_PER_BRANCH:
                tiers[account.account_no].service_tier = "key"
    return tiers


# The replay -----------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """Charges as they stand at an instant."""

    versions: set[tuple[str, int]] = field(default_factory=set)
    standing: dict[str, Charge] = field(default_factory=dict)
    of_account: dict[str, dict[str, Charge]] = field(default_factory=dict)
    first_day_seen: dict[str, date] = field(default_factory=dict)

    def take(self, charge: Charge) -> list[tuple[str, str]]:
        """Take a charge in; returns the (account, month) it touched."""
        day = business_day(charge.charged_at)
        self.first_day_seen[charge.account_no] = min(self.first_day_seen.get(charge.account_no, day), day)
        if (charge.charge_no, charge.version) in self.versions:
            return []
        self.versions.add((charge.charge_no, charge.version))
        before = self.standing.get(charge.charge_no)
        if before is not None and before.version > charge.version:
            return []
        touched = [(charge.account_no, charge.month)]
        if before is not None:
            del self.of_account[before.account_no][charge.charge_no]
            touched.append((before.account_no, before.month))
        self.standing[charge.charge_no] = charge
        self.of_account.setdefault(charge.account_no, {})[charge.charge_no] = charge
        return touched

    def sums(self, account_no: str) -> dict[str, int]:
        """Fen by month of an account."""
        sums: dict[str, int] = {}
        for charge in self.of_account.get(account_no, {}).values():
            sums[charge.month] = sums.get(charge.month, 0) + charge.amount_fen
        return sums


class Replay:
    """Walks the instants and keeps what was decided."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.root_unit = next(code for code, (kind, _) in folder.units.items() if kind == "hq")
        published = [charge.published_at for charge in folder.charges]
        published += [instant for parcel in folder.parcels.values() for _, instant in parcel.scans]
        self.start = business_day(min(published))
        end_month = shift(month_of(business_day(max(published))), 1)
        self.end = shanghai_midnight(first_day(end_month)) + timedelta(hours=1)
        self.all_instants = self.instants()
        self.fixed_accounts = self.accounts_of_files()
        self.ledger = Ledger()
        self.closed_through = shift(month_of(self.start), -1)
        self.dirty: dict[str, str] = {}
        self.tier_in_force: dict[str, str] = {}
        self.tiers: dict[str, dict[str, Tier]] = {}
        self.grades: dict[str, dict[str, Grade]] = {}
        self.bands: dict[str, dict[str, str]] = {}
        self.movements: dict[tuple[str, str], list[Movement]] = {}
        self.quarter_movements: list[QuarterMovement] = []

    def instants(self) -> list[datetime]:
        found, day = [], self.start
        while (instant := shanghai_midnight(day) + timedelta(minutes=30)) < self.end:
            found.append(instant)
            day += DAY
        return [*found, self.end]

    def run(self) -> None:
        waiting = list(reversed(self.folder.charges))
        for instant in self.instants():
            while waiting and waiting[-1].published_at < instant:
                for account_no, month in self.ledger.take(waiting.pop()):
                    if month <= self.closed_through:
                        self.dirty[account_no] = min(month, self.dirty.get(account_no, month))
            closing = shift(month_of(business_day(instant)), -1)
            everyone: list[str] = []
            if closing > self.closed_through:
                assert closing == shift(self.closed_through, 1)
                self.close(closing, instant)
                self.closed_through = closing
                everyone = list(self.ledger.of_account)
            for account_no in sorted({*everyone, *self.dirty}):
                self.judge_account(account_no, self.dirty.get(account_no, self.closed_through), instant)
            self.dirty.clear()

    def close(self, month: str, instant: datetime) -> None:
        accounts = [account for account in self.accounts().values() if account.opened_on <= last_day(month)]
        months = [month, shift(month, -1), shift(month, -2)]
        sums = {}
        for account in accounts:
            by_month = self.ledger.sums(account.account_no)
            sums[account.account_no] = sum(by_month.get(each, 0) for each in months)
        self.grades[month] = {no: Grade(no, grade_of(fen), fen // 3) for no, fen in sums.items()}
        if month[5:] in {"03", "06", "09", "12"}:
            decided = self.tiers[quarter_of(month)] = rank_quarter(accounts, sums)
            for account_no, tier in decided.items():
                self.tier_in_force[account_no] = tier.service_tier
            self.bands[quarter_of(month)] = band_quarter(accounts, sums)
            self.compare(accounts, sums, month, instant)

    def compare(self, accounts: list[Account], sums: dict[str, int], month: str, instant: datetime) -> None:
        """Compare the quarter that ends with a month with the one before it, by what is known now."""
        base_months = {shift(month, -n) for n in (3, 4, 5)}
        before, shipped_earlier = {}, set()
        for account in accounts:
            by_month = self.ledger.sums(account.account_no)
            before[account.account_no] = sum(by_month.get(each, 0) for each in base_months)
            if any(fen > 0 and each < min(base_months) for each, fen in by_month.items()):
                shipped_earlier.add(account.account_no)
        quarter = quarter_of(month)
        for account, kind, place in compare_quarters(accounts, before, sums, shipped_earlier):
            no, branch = account.account_no, account.branch_code
            assert branch is not None
            movement_id = public_id("quarter-movement", no, quarter)
            self.quarter_movements.append(
                QuarterMovement(movement_id, no, branch, quarter, kind, place, before[no], sums[no], instant)
            )

    def judge_account(self, account_no: str, first: str, instant: datetime) -> None:
        sums = self.ledger.sums(account_no)
        month = first
        while month <= self.closed_through:
            self.judge_month(account_no, month, sums, instant)
            month = shift(month, 1)

    def judge_month(self, account_no: str, month: str, sums: dict[str, int], instant: datetime) -> None:
        shown = judge(sums, month)
        amounts = (sums.get(shift(month, -1), 0), sums.get(month, 0))
        revisions = self.movements.setdefault((account_no, month), [])
        still_open = revisions[-1] if revisions and revisions[-1].state == "open" else None
        if still_open is not None and shown == (still_open.kind, still_open.zero_months):
            still_open.previous_fen, still_open.current_fen = amounts
            return
        if still_open is not None:
            still_open.state = "withdrawn"
            still_open.withdrawn_reason = "no_longer_true" if shown is None else "restated"
        if shown is not None:
            revision = len(revisions) + 1
            tier = self.tier_in_force.get(account_no, "general")
            movement_id = public_id("movement", account_no, month, revision)
            revisions.append(
                Movement(movement_id, account_no, month, revision, *shown, *amounts, *amounts, "open", None, instant, tier)
            )

    def accounts_of_files(self) -> dict[str, Account]:
        """Accounts listed, and those that ordered a parcel: in the branch of the earliest one, opened on its day."""
        accounts = {}
        for account_no, (branch, outlet, opened_on) in self.folder.listed.items():
            accounts[account_no] = Account(account_no, branch, self.district_of(branch), outlet, opened_on, False)
        earliest: dict[str, Parcel] = {}
        for parcel in sorted(self.folder.parcels.values(), key=lambda p: (p.ordered_at, p.waybill_no)):
            earliest.setdefault(parcel.account_no, parcel)
        for account_no, parcel in earliest.items():
            if account_no not in accounts:
                district = self.district_of(parcel.branch_code)
                opened_on = business_day(parcel.ordered_at)
                accounts[account_no] = Account(account_no, parcel.branch_code, district, None, opened_on, False)
        return accounts

    def accounts(self) -> dict[str, Account]:
        """All accounts known by now: one that only charges name is provisional and in no branch."""
        only_charged = {
            no: Account(no, None, None, None, day, True)
            for no, day in self.ledger.first_day_seen.items()
            if no not in self.fixed_accounts
        }
        return self.fixed_accounts | only_charged

    def district_of(self, unit: str | None) -> str | None:
        while unit is not None:
            kind, parent = self.folder.units[unit]
            if kind == "district":
                return unit
            unit = parent
        return None

    def tasks(self) -> list[Task]:
        accounts, tasks = self.accounts(), []
        for revisions in self.movements.values():
            for movement in revisions:
                account = accounts[movement.account_no]
                role, unit = responsible(movement.service_tier, account, self.root_unit)
                state = self.task_state(movement.detected_at, movement.state == "withdrawn")
                tasks.append(
                    Task(
                        public_id("task", movement.movement_id), movement.movement_id, "movement", movement.account_no,
                        movement.month, None, movement.kind, role, unit, helpers_of(role, account, self.root_unit),
                        start_of_next_quarter(movement.detected_at), state,
                    )
                )  # fmt: skip
        for quarterly in self.quarter_movements:
            account = accounts[quarterly.account_no]
            extreme = quarterly.kind in {"riser", "decliner"}
            role, unit = responsible("key" if extreme else "general", account, self.root_unit)
            last_month = f"{quarterly.quarter[:4]}-{3 * int(quarterly.quarter[6:]):02d}"
            tasks.append(
                Task(
                    public_id("task", quarterly.movement_id), quarterly.movement_id, "quarter_movement", quarterly.account_no,
                    last_month, quarterly.quarter, quarterly.kind, role, unit, helpers_of(role, account, self.root_unit),
                    start_of_next_quarter(quarterly.detected_at), self.task_state(quarterly.detected_at, False),
                )
            )  # fmt: skip
        return tasks

    def task_state(self, detected_at: datetime, withdrawn: bool) -> str:
        if withdrawn:
            return "cancelled"
        return "overdue" if start_of_next_quarter(detected_at) <= self.end else "open"

    def entitled(self) -> dict[str, tuple[bool, bool, str]]:
        """VIPs have the green channel and special claims; no area is without insurance, so nobody else has claims."""
        last = self.tiers[max(self.tiers)] if self.tiers else {}
        return {no: (t.service_tier == "vip", t.service_tier == "vip", t.service_tier) for no, t in last.items()}

    def tickets(self) -> list[Ticket]:
        tickets = []
        for parcel in self.folder.parcels.values():
            late = self.late_ticket(parcel)
            if late is not None:
                tickets.append(late)
            for cause_status, cause in CAUSES.items():
                instants = [at for status, at in parcel.scans if status == cause_status]
                if instants:
                    tickets.append(self.ticket(parcel, cause, min(instants), "open"))
        return tickets

    def late_ticket(self, parcel: Parcel) -> Ticket | None:
        """A parcel is late unless a final scan not later than the promise exists when the promise is looked at.

        A delivery at the promised second is in time, so the first S that can judge is one after the promise.
        """
        promised_at = parcel.promised_at
        if promised_at is None:
            return None
        looked_at = next((s for s in self.all_instants if s > promised_at and s > parcel.ordered_at), None)
        if looked_at is None:
            return None
        in_time = [at for status, at in parcel.scans if status in FINAL_STATUSES and at <= promised_at]
        if any(at < looked_at for at in in_time):
            return None
        return self.ticket(parcel, "late", promised_at, "refuted" if in_time else "open")

    def ticket(self, parcel: Parcel, cause: str, opened_at: datetime, state: str) -> Ticket:
        ticket_id = public_id("ticket", parcel.waybill_no, cause)
        due_at = after_working_hours(opened_at, 24)
        return Ticket(ticket_id, parcel.waybill_no, parcel.account_no, parcel.branch_code, cause, opened_at, due_at, state)


def recount(path: Path) -> Recount:
    """Recount a history folder."""
    folder = read_folder(path)
    replay = Replay(folder)
    replay.run()
    totals: dict[str, dict[str, tuple[int, int]]] = {}
    for account_no, charges in replay.ledger.of_account.items():
        months = totals.setdefault(account_no, {})
        for charge in charges.values():
            fen, count = months.get(charge.month, (0, 0))
            months[charge.month] = (fen + charge.amount_fen, count + 1)
    return Recount(
        start=replay.start,
        end=replay.end,
        root_unit=replay.root_unit,
        accounts=replay.accounts(),
        totals=totals,
        tiers=replay.tiers,
        grades=replay.grades,
        bands=replay.bands,
        entitled=replay.entitled(),
        movements=[movement for _, revisions in sorted(replay.movements.items()) for movement in revisions],
        quarter_movements=replay.quarter_movements,
        tasks=replay.tasks(),
        tickets=replay.tickets(),
        parcels=len(folder.parcels),
        rejected={name: sorted(lines) for name, lines in folder.rejected.items() if lines},
    )


def main() -> None:
    found = recount(Path(sys.argv[1]))
    counts = {
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
        "accounts": len(found.accounts),
        "parcels": found.parcels,
        "freight_fen": sum(fen for months in found.totals.values() for fen, _ in months.values()),
        "tiers": {quarter: len(tiers) for quarter, tiers in found.tiers.items()},
        "movements": len(found.movements),
        "quarter_movements": len(found.quarter_movements),
        "withdrawn": sum(movement.state == "withdrawn" for movement in found.movements),
        "tasks": {s: sum(task.state == s for task in found.tasks) for s in ("open", "overdue", "cancelled")},
        "tickets": len(found.tickets),
        "rejected": found.rejected,
    }
    print(json.dumps(counts, indent=1))
    if "--all" in sys.argv:
        print(json.dumps(asdict(found), default=str, indent=1))


if __name__ == "__main__":
    main()
