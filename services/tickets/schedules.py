"""Door: time passed."""

from services.tickets import parcel_routes, promises
from shared.scheduler import Schedule

SCHEDULES = (Schedule("promises", promises.judge), Schedule("routes", parcel_routes.count))
