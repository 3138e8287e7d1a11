"""Invented parcels of one month: when they are ordered, how they travel, what goes wrong, and how their bills are mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import accumulate
from math import exp
from random import Random

from shared.history.parcels import charge_no_of
from shared.history.simulated_accounts import Branch, SimulatedAccount
from shared.history.simulated_season import month_weights
from shared.months import month_start_instant

_DAYS_PER_MONTH = 30.44
_LEAST_FREIGHT_FEN = 800
_HOURS = tuple(accumulate((0, 0, 0, 0, 0, 0, 1, 2, 5, 9, 10, 9, 6, 7, 9, 10, 10, 9, 6, 5, 5, 4, 3, 1)))
_DELAYS = ("WEATHER", "SORTING", "ADDRESS", "CAPACITY")
_POISSON_BY_COUNTING = 30.0

# How often something happens to a parcel: plausible rates of a sound carrier, not measured ones.
NEVER_HANDED_OVER = 0.003
CANCELLED = 0.010
IN_TRANSIT_TOLD = 0.12
DELAYED = 0.025
REFUSED = 0.004
DAMAGED = 0.002
LOST = 0.0005
BILL_MENDED = 0.009
CHARGED_LATE = 0.004
LATEST_CHARGE_DAYS = 395
"""13 months: so late a charge may still become known."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a parcel travels: usual hours from hand-over to delivery, and the days promised."""

    destination: Branch
    hours: float
    promised_days: int


@dataclass(slots=True)
class SimulatedMonth:
    """The rows of one month, ready to be written, in the order of the orders."""

    shipments: list[str] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    charges: list[str] = field(default_factory=list)


class ParcelSimulation:
    """Invents parcels month by month; nothing in it becomes known at ``end`` or later."""

    def __init__(self, random: Random, accounts: Sequence[SimulatedAccount], branches: Sequence[Branch], end: datetime) -> None:
        self._random = random
        self._accounts = accounts
        self._branches = branches
        self._end = end
        self._number = 0

    def month(self, first_day: date, index: int) -> SimulatedMonth:
        """Return the parcels ordered in a month, the ``index``-th (from 0) of the history."""
        month = SimulatedMonth()
        orders = self._orders(first_day, index)
        if not orders:
            # A month without any parcel would end the history early.
            orders = [(month_start_instant(first_day) + timedelta(hours=9), 0)]
        for ordered_at, account in orders:
            self._number += 1
            self._parcel(f"SIM{self._number:010d}", self._accounts[account], ordered_at, month)
        return month

    def _orders(self, first_day: date, index: int) -> list[tuple[datetime, int]]:
        random = self._random
        start = month_start_instant(first_day)
        weights = list(accumulate(month_weights(first_day)))
        season = weights[-1] / _DAYS_PER_MONTH
        days, hours = range(len(weights)), range(24)
        orders = []
        for number, account in enumerate(self._accounts):
            strength = account.strength(index)
            if not strength:
                continue
            count = poisson(random, account.parcels * strength * season * random.lognormvariate(0.0, 0.3))
            for day in random.choices(days, cum_weights=weights, k=count):
                hour = random.choices(hours, cum_weights=_HOURS)[0]
                orders.append((start + timedelta(days=day, hours=hour, seconds=int(random.random() * 3600)), number))
        # An account opens within its first days: an order from before then is none.
        orders = [order for order in orders if order[0].date() >= self._accounts[order[1]].opened_on]
        orders.sort()
        return orders

    def _parcel(self, waybill_no: str, account: SimulatedAccount, ordered_at: datetime, month: SimulatedMonth) -> None:
        random = self._random
        route = self._route(account.branch)
        pieces = 1 + (random.random() < 0.15) + (random.random() < 0.05) * random.randrange(1, 6)
        freight = account.freight_fen * random.lognormvariate(0.0, 0.4) * (0.7 + 0.3 * pieces)
        freight_fen = max(_LEAST_FREIGHT_FEN, int(freight) // 10 * 10)
        goods_fen = int(freight_fen * random.lognormvariate(2.0, 0.8))
        fate = random.random()
        handed_over_at: datetime | None = None
        status = "processing"
        if fate < CANCELLED:
            status = "canceled" if ordered_at + timedelta(hours=24) < self._end else "processing"
        elif fate >= CANCELLED + NEVER_HANDED_OVER:
            handed_over_at = self._before_end(ordered_at + timedelta(minutes=int(random.uniform(60, 1500))))
        promised_at = (ordered_at + timedelta(days=1 + route.promised_days)).replace(hour=22, minute=0, second=0)
        delivered_at: datetime | None = None
        if handed_over_at:
            delivered_at = self._before_end(self._journey(waybill_no, handed_over_at, route, month))
            status = "delivered" if delivered_at else "shipped"
            self._bill(waybill_no, account, freight_fen, handed_over_at, month)
        month.shipments.append(
            f"{waybill_no},{account.account_no},{account.branch.city},{account.branch.code},"
            f"{route.destination.city},{route.destination.code},{pieces},{_yuan(goods_fen)},{_yuan(freight_fen)},"
            f"{ordered_at.isoformat()},{_text(handed_over_at)},{_text(delivered_at)},{promised_at.isoformat()},{status}\n"
        )

    def _route(self, origin: Branch) -> Route:
        distance = self._random.random()
        if distance < 0.2:
            return Route(origin, 18.0, 1)
        destination = self._random.choice(self._branches)
        while distance < 0.5 and destination.district != origin.district:
            destination = self._random.choice(self._branches)
        return Route(destination, 36.0, 2) if destination.district == origin.district else Route(destination, 60.0, 3)

    def _journey(self, waybill_no: str, handed_over_at: datetime, route: Route, month: SimulatedMonth) -> datetime | None:
        """Return the delivery of a parcel, None where there is none, and note the scans on its way."""
        random = self._random
        hours = route.hours * random.lognormvariate(0.0, 0.22)
        trouble = random.random()
        if random.random() < IN_TRANSIT_TOLD:
            self._scan(month, waybill_no, "IN_TRANSIT", handed_over_at + timedelta(hours=int(hours * 0.4)))
        if trouble < LOST:
            self._scan(month, waybill_no, "LOST", handed_over_at + timedelta(hours=int(hours) + 240), "NOT_FOUND")
            return None
        if trouble < LOST + REFUSED:
            refused_at = handed_over_at + timedelta(minutes=int(hours * 60))
            self._scan(month, waybill_no, "REFUSED", refused_at, "BY_RECEIVER")
            self._scan(month, waybill_no, "RETURNED", refused_at + timedelta(minutes=int(hours * 60)))
            return None
        if trouble < LOST + REFUSED + DAMAGED:
            self._scan(month, waybill_no, "DAMAGED", handed_over_at + timedelta(hours=int(hours * 0.7)), "PACKAGING")
        elif trouble < LOST + REFUSED + DAMAGED + DELAYED:
            self._scan(month, waybill_no, "DELAYED", handed_over_at + timedelta(hours=int(hours)), random.choice(_DELAYS))
            hours += random.uniform(10, 110)
        return handed_over_at + timedelta(minutes=int(hours * 60))

    def _bill(
        self, waybill_no: str, account: SimulatedAccount, freight_fen: int, charged_at: datetime, month: SimulatedMonth
    ) -> None:
        """Note how the bill of a parcel is corrected, cancelled, moved, or followed by a late charge."""
        random = self._random
        if random.random() < BILL_MENDED * account.disputes:
            version, known_at = 2, charged_at
            for _ in range(1 + (random.random() < 0.1)):
                known_at += timedelta(hours=int(random.uniform(30, 1000)))
                self._correction(waybill_no, version, account, freight_fen, charged_at, known_at, month)
                version += 1
        if random.random() < CHARGED_LATE * account.disputes:
            known_at = charged_at + timedelta(days=1 + int(random.random() ** 2 * (LATEST_CHARGE_DAYS - 1)))
            surcharge = max(_LEAST_FREIGHT_FEN, int(freight_fen * random.uniform(0.1, 1.2)))
            self._charge(month, f"LC-{waybill_no}", 1, waybill_no, account.account_no, surcharge, charged_at, known_at)

    def _correction(
        self,
        waybill_no: str,
        version: int,
        account: SimulatedAccount,
        freight_fen: int,
        charged_at: datetime,
        known_at: datetime,
        month: SimulatedMonth,
    ) -> None:
        """Note a correction: mostly another amount, sometimes none, another month, or another account."""
        random = self._random
        account_no = account.account_no
        kind = random.random()
        if kind < 0.15:
            amount = 0
        elif kind < 0.85:
            amount = int(freight_fen * random.uniform(0.4, 1.3))
        else:
            amount = freight_fen
            if kind < 0.93:
                charged_at = min(known_at, charged_at + timedelta(days=31))
            else:
                account_no = random.choice(self._accounts).account_no
        self._charge(month, charge_no_of(waybill_no), version, waybill_no, account_no, amount, charged_at, known_at)

    def _charge(
        self,
        month: SimulatedMonth,
        charge_no: str,
        version: int,
        waybill_no: str,
        account_no: str,
        amount: int,
        charged_at: datetime,
        known_at: datetime,
    ) -> None:
        if known_at < self._end:
            month.charges.append(
                f"{charge_no},{version},{waybill_no},{account_no},{_yuan(amount)},"
                f"{charged_at.isoformat()},{known_at.isoformat()}\n"
            )

    def _scan(self, month: SimulatedMonth, waybill_no: str, status: str, at: datetime, code: str = "") -> None:
        if at < self._end:
            month.scans.append(f"{waybill_no},{status},{at.isoformat()},{code}\n")

    def _before_end(self, at: datetime | None) -> datetime | None:
        return at if at and at < self._end else None


def poisson(random: Random, mean: float) -> int:
    """Return a Poisson-distributed count; above 30 the normal curve stands in for it."""
    if mean > _POISSON_BY_COUNTING:
        return max(0, round(random.gauss(mean, mean**0.5)))
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _text(at: datetime | None) -> str:
    return at.isoformat() if at else ""
