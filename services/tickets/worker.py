"""The worker process of tickets: what happened, and what time brings."""

from services.tickets.schedules import SCHEDULES
from services.tickets.subscriptions import SUBSCRIPTIONS
from shared.worker import Worker

WORKER = Worker("tickets", SUBSCRIPTIONS, SCHEDULES)
