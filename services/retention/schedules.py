"""Door: time passed. What retention does at 00:30 of every business day."""

from services.retention import tasks
from shared.scheduler import Schedule

SCHEDULES = (Schedule("overdue", tasks.mark_overdue),)
