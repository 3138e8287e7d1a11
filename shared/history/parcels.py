"""What a row says happened: the scans of a parcel and the freight charged for it (waybill, yundan).

One reading of the columns serves the history folder and the CSV import: both give the same events with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import IntEnum
from typing import Any, NamedTuple

from shared.events.envelope import Event
from shared.events.freight import FreightCharged
from shared.events.shipments import ShipmentStatusChanged
from shared.history import rows
from shared.history.csv_files import UnreadableRow
from shared.history.rows import MoneyUnit

SHIPMENT_COLUMNS = (
    "waybill_no",
    "account_no",
    "origin_city",
    "origin_state",
    "destination_city",
    "destination_state",
    "pieces",
    "goods_value",
    "freight",
    "ordered_at",
    "handed_over_at",
    "delivered_at",
    "promised_at",
    "status",
)
CHARGE_COLUMNS = ("charge_no", "version", "waybill_no", "account_no", "amount", "charged_at", "published_at")
SCAN_COLUMNS = ("waybill_no", "status", "occurred_at", "exception_code")
ABSENT = "\0absent"
"""The value of a column that a mapped file does not have; no cell can hold it."""

BranchOf = Callable[[str], str]
Dated = tuple[datetime, Event]
"""A publication instant and the event published then."""


class Fact(IntEnum):
    """What a row of shipments.csv can tell, in the order in which simultaneous facts are published."""

    CREATED = 0
    PICKED_UP = 1
    CHARGED = 2
    DELIVERED = 3
    CANCELLED = 4


class Parcel(NamedTuple):
    """A parcel as its row tells it; instants with +08:00, amounts in fen, ``facts`` in order of `Fact`."""

    waybill_no: str
    account_no: str
    branch_code: str
    ordered_at: datetime
    freight_fen: int
    facts: tuple[tuple[Fact, datetime], ...]
    shared: dict[str, Any]

    def event(self, fact: Fact, at: datetime) -> Event:
        """Return the event that publishes a fact."""
        return self.charge(at) if fact is Fact.CHARGED else self.scan(fact.name, at)

    def scan(self, status: str, at: datetime, exception_code: str | None = None) -> ShipmentStatusChanged:
        """Return a scan of this parcel."""
        exception = {"code": exception_code} if exception_code else None
        return ShipmentStatusChanged.model_validate({**self.shared, "status": status, "occurred_at": at, "exception": exception})

    def charge(self, at: datetime) -> FreightCharged:
        """Return version 1 of the freight of this parcel."""
        return charge(charge_no_of(self.waybill_no), 1, self.waybill_no, self.account_no, self.freight_fen, at)

    def publications(self) -> list[Dated]:
        """Return all events of the row with their publication instants."""
        return [(at, self.event(fact, at)) for fact, at in self.facts]


@dataclass(frozen=True, slots=True)
class ParcelReading:
    """How the columns of a file are to be read; the defaults are the native form."""

    branch_of: BranchOf
    naive: tzinfo | None = None
    money: MoneyUnit = "yuan"

    def parcel(self, row: tuple[str, ...]) -> Parcel:
        """Read one row of `SHIPMENT_COLUMNS`.

        Raises:
            UnreadableRow: a cell cannot be read; no event of the row may be published then.
        """
        waybill_no, account_no, origin_city, origin, city, region, pieces, goods, freight, *moments, status = row
        ordered_at = rows.instant("ordered_at", moments[0], self.naive)
        handed_over_at = self._moment("handed_over_at", moments[1])
        delivered_at = self._moment("delivered_at", moments[2])
        branch_code = self.branch_of(origin)
        rows.code("waybill_no", waybill_no)
        if handed_over_at:
            rows.code("charge_no", charge_no_of(waybill_no))
        shared = {
            "waybill_no": waybill_no,
            "account_no": rows.account_no(account_no),
            "promised_at": self._moment("promised_at", moments[3]),
            "origin": {
                "branch": branch_code,
                "city": rows.place("origin_city", origin_city),
                "region": rows.place("origin_state", origin),
            },
            "destination": {
                "city": rows.place("destination_city", city),
                "region": rows.place("destination_state", region),
            },
            "pieces": 1 if pieces == ABSENT else rows.number("pieces", pieces),
            "weight_grams": None,
            "goods_value_fen": None if goods == ABSENT else rows.fen("goods_value", goods, self.money),
            "insured_fen": None,
            "source_code": None,
        }
        freight_fen = rows.fen("freight", freight, self.money)
        facts = _facts(ordered_at, handed_over_at, delivered_at, status)
        return Parcel(waybill_no, account_no, branch_code, ordered_at, freight_fen, facts, shared)

    def _moment(self, column: str, text: str) -> datetime | None:
        return None if text == ABSENT else rows.instant_or_none(column, text, self.naive)


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A correction, cancellation (amount 0) or late charge of charges.csv and the instant it becomes known."""

    event: FreightCharged
    published_at: datetime


def charge_row(row: tuple[str, ...]) -> ChargeRow:
    """Read one row of `CHARGE_COLUMNS`."""
    charge_no, version, waybill_no, account_no, amount, charged_at, published_at = row
    event = charge(
        rows.code("charge_no", charge_no),
        rows.number("version", version),
        rows.code("waybill_no", waybill_no),
        rows.account_no(account_no),
        rows.fen("amount", amount),
        rows.instant("charged_at", charged_at),
    )
    return ChargeRow(event, rows.instant("published_at", published_at))


@dataclass(frozen=True, slots=True)
class ScanRow:
    """An extra scan of scans.csv."""

    waybill_no: str
    status: str
    occurred_at: datetime
    exception_code: str | None


def scan_row(row: tuple[str, ...]) -> ScanRow:
    """Read one row of `SCAN_COLUMNS`."""
    waybill_no, status, occurred_at, exception_code = row
    return ScanRow(
        rows.code("waybill_no", waybill_no),
        rows.code("status", status),
        rows.instant("occurred_at", occurred_at),
        rows.code("exception_code", exception_code) if exception_code else None,
    )


def charge(charge_no: str, version: int, waybill_no: str, account_no: str, amount_fen: int, at: datetime) -> FreightCharged:
    """Return a charge event; ``at`` is `charged_at`, which decides its business month."""
    return FreightCharged.model_validate(
        {
            "charge_no": charge_no,
            "version": version,
            "waybill_no": waybill_no,
            "account_no": account_no,
            "amount_fen": amount_fen,
            "charged_at": at,
            "product": None,
            "weight_grams": None,
        }
    )


def charge_no_of(waybill_no: str) -> str:
    """Return the number of the charge a parcel's own row stands for."""
    return f"CH-{waybill_no}"


def state_branch(origin_state: str) -> str:
    """Return the branch of an origin state where nobody gave an organisation: `SP` is branch `BR-SP`."""
    if not origin_state:
        raise UnreadableRow("origin_state is empty")
    return rows.unit_code("origin_state", f"BR-{origin_state}")


def _facts(
    ordered_at: datetime, handed_over_at: datetime | None, delivered_at: datetime | None, status: str
) -> tuple[tuple[Fact, datetime], ...]:
    facts = [(Fact.CREATED, ordered_at)]
    if handed_over_at:
        facts += [(Fact.PICKED_UP, handed_over_at), (Fact.CHARGED, handed_over_at)]
    if delivered_at:
        facts.append((Fact.DELIVERED, delivered_at))
    elif status == "canceled":
        facts.append((Fact.CANCELLED, rows.day_later("ordered_at", ordered_at)))
    return tuple(facts)
