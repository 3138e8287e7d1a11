"""Deadlines of tickets (服务时效): working hours by priority. Pure."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from types import MappingProxyType

from shared.clock import business_date
from shared.working_days import WorkingCalendar

WORKING_HOURS = MappingProxyType({"P1": 2, "P2": 8, "P3": 24, "P4": 72})
"""Working hours (09:00-18:00 on working days, Asia/Shanghai) from opening to the deadline."""

PROBLEM_PARCEL_PRIORITY = "P3"

_LONGEST_SPAN = timedelta(days=60)
"""72 working hours are 8 working days; 60 calendar days hold them across any festival."""


def due_at(calendar: WorkingCalendar, opened_at: datetime, priority: str) -> datetime:
    """Return the instant by which a ticket opened at `opened_at` must be resolved."""
    return calendar.add_hours(opened_at, WORKING_HOURS[priority])


def days_needed(opened: Iterable[datetime]) -> tuple[date, date]:
    """Return the first and last day that the deadlines of tickets opened at these instants (at least one) can touch."""
    instants = list(opened)
    return business_date(min(instants)), business_date(max(instants)) + _LONGEST_SPAN
