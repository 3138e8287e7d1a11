"""Scores once more (评分重算): what a replay does beside the decisions, on its own tables and by the refresh's own statements.

What a month was scored with is learned from the ledger again and compared as one thing. Accounts are then scored with what was
used: a late charge of one account moves every parameter by a little, and would else be found in the scores of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import ScoreModel
from services.tiering.scores import refresh
from services.tiering.scores.learned import Learned
from shared.months import last_day

SHADOWED = ("score_inputs", "scores", "score_models", "forecast_errors")


@dataclass(frozen=True, slots=True)
class Relearned:
    """What of a month's models came out otherwise, by the names of `Learned.used`; nothing is as it should be."""

    month: date
    scored_at: datetime
    fields: tuple[str, ...]


async def read_models(session: AsyncSession, months: Sequence[date]) -> dict[date, Any]:
    """Return what each of the months was scored with, as it is stored; call it before tables stand before the real ones."""
    found = await session.execute(select(ScoreModel).where(ScoreModel.month.in_(months)))
    return {row.month: row for row in found.scalars()}


async def score(session: AsyncSession, stored: ScoreModel) -> Relearned:
    """Score a month again; returns what its models would be otherwise today."""
    from services.tiering.scores.estimating import Models

    month = stored.month
    document = (await policies.in_force(session, last_day(month))).base
    rows = await refresh.look(session, month)
    now = (await refresh.learn(session, month, document, rows)).used()
    models = Models(stored.purchase_model, stored.fallback_reason, stored.purchases, stored.value)
    then = Learned(stored.policy_version, models, stored.fitted_on, stored.churn, stored.cuts)
    await refresh.apply(session, month, stored.scored_at, document, rows, then)
    for table in ("score_inputs", "scores"):
        await session.execute(text(f"ANALYZE pg_temp.{table}"))
    different = tuple(name for name, content in then.used().items() if now[name] != content)
    intact = stored.digest in (None, then.digest())
    return Relearned(month, stored.scored_at, different if intact else (*different, "digest"))
