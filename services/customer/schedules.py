"""Door: time passed. Nothing of customer's falls due by itself: the page follows the clock when it is read."""

from shared.scheduler import Schedule

SCHEDULES: tuple[Schedule, ...] = ()
