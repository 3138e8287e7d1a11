"""The rules of quarterly movements (季度异动) as plain functions that a business reader can check.

Two quarters of an account are compared by their sums in integer fen; the SQL of `quarter_movements` says the same.
"""

from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

QuarterKind = Literal["riser", "decliner", "rise", "fall", "resumed"]


class QuarterNumbers(NamedTuple):
    """The part of a policy that quarterly movements follow."""

    riser_n: int
    decliner_n: int
    rise_percent: int
    fall_percent: int


class Compared(NamedTuple):
    """An account of a branch, with its freight of the quarter before and of the quarter that is judged."""

    account_no: str
    opened_on: date
    branch_code: str | None
    previous_fen: int
    current_fen: int
    shipped_before: bool
    """Whether it had freight in any quarter before those two."""


class Shown(NamedTuple):
    """What two quarters show."""

    kind: QuarterKind
    place: int | None


def by_ratio(previous_fen: int, current_fen: int, numbers: QuarterNumbers) -> QuarterKind | None:
    """Return rise or fall where the change reaches the percentage, both included; the base is above 0 (T-26)."""
    if (current_fen - previous_fen) * 100 >= previous_fen * numbers.rise_percent:
        return "rise"
    return "fall" if (previous_fen - current_fen) * 100 >= previous_fen * numbers.fall_percent else None


def quarter_movements(accounts: Iterable[Compared], numbers: QuarterNumbers) -> dict[str, Shown]:
    """Return the movements of accounts, each judged in its branch (T-24, T-25, T-26).

    The largest rise and the largest falls of a branch in yuan, ties by the longer tenure and then the account number; everybody
    else by ratio. A base of 0 has no ratio: `resumed` where there was freight before it, otherwise the account is new and shows
    nothing. An account in no branch is not judged.
    """
    found: dict[str, Shown] = {}
    branches: dict[str, list[Compared]] = {}
    for account in accounts:
        if account.branch_code is None or (account.previous_fen == 0 and account.current_fen == 0):
            continue
        if account.previous_fen > 0:
            branches.setdefault(account.branch_code, []).append(account)
        elif account.shipped_before:
            found[account.account_no] = Shown("resumed", None)
    for judged in branches.values():
        found |= _in_branch(judged, numbers)
    return found


def _in_branch(accounts: list[Compared], numbers: QuarterNumbers) -> dict[str, Shown]:
    found = {}
    for account in accounts:
        kind = by_ratio(account.previous_fen, account.current_fen, numbers)
        if kind is not None and account.current_fen != account.previous_fen:
            found[account.account_no] = Shown(kind, None)
    for kind, sign, count in (("riser", 1, numbers.riser_n), ("decliner", -1, numbers.decliner_n)):
        moved = [account for account in accounts if sign * (account.current_fen - account.previous_fen) > 0]
        moved.sort(key=lambda a: (-abs(a.current_fen - a.previous_fen), a.opened_on, a.account_no.encode()))
        for place, account in enumerate(moved[:count], 1):
            found[account.account_no] = Shown(kind, place)  # type: ignore[arg-type]
    return found
