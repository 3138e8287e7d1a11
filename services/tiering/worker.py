"""The process that handles events and schedules for tiering."""

from services.tiering.designer import making
from services.tiering.schedules import SCHEDULES
from services.tiering.subscriptions import SUBSCRIPTIONS
from services.tiering.trials import requests as trials
from shared.worker import Worker

WORKER = Worker("tiering", SUBSCRIPTIONS, SCHEDULES, background=(trials.do_trials, making.make_exports))
