"""Door: time passed."""

from services.tickets import promises
from shared.scheduler import Schedule

SCHEDULES = (Schedule("promises", promises.judge),)
