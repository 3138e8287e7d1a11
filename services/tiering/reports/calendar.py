"""When a report is due (报告时限), for which period, and when it comes late. Pure.

Source: T-38 to T-44 (the days), M8 ("by the 4th" is the 4th, 24:00 Asia/Shanghai; a rest day moves nothing), M9 (a day that a
month does not have is its last day), M10 (a quarter's report is due in the first month of the next).
"""

from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple

from shared.clock import SHANGHAI
from shared.months import add_months, is_quarter_end, last_day, month_start_instant, month_text, quarter_start, quarter_text

PeriodKind = Literal["month", "quarter"]


class Period(NamedTuple):
    """A business month or quarter: its first and its last month."""

    kind: PeriodKind
    first: date
    last: date

    @property
    def text(self) -> str:
        """The period as it stands on the wire: `2018-03` or `2018-Q1`."""
        return month_text(self.first) if self.kind == "month" else quarter_text(self.first)

    @property
    def starts_at(self) -> datetime:
        """The first instant of the period."""
        return month_start_instant(self.first)

    @property
    def ends_at(self) -> datetime:
        """The first instant after the period."""
        return month_start_instant(add_months(self.last, 1))


def period_ending(kind: PeriodKind, month: date) -> Period | None:
    """Return the period of a kind that ends with a month; None for a quarter that does not."""
    if kind == "month":
        return Period(kind, month, month)
    return Period(kind, quarter_start(month), month) if is_quarter_end(month) else None


def due_on(period: Period, due_day: int) -> date:
    """Return the day by whose end the report is due: in the month after the period, at most that month's last day."""
    month = add_months(period.last, 1)
    return month.replace(day=min(due_day, last_day(month).day))


def due_at(day: date) -> datetime:
    """Return the first instant at which the report is late: 24:00 of its due day, Asia/Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(0), SHANGHAI)


def is_late(day: date, signed_at: datetime) -> bool:
    """Say whether a report that was due on a day is signed too late: 23:59:59 is in time, 24:00 is not."""
    return signed_at >= due_at(day)
