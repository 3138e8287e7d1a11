"""The tables of tiering, one module per room."""

from services.tiering.models.base import Base
from services.tiering.models.decisions import Decision, MonthClose
from services.tiering.models.designer import Export, ExportPart, ReportDefinition
from services.tiering.models.facts import ContactFact, RouteFact, TaskFact, TicketFact
from services.tiering.models.ledger import Charge, DirtyMark, MonthCharges, MonthTotal, QuarterSum, ReplacedCharge, Restatement
from services.tiering.models.live import (
    BranchPace,
    BranchSeason,
    Concentration,
    MonthBaseline,
    MonthPace,
    MovementCause,
    MovementReading,
    RadarAlert,
    RadarMonth,
)
from services.tiering.models.movements import Milestone, MovementRow, QuarterMovementRow
from services.tiering.models.policies import PolicyTrial, PolicyTrialAccount, PolicyTrialUnit, PolicyVersion
from services.tiering.models.reports import (
    DistributionList,
    Extract,
    Rectification,
    ReportNote,
    ReportRow,
    ReportSnapshot,
)
from services.tiering.models.scores import Behaviour, Evaluation, ForecastError, Score, ScoreInput, ScoreModel

__all__ = [
    "Base",
    "Behaviour",
    "BranchPace",
    "BranchSeason",
    "Charge",
    "Concentration",
    "ContactFact",
    "Decision",
    "DirtyMark",
    "DistributionList",
    "Evaluation",
    "Export",
    "ExportPart",
    "Extract",
    "ForecastError",
    "Milestone",
    "MonthBaseline",
    "MonthCharges",
    "MonthClose",
    "MonthPace",
    "MonthTotal",
    "MovementCause",
    "MovementReading",
    "MovementRow",
    "PolicyTrial",
    "PolicyTrialAccount",
    "PolicyTrialUnit",
    "PolicyVersion",
    "QuarterMovementRow",
    "QuarterSum",
    "RadarAlert",
    "RadarMonth",
    "Rectification",
    "ReplacedCharge",
    "ReportDefinition",
    "ReportNote",
    "ReportRow",
    "ReportSnapshot",
    "Restatement",
    "RouteFact",
    "Score",
    "ScoreInput",
    "ScoreModel",
    "TaskFact",
    "TicketFact",
]
