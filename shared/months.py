"""Business months and quarters in Asia/Shanghai (业务月份): the one place that decides which month an instant belongs to.

A month is the `date` of its first day, a quarter the `date` of the first day of its first month. On the wire and inside
natural keys they are text: `2018-03`, `2018-Q1`. Everything here is pure.
"""

import re
from datetime import date, datetime, timedelta

from shared.clock import SHANGHAI

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")
_OFFSET = timedelta(hours=8)


def business_month(instant: datetime) -> date:
    """Return the month a charge or scan of this instant belongs to.

    The instant may carry any offset; without one there is no answer and it raises ValueError.
    """
    offset = instant.utcoffset()
    if offset is None:
        raise ValueError("an instant without an offset belongs to no business month")
    if offset != _OFFSET:  # a shift of the clock face, cheaper than a conversion; this runs for every event
        instant += _OFFSET - offset
    return date(instant.year, instant.month, 1)


def add_months(month: date, n: int) -> date:
    """Return the month n months later (n < 0: earlier)."""
    year, index = divmod(month.year * 12 + month.month - 1 + n, 12)
    return date(year, index + 1, 1)


def month_text(month: date) -> str:
    """Return the month as it stands on the wire and in natural keys: `2018-03`."""
    return f"{month.year:04d}-{month.month:02d}"


def parse_month(text: str) -> date:
    """Return the month written as `2018-03`; anything else raises ValueError."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise ValueError("a month is written YYYY-MM, such as 2018-03")
    return date(int(found[1]), int(found[2]), 1)


def quarter_start(month: date) -> date:
    """Return the first month of the quarter that holds this day."""
    return date(month.year, (month.month - 1) // 3 * 3 + 1, 1)


def quarter_text(month: date) -> str:
    """Return the quarter that holds this day, as it stands on the wire: `2018-Q1`."""
    return f"{month.year:04d}-Q{(month.month + 2) // 3}"


def parse_quarter(text: str) -> date:
    """Return the first month of the quarter written as `2018-Q1`; anything else raises ValueError."""
    found = _QUARTER.fullmatch(text)
    if found is None:
        raise ValueError("a quarter is written YYYY-Qn, such as 2018-Q1")
    return date(int(found[1]), int(found[2]) * 3 - 2, 1)


def is_quarter_end(month: date) -> bool:
    """Say whether the service tier is decided at this month's close: March, June, September, December."""
    return month.month % 3 == 0


def month_start_instant(month: date) -> datetime:
    """Return the first instant of the month, +08:00."""
    return datetime(month.year, month.month, 1, tzinfo=SHANGHAI)


def next_quarter_start(instant: datetime) -> datetime:
    """Return the first instant (+08:00) of the quarter after the one this instant lies in: when a movement's task is due."""
    return month_start_instant(add_months(quarter_start(business_month(instant)), 3))


def last_day(month: date) -> date:
    """Return the last day of the month."""
    return add_months(month, 1) - timedelta(days=1)
