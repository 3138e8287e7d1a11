"""The season of express freight in China, as the simulation plays it: weekly, yearly, and by the lunar calendar.

Before the Spring Festival (春节) shippers hurry, then almost nothing moves for a week; November 11 (双十一) is the peak.
The weights are plausible, not measured.
"""

from __future__ import annotations

from datetime import date, timedelta

SPRING_FESTIVALS = (
    (2004, 1, 22), (2005, 2, 9), (2006, 1, 29), (2007, 2, 18), (2008, 2, 7), (2009, 1, 26), (2010, 2, 14),
    (2011, 2, 3), (2012, 1, 23), (2013, 2, 10), (2014, 1, 31), (2015, 2, 19), (2016, 2, 8), (2017, 1, 28),
    (2018, 2, 16), (2019, 2, 5), (2020, 1, 25), (2021, 2, 12), (2022, 2, 1), (2023, 1, 22), (2024, 2, 10),
    (2025, 1, 29), (2026, 2, 17), (2027, 2, 6), (2028, 1, 26), (2029, 2, 13), (2030, 2, 3), (2031, 1, 23),
    (2032, 2, 11), (2033, 1, 31), (2034, 2, 19), (2035, 2, 8), (2036, 1, 28), (2037, 2, 15), (2038, 2, 4),
    (2039, 1, 24), (2040, 2, 12), (2041, 2, 1), (2042, 1, 22), (2043, 2, 10), (2044, 1, 30), (2045, 2, 17),
    (2046, 2, 6), (2047, 1, 26), (2048, 2, 14), (2049, 2, 2), (2050, 1, 23),
)  # fmt: skip
"""The first day of the lunar year (Asia/Shanghai)."""

_FESTIVAL_OF = {year: date(year, month, day) for year, month, day in SPRING_FESTIVALS}
_USUAL_FESTIVAL = (2, 4)
_WEEKDAYS = (1.04, 1.10, 1.08, 1.06, 1.12, 0.88, 0.60)
_MONTHS = (1.00, 0.95, 1.02, 0.98, 1.00, 1.04, 0.96, 0.95, 1.04, 0.98, 1.22, 1.12)


def spring_festival(year: int) -> date:
    """Return the first day of the lunar year, early February where the table ends."""
    return _FESTIVAL_OF.get(year, date(year, *_USUAL_FESTIVAL))


def day_weight(day: date) -> float:
    """Return how much is sent on a day, an average day being about 1."""
    return _WEEKDAYS[day.weekday()] * _MONTHS[day.month - 1] * _festival_weight(day) * _event_weight(day)


def month_weights(month: date) -> list[float]:
    """Return the weight of every day of a month."""
    days = ((month.replace(day=28) + timedelta(days=4)).replace(day=1) - month).days
    return [day_weight(month + timedelta(days=offset)) for offset in range(days)]


def _festival_weight(day: date) -> float:
    distance = (day - spring_festival(day.year)).days
    if -21 <= distance < -7:
        return 1.20
    if -7 <= distance < -2:
        return 0.60
    if -2 <= distance < 7:
        return 0.12
    if 7 <= distance < 14:
        return 0.60
    return 1.0


def _event_weight(day: date) -> float:
    """Return the factor of shopping days and of the October holiday."""
    match day.month, day.day:
        case 11, number if 11 <= number <= 15:
            return 2.4
        case 11, number if number <= 3:
            return 1.3
        case 6, number if 16 <= number <= 20:
            return 1.6
        case 12, number if 12 <= number <= 14:
            return 1.4
        case 10, number if number <= 7:
            return 0.55
    return 1.0
