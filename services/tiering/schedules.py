"""Door: time passed. What tiering does at 00:30 of every business day, in this order."""

from services.tiering import causes, closing, concentration, known_charges, radar, readings, restatement
from services.tiering.designer import exports
from services.tiering.reports import clock
from services.tiering.scores import jumps, refresh
from shared.scheduler import Schedule

SCHEDULES = (
    Schedule("close", run_alone=closing.close_months, due=closing.is_due),
    Schedule("scores", run_alone=refresh.refresh, due=refresh.is_due),
    Schedule("rejudge", restatement.rejudge),
    Schedule("list-charges", known_charges.list_closed_months),
    Schedule("reports", clock.run),
    Schedule("exports", exports.schedule),
    Schedule("radar", radar.run, beside=True),
    Schedule("read_movements", readings.run),
    Schedule("causes", causes.run),
    Schedule("concentration", concentration.run),
    Schedule("risk-events", jumps.follow_events),
)
