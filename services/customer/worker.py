"""The worker process of customer: what happened."""

from services.customer.schedules import SCHEDULES
from services.customer.subscriptions import SUBSCRIPTIONS
from shared.worker import Worker

WORKER = Worker("customer", SUBSCRIPTIONS, SCHEDULES)
