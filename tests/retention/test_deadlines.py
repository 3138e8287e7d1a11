from datetime import date

import pytest

from services.retention.deadlines import due_at, is_entered_late
from shared.working_days import WorkingCalendar, seed_days
from tests.retention.make import at

CALENDAR = WorkingCalendar({day: working for day, working, _ in seed_days() if 2017 <= day.year <= 2018})


@pytest.mark.row("R-41")
@pytest.mark.parametrize(
    ("detected_at", "due"),
    [
        ("2018-04-01T00:30:00", "2018-07-01T00:00:00"),  # the movement of March, found in April
        ("2018-03-31T23:59:59", "2018-04-01T00:00:00"),
        ("2018-04-01T00:00:00", "2018-07-01T00:00:00"),
        ("2018-06-30T15:59:59+00:00", "2018-07-01T00:00:00"),
        ("2018-06-30T16:00:00+00:00", "2018-10-01T00:00:00"),  # already July in Shanghai
        ("2017-12-31T23:30:00", "2018-01-01T00:00:00"),
        ("2018-01-01T00:30:00", "2018-04-01T00:00:00"),
        ("2020-02-29T12:00:00", "2020-04-01T00:00:00"),
    ],
)
def test_a_talk_is_due_when_the_quarter_of_its_detection_ends(detected_at, due):
    """R-41, the part due: the due instant. That somebody is told of an overdue talk by escalation comes later."""
    assert due_at(at(detected_at)) == at(due)


def test_the_due_instant_is_written_with_the_offset_of_shanghai():
    assert due_at(at("2018-04-01T00:30:00")).isoformat() == "2018-07-01T00:00:00+08:00"


@pytest.mark.row("R-42")
@pytest.mark.parametrize(
    ("contacted", "entered", "late"),
    [
        ("2018-03-05T10:00", "2018-03-08T23:59:59", False),  # Monday to Thursday: the third working day
        ("2018-03-05T10:00", "2018-03-09T00:00:00", True),
        ("2018-03-05T00:00", "2018-03-08T23:59:59", False),  # day 0 is the day, at whatever hour
        ("2018-03-07T10:00", "2018-03-11T12:00", False),  # Wednesday to Sunday: two working days
        ("2018-03-07T10:00", "2018-03-13T09:00", True),
        ("2018-03-10T10:00", "2018-03-14T09:00", False),  # a contact on a Saturday
        ("2018-03-06T10:00", "2018-03-10T09:00", False),  # a free Saturday after the third working day
        # Spring Festival 2018: 15-21 February free, Sunday 11 and Saturday 24 February worked.
        ("2018-02-14T10:00", "2018-02-21T23:00", False),
        ("2018-02-14T10:00", "2018-02-24T23:00", False),  # 22, 23 and the make-up Saturday 24: the third working day
        ("2018-02-14T10:00", "2018-02-25T12:00", False),
        ("2018-02-14T10:00", "2018-02-26T08:00", True),
        ("2018-02-08T10:00", "2018-02-12T18:00", False),  # 9, the make-up Sunday 11, 12
        ("2018-02-08T10:00", "2018-02-13T09:00", True),
        # National Day 2017: 1-8 October free, Saturday 30 September worked.
        ("2017-09-28T10:00", "2017-09-30T20:00", False),
        ("2017-09-28T10:00", "2017-10-09T20:00", False),  # 29, 30 September, 9 October
        ("2017-09-28T10:00", "2017-10-10T08:00", True),
    ],
)
def test_a_record_is_late_after_three_working_days(contacted, entered, late):
    assert is_entered_late(CALENDAR, at(contacted), at(entered)) is late


@pytest.mark.row("R-42")
def test_the_days_are_those_of_shanghai_whatever_offset_the_contact_was_given_in():
    monday_evening_in_sao_paulo = at("2018-03-05T20:00:00-03:00")  # Tuesday 07:00 in Shanghai
    assert not is_entered_late(CALENDAR, monday_evening_in_sao_paulo, at("2018-03-09T23:00"))
    assert is_entered_late(CALENDAR, monday_evening_in_sao_paulo, at("2018-03-12T00:30"))


def test_a_day_that_the_calendar_lacks_is_worked_from_monday_to_friday():
    empty = WorkingCalendar({})
    assert not empty.is_working(date(2031, 2, 1))
    assert is_entered_late(empty, at("2031-02-03T10:00"), at("2031-02-07T10:00"))
