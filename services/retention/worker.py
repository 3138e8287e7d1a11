"""The process that handles events and schedules for retention."""

from services.retention.schedules import SCHEDULES
from services.retention.subscriptions import SUBSCRIPTIONS
from shared.worker import Worker

WORKER = Worker("retention", SUBSCRIPTIONS, SCHEDULES)
