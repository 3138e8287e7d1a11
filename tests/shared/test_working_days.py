"""Deadlines in working days and hours across weekends, public holidays and make-up days."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from shared.clock import SHANGHAI
from shared.db import Database
from shared.working_days import WorkingCalendar, load, seed_days

SEED = list(seed_days())
CHINA = WorkingCalendar({day: working for day, working, _ in SEED})
days = st.dates(date(2017, 1, 1), date(2019, 12, 31))


def test_the_seed_is_every_day_from_2004_to_2030_once_in_order() -> None:
    assert [day for day, _, _ in SEED] == [date(2004, 1, 1) + timedelta(n) for n in range(len(SEED))]
    assert SEED[-1][0] == date(2030, 12, 31)
    assert {day.year for day, _, provisional in SEED if provisional} == {2027, 2028, 2029, 2030}


@pytest.mark.parametrize(
    ("day", "working"),
    [
        ("2018-02-24", True),  # make-up Saturday after the Spring Festival
        ("2018-02-11", True),  # make-up Sunday before it
        ("2018-04-08", True),  # make-up Sunday after Qingming
        ("2018-09-29", True),  # make-up Saturday before the National Day
        ("2018-09-30", True),  # and the Sunday after it
        ("2018-02-15", False),  # eve of the Spring Festival, a Thursday
        ("2018-02-21", False),
        ("2018-02-22", True),
        ("2018-10-05", False),  # a Friday of the National Day week
        ("2018-10-08", True),
        ("2018-03-03", False),  # an ordinary Saturday
        ("2018-03-05", True),
        ("2020-01-31", False),  # Spring Festival, prolonged in 2020
        ("2020-02-29", False),
        ("2027-05-03", True),  # provisional: a Monday
        ("2027-10-01", False),  # provisional: fixed date
        ("2028-01-01", False),
    ],
)
def test_public_holidays_and_make_up_days(day: str, working: bool) -> None:
    assert CHINA.is_working(date.fromisoformat(day)) is working


def test_a_day_the_table_does_not_know_is_worked_from_monday_to_friday() -> None:
    assert [CHINA.is_working(date(2040, 1, 2) + timedelta(n)) for n in range(7)] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("contact", "last_day_in_time"),
    [
        ("2018-03-05", "2018-03-08"),  # Monday: Tuesday, Wednesday, Thursday
        ("2018-03-08", "2018-03-13"),  # Thursday: Friday, Monday, Tuesday
        ("2018-03-10", "2018-03-14"),  # a contact on a Saturday: day 0 is that Saturday
        ("2018-02-14", "2018-02-24"),  # before the Spring Festival: 22, 23, and the make-up Saturday
        ("2018-02-23", "2018-02-27"),  # Friday: the make-up Saturday, Monday, Tuesday
        ("2018-09-28", "2018-10-08"),  # Friday: two make-up days, then the National Day week
        ("2018-04-04", "2018-04-10"),  # before Qingming (5-7 April): Sunday the 8th counts
        ("2017-12-29", "2018-01-04"),  # over New Year
    ],
)
def test_three_working_days_after_the_day_of_the_contact(contact: str, last_day_in_time: str) -> None:
    day, last = date.fromisoformat(contact), date.fromisoformat(last_day_in_time)
    assert CHINA.add_days(day, 3) == last
    assert CHINA.days_between(day, last) == 3


def test_no_working_day_lies_between_a_day_and_itself_or_an_earlier_one() -> None:
    assert CHINA.add_days(date(2018, 3, 10), 0) == date(2018, 3, 10)
    assert CHINA.days_between(date(2018, 3, 10), date(2018, 3, 10)) == 0
    assert CHINA.days_between(date(2018, 3, 12), date(2018, 3, 9)) == 0
    assert CHINA.days_between(date(2018, 3, 9), date(2018, 3, 11)) == 0


@given(days, st.integers(1, 40))
def test_the_nth_working_day_is_worked_and_n_working_days_later(day: date, n: int) -> None:
    last = CHINA.add_days(day, n)
    assert CHINA.is_working(last)
    assert CHINA.days_between(day, last) == n
    assert CHINA.days_between(day, last - timedelta(1)) == n - 1


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2018-03-05T09:00:00+08:00", "2018-03-07T15:00:00+08:00"),  # Monday: 9 + 9 + 6
        ("2018-03-05T12:30:00+08:00", "2018-03-08T09:30:00+08:00"),  # 5:30 + 9 + 9 + 0:30
        ("2018-03-05T18:00:00+08:00", "2018-03-08T15:00:00+08:00"),
        ("2018-03-05T23:59:59+08:00", "2018-03-08T15:00:00+08:00"),
        ("2018-03-05T15:59:59+00:00", "2018-03-08T15:00:00+08:00"),  # the same instant in another offset
        ("2018-03-05T03:00:00+08:00", "2018-03-07T15:00:00+08:00"),
        ("2018-03-09T10:00:00+08:00", "2018-03-13T16:00:00+08:00"),  # Friday over a weekend: 8 + 9 + 7
        ("2018-03-10T10:00:00+08:00", "2018-03-14T15:00:00+08:00"),  # a Saturday
        ("2018-02-14T17:00:00+08:00", "2018-02-24T14:00:00+08:00"),  # Spring Festival: 1 + 9 + 9 + 5 on the make-up Saturday
        ("2018-09-28T12:00:00+08:00", "2018-09-30T18:00:00+08:00"),  # two make-up days: 6 + 9 + 9, not the 8th at 09:00
        ("2018-09-30T12:00:00+08:00", "2018-10-09T18:00:00+08:00"),  # National Day week: 6 + 9 + 9
        ("2017-12-29T17:59:59+08:00", "2018-01-04T14:59:59+08:00"),  # a second of Friday, then over New Year
    ],
)
def test_24_working_hours_of_nine_a_day(start: str, due: str) -> None:
    assert CHINA.add_hours(at(start), 24) == at(due)
    assert CHINA.add_hours(at(start), 24).utcoffset() == timedelta(hours=8)


def test_a_span_that_ends_with_the_day_ends_at_six() -> None:
    assert CHINA.add_hours(at("2018-03-05T09:00:00+08:00"), 9) == at("2018-03-05T18:00:00+08:00")
    assert CHINA.add_hours(at("2018-03-05T18:00:00+08:00"), 0) == at("2018-03-05T18:00:00+08:00")


def worked_seconds(start: datetime, end: datetime) -> float:
    """Count working seconds the slow way, day by day."""
    total, day = 0.0, start.astimezone(SHANGHAI).date()
    while day <= end.astimezone(SHANGHAI).date():
        if CHINA.is_working(day):
            opens = datetime(day.year, day.month, day.day, 9, tzinfo=SHANGHAI)
            closes = opens + timedelta(hours=9)
            total += max((min(end, closes) - max(start, opens)).total_seconds(), 0)
        day += timedelta(1)
    return total


@given(
    st.datetimes(datetime(2017, 1, 1), datetime(2019, 12, 1)),  # noqa: DTZ001
    st.integers(1, 200),
)
def test_exactly_the_hours_asked_for_lie_in_between(naive: datetime, hours: int) -> None:
    start = naive.replace(tzinfo=SHANGHAI)
    end = CHINA.add_hours(start, hours)
    assert worked_seconds(start, end) == pytest.approx(hours * 3600, abs=1e-3)
    assert worked_seconds(start, end - timedelta(seconds=1)) == pytest.approx(hours * 3600 - 1, abs=1e-3)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="forwards"):
        CHINA.add_days(date(2018, 3, 5), -1)
    with pytest.raises(ValueError, match="forwards"):
        CHINA.add_hours(at("2018-03-05T09:00:00+08:00"), -1)
    with pytest.raises(ValueError, match="without an offset"):
        CHINA.add_hours(datetime(2018, 3, 5), 24)  # noqa: DTZ001 - the naive instant is the case


async def test_rules_count_by_the_table_of_their_database(retention_db: Database) -> None:
    first, last = date(2018, 2, 14), date(2018, 2, 28)
    async with retention_db.transaction() as session:
        seeded = await load(session, first, last)
        assert seeded.add_days(first, 3) == date(2018, 2, 24)
        await session.execute(text("UPDATE working_days SET working = false WHERE day = DATE '2018-02-24'"))
        assert (await load(session, first, last)).add_days(first, 3) == date(2018, 2, 26)
