"""The tables of tiering, one module per room."""

from services.tiering.models.base import Base
from services.tiering.models.decisions import Decision, MonthClose
from services.tiering.models.facts import ContactFact, TaskFact, TicketFact
from services.tiering.models.ledger import Charge, DirtyMark, MonthTotal, ReplacedCharge
from services.tiering.models.movements import MovementRow
from services.tiering.models.policies import PolicyTrial, PolicyTrialAccount, PolicyTrialUnit, PolicyVersion

__all__ = [
    "Base",
    "Charge",
    "ContactFact",
    "Decision",
    "DirtyMark",
    "MonthClose",
    "MonthTotal",
    "MovementRow",
    "PolicyTrial",
    "PolicyTrialAccount",
    "PolicyTrialUnit",
    "PolicyVersion",
    "ReplacedCharge",
    "TaskFact",
    "TicketFact",
]
