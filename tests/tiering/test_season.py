"""The seasonal pace: the moon's months, the days of a month, what short and long histories let expect."""

from datetime import date, timedelta

import numpy as np
import pytest

from services.tiering.season import (
    CALENDAR,
    FLAT,
    Season,
    basis_of,
    class_of,
    expect,
    explains,
    holds_festival,
    lead_weights,
    leads_of,
    learn,
    month_weight,
    share,
    spring_festival,
    twin,
)
from shared.history.simulated_season import SPRING_FESTIVALS, day_weight

JAN, FEB, MAR = date(2018, 1, 1), date(2018, 2, 1), date(2018, 3, 1)


@pytest.mark.row("X-45")
def test_the_spring_festival_of_half_a_century() -> None:
    assert [spring_festival(year) for year, _, _ in SPRING_FESTIVALS] == [date(*day) for day in SPRING_FESTIVALS]


@pytest.mark.row("X-45")
@pytest.mark.parametrize(
    ("year", "month"),
    [(2012, 1), (2014, 2), (2017, 2), (2018, 2), (2020, 1), (2023, 1), (2025, 2), (2026, 2)],
    ids=str,
)
def test_which_month_holds_the_festival(year: int, month: int) -> None:
    """31 January 2014 and 29 January 2025 belong to February: most of their days do."""
    assert [holds_festival(date(year, n, 1)) for n in (1, 2, 3)] == [month == 1, month == 2, False]


@pytest.mark.row("X-45")
def test_a_month_is_compared_with_the_one_that_played_its_part() -> None:
    assert twin(date(2020, 1, 1)) == date(2019, 2, 1), "festival with festival"
    assert twin(date(2020, 2, 1)) == date(2019, 1, 1)
    assert twin(date(2018, 2, 1)) == date(2017, 2, 1)
    assert twin(date(2020, 3, 1)) == date(2019, 3, 1)
    assert twin(date(2020, 1, 1), 2) == date(2018, 2, 1)


def test_kinds_of_days() -> None:
    named = ["plain", "rush", "winding_down", "closed", "returning", "holiday", "peak"]
    days = [
        date(2018, 5, 2),
        date(2018, 2, 1),
        date(2018, 2, 10),
        date(2018, 2, 16),
        date(2018, 2, 24),
        date(2018, 10, 7),
        date(2018, 11, 11),
    ]
    assert [named[class_of(day)] for day in days] == named
    edges = {-22: 0, -21: 1, -8: 1, -7: 2, -3: 2, -2: 3, 6: 3, 7: 4, 13: 4, 14: 0}
    assert {n: class_of(spring_festival(2018) + timedelta(days=n)) for n in edges} == edges


def test_the_share_of_a_month() -> None:
    assert share(MAR, date(2018, 2, 28), FLAT) == 0
    assert share(MAR, date(2018, 3, 1), FLAT) == pytest.approx(1 / 31)
    assert share(MAR, date(2018, 3, 31), CALENDAR) == share(MAR, date(2018, 4, 5), CALENDAR) == 1
    assert share(FEB, date(2018, 2, 13), CALENDAR) > 0.6, "the festival's week is still to come, and brings little"
    weekend = share(MAR, date(2018, 3, 4), CALENDAR) - share(MAR, date(2018, 3, 2), CALENDAR)
    working = share(MAR, date(2018, 3, 6), CALENDAR) - share(MAR, date(2018, 3, 4), CALENDAR)
    assert weekend < working


def test_leads_between_checkpoints() -> None:
    assert lead_weights(MAR, date(2018, 3, 7)) == (1, 0, 0)
    assert lead_weights(MAR, date(2018, 3, 31)) == (0, 0, 0)
    assert lead_weights(MAR, date(2018, 2, 28)) == (0, 0, 0)
    assert lead_weights(MAR, date(2018, 3, 26)) == pytest.approx((0, 0, 0.5))
    late = [(date(2018, n, 1), [0, 0, 0], 100) for n in (1, 2, 3, 4)]
    assert all(lead < -0.1 for lead in leads_of(late, FLAT)), "who ships on the last days runs behind until then"
    assert leads_of([], FLAT) == (0, 0, 0)
    assert leads_of([(MAR, [1, 2, 3], 0)], FLAT) == (0, 0, 0)


@pytest.mark.row("X-45")
def test_learning_finds_the_season_that_the_days_were_made_with() -> None:
    days = {
        date(2016, 1, 1) + timedelta(days=n): round(100_000 * day_weight(date(2016, 1, 1) + timedelta(days=n)))
        for n in range(730)
    }
    learnt = learn(days)
    assert learnt.learnt
    true, seen = share(FEB, date(2018, 2, 20), CALENDAR), share(FEB, date(2018, 2, 20), learnt)
    made = sum(day_weight(FEB + timedelta(days=n)) for n in range(20)) / sum(
        day_weight(FEB + timedelta(days=n)) for n in range(28)
    )
    assert abs(seen - made) < abs(true - made)
    assert abs(seen - made) < 0.02
    november = month_weight(date(2018, 11, 1), learnt) / month_weight(date(2018, 9, 1), learnt)
    assert november > 1.2, "the month of the great sales"
    assert learn(dict(list(days.items())[:27])) == CALENDAR, "27 days teach nothing"
    assert learn(dict.fromkeys(days, 0)) == CALENDAR
    assert Season.of(learnt.as_dict()) == learnt


def history(*rows: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(rows, dtype=np.int64)


@pytest.mark.row("X-45")
def test_expectations_of_short_and_long_histories() -> None:
    found = expect(history([0] * 24 + [1000], [0] * 21 + [1000] * 4, [0] * 25), MAR, FLAT)
    assert found.fen[0] == round(1000 * 31 / 28), "one month: the same pace, in a month of 31 days"
    assert found.fen[2] == 0
    assert not found.own.any()
    yearly = [1000] * 25
    yearly[25 - 12] = 100
    own = expect(history(yearly), MAR, FLAT)
    assert own.own[0]
    assert 600 < own.fen[0] < 800, "March was weak in one of two years: a third of that is believed"
    yearly[25 - 24] = 100
    assert expect(history(yearly), MAR, FLAT).fen[0] < own.fen[0], "and more of it when it was so twice"
    yearly[25 - 12] = yearly[25 - 24] = 0
    assert expect(history(yearly), MAR, FLAT).fen[0] == 0, "always empty: expected to be empty"


@pytest.mark.row("X-45")
def test_the_festivals_fall_follows_the_moon() -> None:
    """An account that halves in the month of the festival: February 2019, then January 2020."""
    months = [date(2017 + n // 12, n % 12 + 1, 1) for n in range(11, 36)]
    rows = [400 if holds_festival(month) else 1000 for month in months]
    january = expect(history(rows), date(2020, 1, 1), FLAT)
    assert january.fen[0] < 800
    shifted = expect(history([*rows[1:], 400]), date(2020, 2, 1), FLAT)
    assert shifted.fen[0] > january.fen[0]
    assert explains(int(january.fen[0]), 400, 50)
    assert not explains(1000, 400, 50)


@pytest.mark.row("X-45")
def test_explaining_at_the_threshold() -> None:
    assert explains(1000, 500, 50), "exactly half does not fire"
    assert not explains(1000, 499, 50)
    assert explains(0, 0, 50)


def test_the_basis() -> None:
    assert [basis_of(CALENDAR, own=True), basis_of(Season(learnt=True), own=False), basis_of(CALENDAR, own=False)] == [
        "own", "branch", "calendar",
    ]  # fmt: skip
