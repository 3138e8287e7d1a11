"""The seasonal pace of freight (淡旺季): what a month lets expect of an account, and how far a month should have come by a day.

Everything here is pure. Four things move the express trade: the weekday, the position in the month, the month of the year, and
the Spring Festival, which follows the moon and lies in January one year and in February the next. Weekdays, festival days and
months are learnt from the branch's days (`learn`), the position in the month and the account's own year from the account
(`leads_of`, `expect`). Short histories lean on the branch, and without one on the calendar that everybody shares.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from lunar_python import Lunar
from numpy.typing import NDArray

from shared.months import add_months, last_day

Basis = Literal["own", "branch", "calendar"]
Floats = NDArray[np.float64]
CLASSES = ("plain", "rush", "winding_down", "closed", "returning", "holiday", "peak")
"""Kinds of days: plain ones, those around the Spring Festival, the October holiday, and the days of the great sales."""
HISTORY_MONTHS = 25
"""How far back an expectation looks: both earlier years of a month, the older one moved by the moon included."""
CHECKPOINTS = (7, 14, 21)
"""Days of a month after which an account's pace is kept."""
_RECENT = (0.4, 0.3, 0.2, 0.1)
"""What the last months count for the level, newest first."""
_AROUND = 6
_SEEN_AROUND = 6
_SEEN_OF_YEAR = 9
_MAX_FACTOR = 4.0
_DOUBT_DAYS = 6
"""So many days of the prior stand against what a branch shows."""
_LEAST_DAYS = 28


@dataclass(frozen=True, slots=True)
class Season:
    """Relative weights: of weekdays (Monday first), of kinds of days (`CLASSES`), of the months of the year beyond both."""

    weekdays: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 0.85, 0.65)
    classes: tuple[float, ...] = (1.0, 1.1, 0.7, 0.2, 0.7, 0.6, 1.3)
    months: tuple[float, ...] = (1.0,) * 12
    learnt: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for storage."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Season":
        """Read it back."""
        return cls(tuple(data["weekdays"]), tuple(data["classes"]), tuple(data["months"]), bool(data["learnt"]))


CALENDAR = Season()
"""The calendar that everybody shares: plausible weights of ours, for a branch whose days are not known yet."""
FLAT = Season((1.0,) * 7, (1.0,) * len(CLASSES))
"""Every day like any other: what the plain pace compares with."""


class Expectation(NamedTuple):
    """What a month lets expect of each account, in fen, and whether each one's own earlier years speak in it."""

    fen: NDArray[np.int64]
    own: NDArray[np.bool_]


@lru_cache(maxsize=256)
def spring_festival(year: int) -> date:
    """Return the first day of the lunar year (春节), between 21 January and 20 February."""
    day = Lunar.fromYmd(year, 1, 1).getSolar()
    return date(day.getYear(), day.getMonth(), day.getDay())


@lru_cache(maxsize=8192)
def class_of(day: date) -> int:
    """Return the kind of a day, as its place in `CLASSES`."""
    distance = (day - spring_festival(day.year)).days
    for kind, (first, last) in ((1, (-21, -8)), (2, (-7, -3)), (3, (-2, 6)), (4, (7, 13))):
        if first <= distance <= last:
            return kind
    if day.month == 10 and day.day <= 7:
        return 5
    sales = {(11, n) for n in range(11, 16)} | {(6, n) for n in range(16, 21)} | {(12, n) for n in range(12, 15)}
    return 6 if (day.month, day.day) in sales else 0


def day_weight(day: date, season: Season) -> float:
    """Return what a day weighs within its month."""
    return season.weekdays[day.weekday()] * season.classes[class_of(day)]


@lru_cache(maxsize=8192)
def day_weights(month: date, season: Season) -> list[float]:
    """Return what each day of a month weighs."""
    return [day_weight(day, season) for day in days_of(month)]


def month_weight(month: date, season: Season) -> float:
    """Return what a month weighs: its days, and what the month of the year adds to them."""
    return sum(day_weights(month, season)) * season.months[month.month - 1]


@lru_cache(maxsize=65536)
def share(month: date, through: date, season: Season) -> float:
    """Return which share of a month's freight should have come by the end of a day, from 0 before the month to 1 at its end."""
    weights = day_weights(month, season)
    done = max(0, min(len(weights), (through - month).days + 1))
    return sum(weights[:done]) / sum(weights)


def days_of(month: date) -> list[date]:
    """Return the days of a month."""
    return [month + timedelta(days=n) for n in range((last_day(month) - month).days + 1)]


def holds_festival(month: date) -> bool:
    """Say whether a month holds the Spring Festival: more of the days from three before it to ten after than its neighbour.

    Half and half counts for February.
    """
    first = spring_festival(month.year) - timedelta(days=3)
    inside = sum((first + timedelta(days=n)).month == 1 for n in range(14))
    return (month.month == 1 and inside > 7) or (month.month == 2 and inside <= 7)


def twin(month: date, years: int = 1) -> date:
    """Return the month of an earlier year that plays this one's part.

    The month that holds the Spring Festival is compared with the one that held it, so January and February may change places.
    """
    same = add_months(month, -12 * years)
    if month.month > 2 or holds_festival(month) == holds_festival(same):
        return same
    return same.replace(month=3 - same.month)


def learn(days: Mapping[date, int]) -> Season:
    """Learn a branch's season from its freight by day; fewer than 28 days teach nothing.

    Every factor starts from the shared calendar and moves as far as the days seen outweigh six of doubt.
    """
    if len(days) < _LEAST_DAYS or sum(days.values()) <= 0:
        return CALENDAR
    seen = [_Seen(day, fen, day.replace(day=1), day.weekday(), class_of(day)) for day, fen in days.items()]
    weekdays = _factors(seen, CALENDAR, CALENDAR.weekdays, lambda one: one.weekday if one.kind == 0 else None)
    better = Season(weekdays, CALENDAR.classes)
    classes = _factors(seen, better, CALENDAR.classes, lambda one: one.kind or None)
    better = Season(weekdays, classes)
    return Season(weekdays, classes, _month_factors(seen, better), learnt=True)


class _Seen(NamedTuple):
    """A day's freight, with what the calendar says of the day."""

    day: date
    fen: int
    month: date
    weekday: int
    kind: int


def _factors(
    days: Sequence[_Seen], season: Season, prior: Sequence[float], kind_of: Callable[[_Seen], int | None]
) -> tuple[float, ...]:
    levels = _levels(days, season)
    seen, expected, count = [0.0] * len(prior), [0.0] * len(prior), [0] * len(prior)
    for one in days:
        kind, level = kind_of(one), levels.get(one.month, 0.0)
        if kind is not None and level > 0:
            seen[kind] += one.fen
            expected[kind] += level * (season.weekdays[one.weekday] * season.classes[one.kind])
            count[kind] += 1
    moved = []
    for kind, start in enumerate(prior):
        doubt = expected[kind] / count[kind] * _DOUBT_DAYS if count[kind] else 1.0
        moved.append(round(start * (seen[kind] + doubt) / (expected[kind] + doubt), 4))
    return tuple(moved)


def _levels(days: Sequence[_Seen], season: Season) -> dict[date, float]:
    """Return what a plain day of weight 1 brings in each month, from the plain days of it and of its neighbours."""
    seen: dict[date, tuple[float, float]] = {}
    plain = season.classes[0]
    for _, fen, month, weekday, kind in days:
        if kind == 0:
            total, weight = seen.get(month, (0.0, 0.0))
            seen[month] = total + fen, weight + season.weekdays[weekday] * plain
    levels = {}
    for month in {one.month for one in days}:
        near = [seen[m] for m in (add_months(month, n) for n in (-1, 0, 1)) if m in seen]
        weight = sum(one[1] for one in near)
        levels[month] = sum(one[0] for one in near) / weight if weight else 0.0
    return levels


def _month_factors(days: Sequence[_Seen], season: Season) -> tuple[float, ...]:
    """Return the factors of the months of the year; the flat prior counts as one year, and a year must have been seen."""
    totals: dict[date, list[float]] = {}
    for _, fen, month, weekday, kind in days:
        total = totals.setdefault(month, [0.0, 0.0, 0.0])
        total[0] += fen
        total[1] += season.weekdays[weekday] * season.classes[kind]
        total[2] += 1
    levels = {month: fen / weight for month, (fen, weight, count) in totals.items() if count >= _LEAST_DAYS - 1 and weight > 0}
    ratios: list[list[float]] = [[] for _ in range(12)]
    for month, level in levels.items():
        around = [levels[m] for m in (add_months(month, n) for n in range(-5, 7)) if m in levels]
        if len(around) >= _SEEN_OF_YEAR and sum(around) > 0:
            ratios[month.month - 1].append(level * len(around) / sum(around))
    return tuple(round((1.0 + sum(of_month)) / (1 + len(of_month)), 4) for of_month in ratios)


def expect(history: NDArray[np.int64], month: date, season: Season, ahead: int = 0) -> Expectation:
    """Return what a month lets expect of accounts whose months before it stand in rows, oldest first, at most 25.

    `ahead`: how many months lie between, for a month further on.

    The level of the last four months, newest most, since the first freight; times what the month weighs; times the account's own
    factor: how its earlier years' twins of the month stood to the months around them, the flat prior counting as a year. A month
    that was empty in every earlier year is expected to be empty.
    """
    rows, width = history.shape
    months = [add_months(month, n - width - ahead) for n in range(width)]
    weights = np.array([month_weight(one, season) for one in months])
    alive = np.cumsum(history > 0, axis=1) > 0
    recent = np.array(_RECENT[: min(width, len(_RECENT))][::-1])
    used = alive[:, -len(recent) :] * recent
    weighed = (used * weights[-len(recent) :]).sum(axis=1)
    level = np.divide((used * history[:, -len(recent) :]).sum(axis=1), weighed, out=np.zeros(rows), where=weighed > 0)
    ratios, years, busy = np.zeros(rows), np.zeros(rows), np.zeros(rows, dtype=bool)
    for back in (1, 2):
        ratio, seen = _own_ratio(history, alive, weights, months, twin(month, back))
        ratios += ratio
        years += seen
        busy |= seen & (ratio > 0)
    factor = np.where((years > 0) & ~busy, 0.0, (1.0 + ratios) / (1.0 + years))
    expected = np.rint(level * month_weight(month, season) * factor)
    return Expectation(expected.astype(np.int64), years > 0)


def _own_ratio(
    history: NDArray[np.int64], alive: NDArray[np.bool_], weights: Floats, months: Sequence[date], at: date
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return how a month stood to the eleven around it, for each row that has seen six of them; else 0."""
    rows = len(history)
    if at not in months:
        return np.zeros(rows), np.zeros(rows, dtype=bool)
    index = months.index(at)
    around = [n for n in range(max(0, index - _AROUND + 1), min(len(months), index + _AROUND + 1)) if n != index]
    base_weight = (alive[:, around] * weights[around]).sum(axis=1)
    base = np.divide(history[:, around].sum(axis=1), base_weight, out=np.zeros(rows), where=base_weight > 0)
    seen = (alive[:, around].sum(axis=1) >= _SEEN_AROUND) & alive[:, max(0, index - 1)] & (base > 0)
    ratio = np.divide(history[:, index] / weights[index], base, out=np.zeros(rows), where=seen)
    return np.minimum(ratio, _MAX_FACTOR), seen


def leads_of(paces: Sequence[tuple[date, Sequence[int], int]], season: Season) -> tuple[float, float, float]:
    """Return by how much an account runs ahead of its branch after 7, 14 and 21 days, as a share of the month.

    A pace is a month, what had come by each of those days, and the month's total. Two months of doubt stand against them.
    """
    ahead = [0.0, 0.0, 0.0]
    seen = 0
    for month, to_date, total in paces:
        if total > 0 and len(to_date) == len(CHECKPOINTS):
            seen += 1
            for n, due in enumerate(_due_at_checkpoints(month, season)):
                ahead[n] += min(1.0, to_date[n] / total) - due
    return tuple(round(one / (seen + 2), 4) for one in ahead)  # type: ignore[return-value]


@lru_cache(maxsize=8192)
def _due_at_checkpoints(month: date, season: Season) -> tuple[float, ...]:
    return tuple(share(month, month + timedelta(days=day - 1), season) for day in CHECKPOINTS)


def lead_weights(month: date, through: date) -> tuple[float, float, float]:
    """Return how much of each lead counts at the end of a day: between two checkpoints both do, at the month's ends none."""
    stops = (0, *CHECKPOINTS, (last_day(month) - month).days + 1)
    done = max(0, min(stops[-1], (through - month).days + 1))
    weights = [0.0] * len(stops)
    for n in range(len(stops) - 1):
        if stops[n] <= done <= stops[n + 1]:
            part = (done - stops[n]) / (stops[n + 1] - stops[n])
            weights[n], weights[n + 1] = 1.0 - part, part
            break
    return weights[1], weights[2], weights[3]


def basis_of(season: Season, *, own: bool) -> Basis:
    """Say what an expectation rests on: the account's own earlier years, its branch's season, or the shared calendar."""
    if own:
        return "own"
    return "branch" if season.learnt else "calendar"


def explains(expected_fen: int, current_fen: int, fall_over_percent: int) -> bool:
    """Say whether the season explains a month: held against what it let expect, the rule of the fall does not fire (X-45)."""
    return (expected_fen - current_fen) * 100 <= expected_fen * fall_over_percent
