"""The axes beside tier and grade (客户分层的其他维度), as plain functions that a business reader can check.

Band by percentile (A, B, C), high and low end, focus of a general account, entitlements, milestone, and the grade of a prospect.
Amounts are integer fen. An average of a quarter is never computed: its sum is compared with three times the threshold.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

Band = Literal["A", "B", "C"]
End = Literal["high", "low"]
Prospect = Literal["star", "moon", "sun"]


class Shipper(NamedTuple):
    """What a band looks at, for an account that was placed on the quarter's last day."""

    account_no: str
    opened_on: object
    district_code: str | None
    quarter_fen: int


class Entitlements(NamedTuple):
    """What an account is entitled to (待遇) for a quarter."""

    green_channel: bool
    special_claims: bool
    points_plan: str | None


class EntitlementRules(NamedTuple):
    """The part of a policy that entitlements follow."""

    green_channel: Collection[str]
    claims_without_amount: Collection[str]
    claims_from_fen: int
    points_plan: dict[str, str]


def fall_text(previous_fen: int, current_fen: int) -> str:
    """Return by how much freight fell, in percent with one decimal, cut off: 5,001 of 10,000 yuan left are a fall of 49.9."""
    tenths = (previous_fen - current_fen) * 1000 // previous_fen
    return f"{tenths // 10}.{tenths % 10}"


def share_of(count: int, percent: int) -> int:
    """Return how many of so many a percentage is, rounded up."""
    return -(-count * percent // 100)


def band_for(place: int | None, of: int, a_percent: int, b_percent: int) -> Band:
    """Return the band of the account at a place among so many with freight in its district; `b_percent` is cumulative (T-11).

    A: the first 5 %, rounded up; B: up to 20 %, rounded up; C: the rest, and whoever has no place.
    """
    if place is None:
        return "C"
    if place <= share_of(of, a_percent):
        return "A"
    return "B" if place <= share_of(of, b_percent) else "C"


def band_places(shippers: Iterable[Shipper]) -> dict[str, tuple[int, int]]:
    """Return (place, of how many) in its district for every account with freight: most freight first, ties as ranks have them.

    An account without freight, or in no district, has no place.
    """
    ranked = [shipper for shipper in shippers if shipper.quarter_fen > 0 and shipper.district_code is not None]
    ranked.sort(key=lambda s: (-s.quarter_fen, s.opened_on, s.account_no.encode()))
    count: dict[str | None, int] = {}
    places = {}
    for shipper in ranked:
        places[shipper.account_no] = count[shipper.district_code] = count.get(shipper.district_code, 0) + 1
    return {s.account_no: (places[s.account_no], count[s.district_code]) for s in ranked}


def end_for(grade: str) -> End:
    """Return whether a contribution grade is high end (高端: diamond, gold) or low end (silver) (T-08)."""
    return "low" if grade == "silver" else "high"


def is_focus(service_tier: str | None, quarter_fen: int, focus_from_fen: int) -> bool:
    """Say whether a general account gets a named maintainer: a monthly average of the quarter from the threshold on (T-14)."""
    return service_tier == "general" and quarter_fen >= 3 * focus_from_fen


def is_priority(quarter_fen: int, focus_from_fen: int) -> bool:
    """Say whether a movement is maintained first: the quarter's monthly average is from the threshold on (T-15)."""
    return quarter_fen >= 3 * focus_from_fen


def entitled(service_tier: str | None, quarter_fen: int, *, non_insured: bool, rules: EntitlementRules) -> Entitlements:
    """Return what an account of this tier and quarter's freight is entitled to (T-16, T-64).

    Special claims: some tiers without looking at the amount, everybody else in a non-insured area with enough freight.
    """
    enough = non_insured and quarter_fen >= 3 * rules.claims_from_fen
    return Entitlements(
        green_channel=service_tier in rules.green_channel,
        special_claims=service_tier in rules.claims_without_amount or enough,
        points_plan=rules.points_plan.get(service_tier or ""),
    )


def prospect_grade(expected_fen: int, moon_from_fen: int, sun_from_fen: int) -> Prospect:
    """Return the grade of a possible customer by the monthly amount expected of it: star < moon < sun (C-03)."""
    if expected_fen >= sun_from_fen:
        return "sun"
    return "moon" if expected_fen >= moon_from_fen else "star"
