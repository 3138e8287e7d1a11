"""Which business month an instant belongs to, whatever offset it is given in, and how months and quarters are written."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.months import (
    add_months,
    business_month,
    is_quarter_end,
    last_day,
    month_start_instant,
    month_text,
    next_quarter_start,
    parse_month,
    parse_quarter,
    quarter_start,
    quarter_text,
)

months = st.dates(date(1950, 1, 1), date(2150, 12, 31)).map(lambda day: day.replace(day=1))


@pytest.mark.parametrize(
    ("instant", "month"),
    [
        ("2018-03-31T23:59:59+08:00", date(2018, 3, 1)),
        ("2018-03-31T23:59:59.999999+08:00", date(2018, 3, 1)),
        ("2018-04-01T00:00:00+08:00", date(2018, 4, 1)),
        ("2018-03-31T15:59:59Z", date(2018, 3, 1)),
        ("2018-03-31T16:00:00Z", date(2018, 4, 1)),
        ("2018-03-31T12:59:59-03:00", date(2018, 3, 1)),
        ("2018-03-31T13:00:00-03:00", date(2018, 4, 1)),
        ("2018-04-01T01:29:59+09:30", date(2018, 3, 1)),
        ("2018-04-01T01:30:00+09:30", date(2018, 4, 1)),
        ("2020-02-29T23:59:59+08:00", date(2020, 2, 1)),
        ("2020-02-29T16:00:00Z", date(2020, 3, 1)),
        ("2018-02-28T16:00:00Z", date(2018, 3, 1)),
        ("2017-12-31T23:59:59+08:00", date(2017, 12, 1)),
        ("2017-12-31T16:00:00Z", date(2018, 1, 1)),
    ],
)
def test_the_month_is_that_of_shanghai_whatever_the_offset(instant: str, month: date) -> None:
    assert business_month(datetime.fromisoformat(instant)) == month


def test_an_instant_without_an_offset_belongs_to_no_month() -> None:
    with pytest.raises(ValueError, match="without an offset"):
        business_month(datetime(2018, 3, 31))  # noqa: DTZ001 - the naive instant is the case


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2100, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_the_offset_an_instant_is_given_in_never_matters(instant: datetime, minutes: int) -> None:
    elsewhere = instant.astimezone(timezone(timedelta(minutes=minutes)))
    month = business_month(elsewhere)
    assert month == business_month(instant)
    assert month_start_instant(month) <= instant < month_start_instant(add_months(month, 1))


@given(months, st.integers(-500, 500))
def test_months_are_added_and_taken_away_again(month: date, n: int) -> None:
    assert add_months(add_months(month, n), -n) == month
    assert add_months(month, 12) == month.replace(year=month.year + 1)


def test_adding_months_crosses_years() -> None:
    assert add_months(date(2017, 12, 1), 1) == date(2018, 1, 1)
    assert add_months(date(2018, 1, 1), -1) == date(2017, 12, 1)
    assert add_months(date(2018, 1, 1), -13) == date(2016, 12, 1)


@given(months)
def test_months_and_quarters_are_read_as_they_are_written(month: date) -> None:
    assert parse_month(month_text(month)) == month
    assert parse_quarter(quarter_text(month)) == quarter_start(month)


def test_how_months_and_quarters_are_written() -> None:
    assert month_text(date(2018, 3, 1)) == "2018-03"
    assert [quarter_text(date(2018, month, 1)) for month in (1, 3, 4, 6, 7, 9, 10, 12)] == [
        *("2018-Q1", "2018-Q1", "2018-Q2", "2018-Q2", "2018-Q3", "2018-Q3", "2018-Q4", "2018-Q4")
    ]
    assert quarter_start(date(2018, 12, 31)) == date(2018, 10, 1)


@pytest.mark.parametrize(
    "text", ["", "2018", "2018-3", "2018-13", "2018-00", "2018-03-01", "2018-03\n", " 2018-03", "２０１８-03", "0000-01"]
)
def test_other_texts_are_no_month(text: str) -> None:
    with pytest.raises(ValueError, match=r"YYYY-MM|year"):
        parse_month(text)


@pytest.mark.parametrize("text", ["", "2018-Q0", "2018-Q5", "2018Q1", "2018-q1", "2018-Q1\n", "2018-01"])
def test_other_texts_are_no_quarter(text: str) -> None:
    with pytest.raises(ValueError, match="YYYY-Qn"):
        parse_quarter(text)


def test_quarters_end_in_march_june_september_and_december() -> None:
    assert [month for month in range(1, 13) if is_quarter_end(date(2018, month, 1))] == [3, 6, 9, 12]


@pytest.mark.parametrize(
    ("instant", "due"),
    [
        ("2018-04-01T00:30:00+08:00", "2018-07-01T00:00:00+08:00"),
        ("2018-03-31T23:59:59+08:00", "2018-04-01T00:00:00+08:00"),
        ("2018-03-31T16:00:00Z", "2018-07-01T00:00:00+08:00"),
        ("2018-12-31T23:59:59+08:00", "2019-01-01T00:00:00+08:00"),
        ("2018-10-01T00:00:00+08:00", "2019-01-01T00:00:00+08:00"),
    ],
)
def test_the_next_quarter_begins_at_its_first_instant_in_shanghai(instant: str, due: str) -> None:
    assert next_quarter_start(datetime.fromisoformat(instant)).isoformat() == due


def test_the_last_day_of_february() -> None:
    assert [last_day(date(year, 2, 1)).day for year in (2018, 2020, 2000, 2100)] == [28, 29, 29, 28]
    assert last_day(date(2018, 12, 1)) == date(2018, 12, 31)
