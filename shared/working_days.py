"""Working days (工作日) and working hours: deadlines that respect Chinese public holidays and make-up Saturdays (调休).

Every service's database has the table `working_days`; rules read it through a `WorkingCalendar`, which is pure. The package
chinesecalendar only seeds the table: it raises for years it does not know, so no rule may ask it.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta

from chinese_calendar import is_workday
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import SHANGHAI

OPENS, CLOSES = time(9), time(18)
"""Working hours of a working day, Asia/Shanghai, without a lunch break: nine hours."""

FIRST_PUBLISHED_YEAR, LAST_PUBLISHED_YEAR, LAST_PROVISIONAL_YEAR = 2004, 2026, 2030
_FIXED_HOLIDAYS = frozenset({(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)})
_DAY = timedelta(days=1)


class WorkingCalendar:
    """Which days are working days, and what a deadline in working days or hours comes to.

    `days` maps a day to whether it is worked; a day that is missing there is worked from Monday to Friday.
    """

    def __init__(self, days: Mapping[date, bool]) -> None:
        self._days = days

    def is_working(self, day: date) -> bool:
        """Say whether the day is worked."""
        known = self._days.get(day)
        return day.weekday() < 5 if known is None else known

    def add_days(self, day: date, n: int) -> date:
        """Return the n-th working day after `day`, which is itself day 0 whether it is worked or not (n >= 0)."""
        if n < 0:
            raise ValueError("working days are counted forwards")
        while n:
            day += _DAY
            n -= self.is_working(day)
        return day

    def add_hours(self, instant: datetime, hours: int) -> datetime:
        """Return the instant (+08:00) at which `hours` working hours have passed since `instant`.

        The clock runs from 09:00 to 18:00 on working days and stands still otherwise. A span that ends with a working
        day ends at its 18:00, not at the next 09:00; 0 hours give the instant itself. A naive instant raises ValueError.
        """
        if instant.tzinfo is None:
            raise ValueError("an instant without an offset has no working hours")
        if hours < 0:
            raise ValueError("working hours are counted forwards")
        at = instant.astimezone(SHANGHAI)
        left, day = timedelta(hours=hours), at.date()
        while left:
            if self.is_working(day):
                start = max(at, datetime.combine(day, OPENS, SHANGHAI))
                room = datetime.combine(day, CLOSES, SHANGHAI) - start
                if room >= left:
                    return start + left
                left -= max(room, timedelta())
            day += _DAY
        return at

    def days_between(self, from_day: date, to_day: date) -> int:
        """Return how many working days lie after `from_day` up to and including `to_day` (0 where `to_day` is not later).

        A contact on `from_day` (day 0) that is entered on `to_day` is this many working days old.
        """
        return sum(self.is_working(from_day + _DAY * n) for n in range(1, (to_day - from_day).days + 1))


async def load(session: AsyncSession, first: date, last: date) -> WorkingCalendar:
    """Return the calendar of the days from `first` to `last`, both included, as the service's database has it."""
    rows = await session.execute(
        text("SELECT day, working FROM working_days WHERE day BETWEEN :first AND :last"), {"first": first, "last": last}
    )
    return WorkingCalendar({row.day: row.working for row in rows})


def seed_days() -> Iterator[tuple[date, bool, bool]]:
    """Yield (day, working, provisional) of every day that a new database starts with, in order.

    2004-2026 are the published calendars. Until 2030 the days are provisional: Monday to Friday but for the holidays of
    fixed date (1 January, 1-2 May, 1-3 October); lunar festivals and make-up days are known only when the State Council
    announces the year.
    """
    day, end = date(FIRST_PUBLISHED_YEAR, 1, 1), date(LAST_PROVISIONAL_YEAR, 12, 31)
    while day <= end:
        if day.year <= LAST_PUBLISHED_YEAR:
            yield day, is_workday(day), False
        else:
            yield day, day.weekday() < 5 and (day.month, day.day) not in _FIXED_HOLIDAYS, True
        day += _DAY
