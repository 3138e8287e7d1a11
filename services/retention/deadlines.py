"""Until when a movement talk is owed (维系时限), and when its record comes late. Pure.

Source: R-41 (the talk takes place within the quarter), R-42 (it is recorded within three working days).
"""

from datetime import datetime
from typing import Final

from shared.clock import business_date
from shared.months import next_quarter_start
from shared.working_days import WorkingCalendar

RECORD_WITHIN_WORKING_DAYS: Final = 3
"""The day of the contact is day 0."""


def due_at(detected_at: datetime) -> datetime:
    """Return when the talk about a movement is overdue: the first instant (+08:00) of the quarter after its detection.

    A movement of 2018-03 detected on 2018-04-01 is due on 2018-07-01T00:00:00+08:00: the quarter that counts is the one
    in which we learnt of it.
    """
    return next_quarter_start(detected_at)


def is_entered_late(calendar: WorkingCalendar, contacted_at: datetime, entered_at: datetime) -> bool:
    """Say whether a contact was entered more than three working days after the day it took place.

    Only working days count, so that an entry on the weekend after the third working day is still in time, while a
    make-up Saturday counts as the working day it is.
    """
    passed = calendar.days_between(business_date(contacted_at), business_date(entered_at))
    return passed > RECORD_WITHIN_WORKING_DAYS
