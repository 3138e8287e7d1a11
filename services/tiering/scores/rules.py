"""The rules of the scores (评分规则): pure, without numpy; the set-based SQL of `inputs` and `writing` says the same.

A month counts as a purchase where it has freight; months are the unit of time, and what lies more than WINDOW_MONTHS back no
longer counts. Source: T-18, T-60, T-61, T-62, C-63.
"""

from collections.abc import Sequence
from typing import NamedTuple

WINDOW_MONTHS = 36
HORIZON_MONTHS = 12
LOST_AFTER = 3
"""An account counts as lost when it has been without freight for so many months in a row; before that it is live."""
SILENT_POINTS = (5, 45, 65, 80, 80, 80, 95)
"""Points of risk by the number of months without freight, the last one for all longer runs."""
FALL_POINTS = ((50, 25), (20, 10))
"""Points for a fall of more than so many percent against the month before, the first that holds."""
SELDOM_POINTS = 10
"""Points for shipping in less than every second month of the last twelve."""
FADES = 3
"""A jump counts whole, then half, then a quarter, each for the policy's number of days; then it is over."""


class Reason(NamedTuple):
    """A part of a risk: what it is for, the number behind it, and its points."""

    code: str
    number: int
    points: int


def quintile(value: int, cuts: Sequence[int]) -> int:
    """Return 1 to 5 by the four cuts of the whole organisation: one more for each cut that the value lies above (C-63).

    The cuts are the values at the first, second, third and fourth fifth; equal values therefore always score alike.
    """
    return 1 + sum(value > cut for cut in cuts)


def rule_reasons(*, recency: int, previous_fen: int, current_fen: int, months_12: int, age: int) -> list[Reason]:
    """Return what the rule finds at an account, the baseline of the churn risk (T-60)."""
    found = [Reason("months_without_freight", recency, SILENT_POINTS[min(recency, len(SILENT_POINTS) - 1)])]
    if recency == 0 and previous_fen > current_fen:
        fall = (previous_fen - current_fen) * 100
        points = next((points for percent, points in FALL_POINTS if fall > previous_fen * percent), 0)
        if points:
            found.append(Reason("fall_percent", fall // previous_fen, points))
    if months_12 * 2 < min(age + 1, 12):
        found.append(Reason("months_with_freight_of_12", months_12, SELDOM_POINTS))
    return found


def rule_risk(reasons: Sequence[Reason]) -> int:
    """Return the risk of the rule, 0 to 100."""
    return min(100, sum(reason.points for reason in reasons))


def faded(points: int, days: int, halved_after_days: int) -> int:
    """Return what is left of a jump after so many days (T-61): in steps, so that a risk changes on a few days only."""
    step = days // halved_after_days
    return points >> step if 0 <= step < FADES else 0


def average_estimate(x: int, t_x: int, age: int, months: int) -> tuple[float, float]:
    """Return expected months with freight within `months`, and the chance of none within three, where no model can be fitted.

    The share of months with freight so far (one of each kind is added), halved for each three months of silence.
    """
    share = (x + 1) / (age + 2) * 0.5 ** ((age - t_x) / 3)
    return months * share, (1 - share) ** 3


def money_part(money_score: int, quarter_fen: int, previous_fen: int) -> int:
    """Return the money part of a relationship's evaluation (T-62): 20 for each fifth, 10 up or down for a move of 20 %."""
    rises = quarter_fen * 100 >= previous_fen * 120 and quarter_fen > 0
    falls = quarter_fen * 100 <= previous_fen * 80 and previous_fen > 0
    return max(0, min(100, 20 * money_score + 10 * rises - 10 * falls))


def service_part(late: int, damaged: int, overdue: int) -> int:
    """Return the service part: 100, less 10 for each late parcel and overdue ticket, 20 for each damaged or lost."""
    return max(0, 100 - 10 * late - 20 * damaged - 10 * overdue)


WEIGHTS = {"money": 50, "service": 30, "satisfaction": 20}


def evaluation(parts: dict[str, int | None]) -> int:
    """Return the score of a relationship: the weighted mean of the parts that have data, rounded down. No data is never 0."""
    known = {name: part for name, part in parts.items() if part is not None}
    return sum(WEIGHTS[name] * part for name, part in known.items()) // sum(WEIGHTS[name] for name in known)


RULE_RISK = f"""least(100,
    (ARRAY[{", ".join(map(str, SILENT_POINTS))}])[least({{i}}.recency, {len(SILENT_POINTS) - 1}) + 1]
    + CASE WHEN {{i}}.recency > 0 OR {{i}}.previous_fen <= {{i}}.amount_fen THEN 0
           WHEN {{i}}.previous_fen - {{i}}.amount_fen > {{i}}.previous_fen / 100 * {FALL_POINTS[0][0]}
                                                        + {{i}}.previous_fen % 100 * {FALL_POINTS[0][0]} / 100
           THEN {FALL_POINTS[0][1]}
           WHEN {{i}}.previous_fen - {{i}}.amount_fen > {{i}}.previous_fen / 100 * {FALL_POINTS[1][0]}
                                                        + {{i}}.previous_fen % 100 * {FALL_POINTS[1][0]} / 100
           THEN {FALL_POINTS[1][1]} ELSE 0 END
    + CASE WHEN {{i}}.months_12 * 2 < least({{i}}.age + 1, 12) THEN {SELDOM_POINTS} ELSE 0 END)"""
"""SQL of `rule_risk(rule_reasons(...))` for a row of score_inputs; `{i}` is its alias."""
