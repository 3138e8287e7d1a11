"""Invented units and settlement accounts: where they are, how much they send, and how that changes over the months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import accumulate
from math import exp
from random import Random

from shared.history.organisation import Unit
from shared.months import add_months

DISTRICTS: dict[str, tuple[str, tuple[tuple[str, str, float], ...]]] = {
    "EC": (
        "East district (simulated)",
        (
            ("SHA", "shanghai", 1.8), ("HGH", "hangzhou", 1.6), ("NKG", "nanjing", 1.0), ("SZV", "suzhou", 1.2),
            ("NGB", "ningbo", 0.9), ("HFE", "hefei", 0.6),
        ),
    ),
    "SC": (
        "South district (simulated)",
        (
            ("CAN", "guangzhou", 1.9), ("SZX", "shenzhen", 1.9), ("DGM", "dongguan", 1.1), ("FUO", "foshan", 0.9),
            ("XMN", "xiamen", 0.7), ("NNG", "nanning", 0.5),
        ),
    ),
    "NC": (
        "North district (simulated)",
        (
            ("BJS", "beijing", 1.7), ("TSN", "tianjin", 0.9), ("TNA", "jinan", 0.8), ("TAO", "qingdao", 0.9),
            ("SHE", "shenyang", 0.6), ("SIA", "xian", 0.8),
        ),
    ),
}  # fmt: skip
"""Per district its name and its branches: code, city, and weight among the branches."""

OUTLETS_PER_BRANCH = 3
_TRADES = ("textiles", "electronics", "toys", "books", "cosmetics", "hardware", "tea", "shoes", "parts", "ceramics")


class Course(StrEnum):
    """How an account's freight goes over the months."""

    STEADY = "steady"
    GROWING = "growing"
    FADING = "fading"
    STOPPED = "stopped"
    RETURNING = "returning"
    NEW = "new"


_COURSES = (Course.STEADY, Course.GROWING, Course.FADING, Course.STOPPED, Course.RETURNING, Course.NEW)
_COURSE_SHARES = (0.46, 0.14, 0.12, 0.08, 0.08, 0.12)


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch, its city, the code of its district and its outlets."""

    code: str
    city: str
    district: str
    outlets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimulatedAccount:
    """An invented account.

    ``parcels`` is its usual number per month, ``freight_fen`` its usual freight per parcel. ``turn`` and ``back`` are the
    months (from 0) in which its course turns and, for a returning one, turns back. ``disputes`` says how often its bills
    are corrected, an ordinary account having 1.
    """

    account_no: str
    name: str
    branch: Branch
    outlet_code: str | None
    opened_on: date
    parcels: float
    freight_fen: float
    course: Course
    turn: int
    back: int
    disputes: float

    def strength(self, month: int) -> float:
        """Return the part of its usual parcels that an account sends in a month (from 0), season aside."""
        since = month - self.turn
        match self.course:
            case Course.GROWING:
                return min(3.0, 0.5 * exp(0.08 * month))
            case Course.FADING:
                return 1.3 if since < 0 else max(0.05, 1.3 * 0.78**since)
            case Course.STOPPED:
                return 1.0 if since < 0 else 0.0
            case Course.RETURNING:
                return 0.0 if self.turn <= month < self.back else 1.0
            case Course.NEW:
                return 0.0 if since < 0 else min(1.0, 0.4 + 0.2 * since)
            case Course.STEADY:
                return 1.0


def branches() -> list[Branch]:
    """Return the branches of the simulated carrier."""
    return [
        Branch(
            code=f"{district}-{code}",
            city=city,
            district=district,
            outlets=tuple(f"{district}-{code}-{number}" for number in range(1, OUTLETS_PER_BRANCH + 1)),
        )
        for district, (_, members) in DISTRICTS.items()
        for code, city, _ in members
    ]


def units() -> list[Unit]:
    """Return the organisation of the simulated carrier: HQ, 3 districts, 18 branches, 54 outlets; parents first."""
    found = [Unit("HQ", "hq", None, "Headquarters (simulated)")]
    found += [Unit(code, "district", "HQ", name) for code, (name, _) in DISTRICTS.items()]
    found += [Unit(branch.code, "branch", branch.district, f"{branch.city} (simulated)") for branch in branches()]
    for branch in branches():
        for number, outlet in enumerate(branch.outlets, 1):
            found.append(Unit(outlet, "outlet", branch.code, f"{branch.city} {number} (simulated)"))
    return found


def invent_accounts(random: Random, count: int, first_month: date, months: int) -> list[SimulatedAccount]:
    """Return ``count`` accounts for a history of ``months`` months."""
    where = branches()
    weights = list(accumulate(weight for _, members in DISTRICTS.values() for _, _, weight in members))
    return [_account(random, number, where, weights, first_month, months) for number in range(1, count + 1)]


def _account(
    random: Random, number: int, where: Sequence[Branch], weights: Sequence[float], first_month: date, months: int
) -> SimulatedAccount:
    branch = random.choices(where, cum_weights=weights)[0]
    course = random.choices(_COURSES, _COURSE_SHARES)[0]
    turn = random.randrange(1, max(2, months - 2))
    back = turn + random.randrange(2, 8)
    if course is Course.NEW:
        opened_on = add_months(first_month, turn) + timedelta(days=random.randrange(3))
    else:
        opened_on = first_month - timedelta(days=random.randrange(1, 2500))
    trade = random.choice(_TRADES)
    return SimulatedAccount(
        account_no=f"SIM{number:06d}",
        name=f"{branch.city.capitalize()} {trade} {number} (simulated)",
        branch=branch,
        outlet_code=random.choice(branch.outlets) if random.random() < 0.85 else None,
        opened_on=opened_on,
        parcels=random.lognormvariate(1.01, 0.95),
        freight_fen=random.lognormvariate(9.85, 0.85),
        course=course,
        turn=turn,
        back=back,
        disputes=8.0 if random.random() < 0.08 else 1.0,
    )
