"""The rules of tiering (分层规则): grades, service tiers and movements, as plain functions that a business reader can check.

Amounts are integer fen and months stand oldest first. The set-based SQL of `decisions` and `movements` says the same; the tests
hold both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from services.tiering.policies.document import PolicyDocument

Grade = Literal["diamond", "gold", "silver"]
ServiceTier = Literal["vip", "key", "general"]
MovementKind = Literal["fall_over_half", "zero_month"]


class Contender(NamedTuple):
    """An account that is ranked at a quarter's end: placed in a branch that day, with its freight of the quarter."""

    account_no: str
    opened_on: date
    branch_code: str | None
    district_code: str | None
    quarter_fen: int


class Movement(NamedTuple):
    """What a month shows against the months before it."""

    kind: MovementKind
    zero_months: int | None
    previous_fen: int
    current_fen: int


def grade_for(sum_fen: int, policy: PolicyDocument) -> Grade:
    """Return the contribution grade for the freight of three months together (T-07).

    The average of the three is compared exactly: the sum with three times the threshold, nothing is rounded.
    """
    if sum_fen >= 3 * policy.grades.diamond_from_fen:
        return "diamond"
    return "gold" if sum_fen >= 3 * policy.grades.gold_from_fen else "silver"


def average_fen(sum_fen: int) -> int:
    """Return a third of three months' freight, rounded down: shown, never compared."""
    return sum_fen // 3


def is_fall(previous_fen: int, current_fen: int, policy: PolicyDocument) -> bool:
    """Say whether freight fell by more than the policy's percentage against the month before; both are above 0 (T-22)."""
    percent = policy.movements.fall_over_percent
    return previous_fen > 0 and current_fen > 0 and (previous_fen - current_fen) * 100 > previous_fen * percent


def zero_run(amounts_fen: Sequence[int]) -> int | None:
    """Return how many months in a row, the last one included, have been without freight after one with freight (T-23).

    None where the last month has freight, or no month before it had any.
    """
    for run, amount in enumerate(reversed(amounts_fen)):
        if amount > 0:
            return run or None
    return None


def movement_for(amounts_fen: Sequence[int], policy: PolicyDocument) -> Movement | None:
    """Return the movement that the last of these months shows, if any: a zero month goes before a fall (T-22, T-23).

    None where the policy does not run the monthly rules (T-27).
    """
    if not policy.movements.judged:
        return None
    current = amounts_fen[-1]
    previous = amounts_fen[-2] if len(amounts_fen) > 1 else 0
    run = zero_run(amounts_fen)
    if run is not None and run <= policy.movements.zero_months_raised:
        return Movement("zero_month", run, previous, current)
    return Movement("fall_over_half", None, previous, current) if is_fall(previous, current, policy) else None


def service_tiers(contenders: Iterable[Contender], policy: PolicyDocument) -> dict[str, tuple[ServiceTier | None, int | None]]:
    """Return tier and rank of every account at a quarter's end (T-01 to T-06, T-17).

    VIP: the first of each district; key: the first of each branch among the rest; general: all others. The rank is the place in
    the district for a VIP, else the place in the branch among those who are not VIP. Ties: opened earlier, then account_no.
    Without freight or without a branch an account is general and has no rank; a branch outside every district has no VIP.
    Under a policy that leaves zero freight untiered (T-05) an account without freight has no tier.
    """
    found: dict[str, tuple[ServiceTier | None, int | None]] = {}
    ranked = []
    for contender in contenders:
        untiered = contender.quarter_fen == 0 and not policy.tiers.zero_freight_is_general
        found[contender.account_no] = (None if untiered else "general", None)
        if contender.quarter_fen > 0 and contender.branch_code is not None:
            ranked.append(contender)
    ranked.sort(key=lambda c: (-c.quarter_fen, c.opened_on, c.account_no.encode()))
    in_district: dict[str | None, int] = {}
    in_branch: dict[str | None, int] = {}
    for contender in ranked:
        place = in_district[contender.district_code] = in_district.get(contender.district_code, 0) + 1
        if contender.district_code is not None and place <= policy.tiers.vip_top_n:
            found[contender.account_no] = ("vip", place)
            continue
        place = in_branch[contender.branch_code] = in_branch.get(contender.branch_code, 0) + 1
        found[contender.account_no] = ("key" if place <= policy.tiers.key_top_n else "general", place)
    return found


Change = Literal["open", "restate", "replace", "withdraw"]


def change_of(standing: Movement | None, now: Movement | None) -> Change | None:
    """Return what restated totals do to the open movement of a month, if anything.

    Only other amounts: it stays and is restated. Another kind or run length: it is withdrawn and a new revision opens.
    """
    if standing == now:
        return None
    if standing is None:
        return "open"
    if now is None:
        return "withdraw"
    same = (standing.kind, standing.zero_months) == (now.kind, now.zero_months)
    return "restate" if same else "replace"
