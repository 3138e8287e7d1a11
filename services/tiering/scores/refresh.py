"""Scores every account after a close (评分刷新): inputs, models, scores, and what changed, in one transaction for each month.

The database does what concerns every account, numpy what concerns a model: it sees the distinct histories and a sample, never a
million rows, and works in a thread, so that events are handled meanwhile. It is imported here when it is needed, not before.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.policies.document import PolicyDocument
from services.tiering.scores import evaluations, inputs, jumps, telling, writing
from services.tiering.scores.learned import Learned
from shared.db import Database, driver
from shared.months import add_months, is_quarter_end, last_day
from shared.scheduler import Record

if TYPE_CHECKING:
    from services.tiering.scores.estimating import Models

R = TypeVar("R")
MOST_MONTHS = 8
"""Months scored after the fact where a database has closes but no scores yet: what the trial of the churn model looks back on."""
SAMPLE = 50_000
"""Accounts that teach and judge a model, at most; chosen by a hash, so that a second run takes the same."""


async def is_due(session: AsyncSession, instant: datetime) -> bool:
    """Say whether a month was closed and not scored."""
    return bool(await _months_due(session))


async def refresh(database: Database, instant: datetime, record: Record) -> None:
    """Score the months that were closed and not scored, oldest first; the run is recorded with the last one."""
    async with database.transaction() as session:
        months = await _months_due(session)
    for month in months:
        async with database.transaction() as session:
            await _score(session, month, instant)
            if month == months[-1]:
                await record(session)


async def _months_due(session: AsyncSession) -> list[date]:
    found = await (await driver(session)).fetch(_DUE, MOST_MONTHS)
    return sorted(row["month"] for row in found)


async def _score(session: AsyncSession, month: date, instant: datetime) -> None:
    document = (await policies.in_force(session, last_day(month))).base
    rows = await look(session, month)
    await apply(session, month, instant, document, rows, await learn(session, month, document, rows))
    telling.publish(session, month, telling.DIFFERS, {})
    if is_quarter_end(month):
        await evaluations.evaluate(session, month, instant)
    # What is published is read at the end. The planner takes the scores of this month for one row, and those of the month before
    # would be looked up one by one.
    await session.execute(text("SET LOCAL enable_nestloop = off"))


async def look(session: AsyncSession, month: date) -> Sequence[tuple[Any, ...]]:
    """Write what the month's scores stand on, hold its forecasts against what came, and return the distinct histories."""
    await session.execute(text("SET LOCAL work_mem = '64MB'"))
    await inputs.write_inputs(session, month)
    await inputs.judge_forecasts(session, month)
    return [tuple(row) for row in await session.execute(text(HISTORIES), {"month": month})]


async def learn(session: AsyncSession, month: date, document: PolicyDocument, rows: Sequence[tuple[Any, ...]]) -> Learned:
    """Return what the month's accounts are scored with, learned from what stands in the tables of inputs and scores."""
    models, fitted_on = await _models(session, month, document, rows)
    churn = await _churn(session, month)
    cuts = dict((await session.execute(text(_CUTS), {"month": month})).one()._mapping)
    return Learned(document.policy_version, models, fitted_on, churn, cuts)


async def apply(
    session: AsyncSession,
    month: date,
    instant: datetime,
    document: PolicyDocument,
    rows: Sequence[tuple[Any, ...]],
    learned: Learned,
) -> None:
    """Write the month's scores and what they were made with; publish nothing. A replay runs exactly this on tables of its own."""
    models, churn = learned.models, learned.churn
    estimates = await _in_thread(_estimate, models, rows, document.scores.discount_percent)
    params = {**writing.model_params(models.value, churn, learned.cuts), **jumps.params(document, instant)}
    accounts = await writing.write_scores(session, month, estimates, {**params, "model_digest": learned.digest()})
    contents = {"purchases": models.purchases, "value": models.value, "churn": churn, "cuts": learned.cuts}
    await session.execute(
        text(_KEEP),
        {
            "month": month,
            "instant": instant,
            "policy_version": learned.policy_version,
            "accounts": accounts,
            "fitted_on": learned.fitted_on,
            "purchase_model": models.purchase_model,
            "fallback_reason": models.fallback_reason,
            "churn_method": churn["method"],
            "digest": learned.digest(),
            **{name: json.dumps(content) for name, content in contents.items()},
        },
    )


async def _models(
    session: AsyncSession, month: date, document: PolicyDocument, rows: Sequence[tuple[Any, ...]]
) -> tuple["Models", date]:
    """Return the models of the newest quarter's close, or new ones: at a quarter's close, and where none could be fitted."""
    from services.tiering.scores.estimating import Models, fit_models

    if not is_quarter_end(month):
        known = (await session.execute(text(_KNOWN), {"month": month, "first": add_months(month, -2)})).one_or_none()
        if known is not None:
            return Models(known.purchase_model, None, known.purchases, known.value), known.fitted_on
    held_out = [tuple(row) for row in await session.execute(text(_HELD_OUT), {"month": add_months(month, -3), "known": month})]
    spent = [tuple(row) for row in await session.execute(text(_SPENT), {"month": month, "sample": SAMPLE})]
    return await _in_thread(fit_models, rows, held_out, spent, document.scores.least_accounts), month


async def _churn(session: AsyncSession, month: date) -> dict[str, Any]:
    """Try the churn model on the month whose loss is known since today, taught by the one whose loss was known then."""

    async def sample(of: date) -> list[tuple[Any, ...]]:
        found = await session.execute(text(_SAMPLE), {"month": of, "known": add_months(of, 3), "sample": SAMPLE})
        return [tuple(row) for row in found]

    held_out = await sample(add_months(month, -3))
    taught = await sample(add_months(month, -6)) if held_out else []
    answer = await _in_thread(_try, taught, held_out)
    return {**answer, "holdout": add_months(month, -3).isoformat()[:7] if held_out else None}


async def _in_thread(work: Callable[..., R], *arguments: Any) -> R:
    return await asyncio.to_thread(work, *arguments)


def _estimate(models: "Models", rows: Sequence[tuple[Any, ...]], discount_percent: int) -> list[tuple[Any, ...]]:
    from services.tiering.scores.estimating import estimate

    return list(estimate(models, rows, discount_percent)) if rows else []


def _try(taught: Sequence[tuple[Any, ...]], held_out: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    from services.tiering.scores.churning import try_model

    return try_model(taught, held_out)


_DUE = """
SELECT month FROM month_closes WHERE state = 'closed' AND month > coalesce((SELECT max(month) FROM score_models), '-infinity')
ORDER BY month DESC LIMIT $1"""

_SAMPLED = """
abs(hashtext({})::bigint) % (SELECT count(*) / CAST(:sample AS integer) + 1 FROM score_inputs WHERE month = :month) = 0"""

HISTORIES = """
SELECT active_months - 1 AS x, age - recency AS t_x, age, count(*) AS accounts, sum(log_gaps_ppm)::bigint AS log_gaps_ppm
FROM score_inputs WHERE month = :month GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""

_HELD_OUT = """
SELECT i.active_months - 1 AS x, i.age - i.recency AS t_x, i.age, count(*) AS accounts,
       sum(i.log_gaps_ppm)::bigint AS log_gaps_ppm, count(*) FILTER (WHERE coalesce(k.recency, 3) >= 3) AS silent
FROM score_inputs i LEFT JOIN score_inputs k ON k.month = :known AND k.account_no = i.account_no
WHERE i.month = :month GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""

_SPENT = f"""
SELECT active_months - 1, repeat_fen::double precision / (active_months - 1)
FROM score_inputs
WHERE month = :month AND active_months > 1
  AND {_SAMPLED.format("account_no")}
ORDER BY account_no"""

_KNOWN = """
SELECT purchase_model, purchases, value, fitted_on FROM score_models
WHERE month >= :first AND month < :month AND purchase_model <> 'average' ORDER BY month DESC LIMIT 1"""

# Live accounts of the month, and whether they had no freight in the three months after.
_SAMPLE = f"""
SELECT {writing.FEATURES.format(i="i", s="s")}, s.rule_risk, (coalesce(k.recency, 3) >= 3)::integer
FROM score_inputs i JOIN scores s ON s.month = i.month AND s.account_no = i.account_no
     LEFT JOIN score_inputs k ON k.month = :known AND k.account_no = i.account_no
WHERE i.month = :month AND i.recency < 3
  AND {_SAMPLED.format("i.account_no")}
ORDER BY i.account_no"""

_FIFTHS = "percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY {})"
_CUTS = f"""
SELECT coalesce({_FIFTHS.format("-recency")}, '{{}}')::bigint[] AS recency,
       coalesce({_FIFTHS.format("charges_12")}, '{{}}')::bigint[] AS frequency,
       coalesce({_FIFTHS.format("amount_12_fen")}, '{{}}')::bigint[] AS money
FROM score_inputs WHERE month = :month"""

_KEEP = """
INSERT INTO score_models (month, scored_at, policy_version, accounts, fitted_on, purchase_model, fallback_reason, purchases,
                          value, churn_method, churn, cuts, digest)
VALUES (:month, :instant, :policy_version, :accounts, :fitted_on, :purchase_model, :fallback_reason, CAST(:purchases AS jsonb),
        CAST(:value AS jsonb), :churn_method, CAST(:churn AS jsonb), CAST(:cuts AS jsonb), :digest)"""
