"""Writes the scores of all accounts by one statement: each looks its history up, and the rest is arithmetic on its own row."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.placement import ROOT_UNIT
from services.tiering.scores.jumps import JUMPED
from services.tiering.scores.rules import LOST_AFTER, RULE_RISK

Z80 = 1.2816
"""Four of five normal errors lie within so many standard deviations."""

FEATURES = """
ln(({s}.silence + 0.001) / (1.001 - {s}.silence)), least({i}.recency, 12),
CASE WHEN {i}.previous_fen > 0 THEN greatest(({i}.previous_fen - {i}.amount_fen)::double precision / {i}.previous_fen, -1)
     ELSE 0 END,
{i}.months_12::double precision / least({i}.age + 1, 12), ln(1 + {i}.charges_12)"""
"""SQL of the churn model's features for an input `{i}` and what holds its silence `{s}`, in the order of `churning.FEATURES`."""


async def write_scores(
    session: AsyncSession, month: date, estimates: Sequence[tuple[Any, ...]], params: Mapping[str, Any]
) -> int:
    """Write the scores of the month from its inputs, whatever stood there before. Returns how many."""
    columns = list(zip(*estimates, strict=True)) or [()] * 6
    names = ("x", "t_x", "age", "expected_months", "discounted_months", "silence")
    looked_up = {name: list(column) for name, column in zip(names, columns, strict=True)}
    await session.execute(text("DELETE FROM scores WHERE month = :month"), {"month": month})
    # Hash joins keep the order of the inputs, which is that of the accounts. By a merge join the rows come in the order of the
    # histories, and each goes to another page of the primary key: measured, three quarters of the statement.
    await session.execute(text("SET LOCAL enable_mergejoin = off"))
    await session.execute(text("SET LOCAL enable_nestloop = off"))
    written = await session.execute(text(_WRITE), {"month": month, **looked_up, **params})
    await session.execute(text("SET LOCAL enable_mergejoin = on"))
    await session.execute(text("SET LOCAL enable_nestloop = on"))
    return int(written.rowcount)  # type: ignore[attr-defined]


def model_params(value: Mapping[str, Any], churn: Mapping[str, Any], cuts: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return the parameters of the statement that come from the models."""
    worth = value.get("parameters")
    weights = (churn.get("model") or {}).get("weights")
    return {
        "fitted": worth is not None,
        **{name: float(worth[name]) if worth else 2.0 for name in ("p", "q", "gamma")},
        "by_model": weights is not None,
        **{f"w{place}": float(weights[place]) if weights else 0.0 for place in range(6)},
        **{f"{name}_cuts": list(found) for name, found in cuts.items()},
    }


def _fifth(value: str, cuts: str) -> str:
    """SQL of `rules.quintile`: how many of the cuts lie below the value."""
    return f"(1 + width_bucket(({value})::bigint - 1, CAST(:{cuts}_cuts AS bigint[])))::smallint"


_LINEAR = " + ".join([":w0", *(f"CAST(:w{place} AS double precision) * f.f{place}" for place in range(1, 6))]).replace(
    ":w0", "CAST(:w0 AS double precision)"
)

# What a score says: the account and its place, what it was scored with, its inputs and the result. Whole numbers count as they
# are, small ones several in one, since a digest costs by the byte; floats to the millionth, since the last digits may be another
# processor's. What the models or the next forecasts alone use comes back in their digests. Jumps are not among it: they come and
# go with the tickets (0030).
_DIGEST = """sha256(CAST(:model_digest AS bytea) || array_send(ARRAY[
    (charges_12 << 26) | (active_months << 20) | (recency << 14) | (age << 8) | (months_12 << 4) | judged,
    ((month - DATE '2000-01-01')::bigint << 32) | (recency_score * 16777216 + frequency_score * 2097152 + money_score * 262144
        + rule_risk * 1024 + base_risk * 8 + by_model::integer),
    ((expected_months * 1e6)::bigint << 40) | ((silence * 1e6)::bigint << 20) | (error_share * 999999)::bigint,
    total_fen, repeat_fen, amount_fen, previous_fen, before_previous_fen, amount_12_fen, naive_fen, level_fen, clv_fen, low_fen,
    high_fen]) || textsend(account_no || '/' || unit_code || '/' || coalesce(branch_code, '')))"""

# The arithmetic of doubles is the same on every run, since no sum of many is among it.
_WRITE = f"""
WITH estimates AS (
    SELECT x * 16777216::bigint + t_x * 4096 + age AS history, expected_months, discounted_months, silence
    FROM unnest(CAST(:x AS integer[]), CAST(:t_x AS integer[]), CAST(:age AS integer[]),
                         CAST(:expected_months AS double precision[]), CAST(:discounted_months AS double precision[]),
                         CAST(:silence AS double precision[]))
        AS e (x, t_x, age, expected_months, discounted_months, silence)
), shown AS MATERIALIZED (
    SELECT unit_code, by_model, CASE WHEN actual_fen > 0 THEN
               least(1.0, CASE WHEN by_model THEN level_error_fen ELSE naive_error_fen END::double precision / actual_fen)
               ELSE 1.0 END AS error_share
    FROM forecast_errors WHERE month = :month
), jumps AS MATERIALIZED ({JUMPED}), scored AS (
    SELECT i.*, e.expected_months, e.silence, {RULE_RISK.format(i="i")} AS rule_risk,
           round(e.discounted_months * CASE
               WHEN CAST(:fitted AS boolean)
               THEN CAST(:p AS double precision) * (CAST(:gamma AS double precision) + i.repeat_fen)
                    / (CAST(:p AS double precision) * (i.active_months - 1) + CAST(:q AS double precision) - 1)
               ELSE i.total_fen::double precision / i.active_months END)::bigint AS clv_fen,
           coalesce(b.by_model, false) AS by_model, coalesce(b.error_share, 1.0) AS error_share, coalesce(j.points, 0) AS jump
    FROM score_inputs i
         JOIN estimates e ON e.history = (i.active_months - 1) * 16777216::bigint + (i.age - i.recency) * 4096 + i.age
         LEFT JOIN shown b ON b.unit_code = coalesce(i.branch_code, {ROOT_UNIT})
         LEFT JOIN jumps j ON j.account_no = i.account_no
    WHERE i.month = :month
), judged AS (
    SELECT s.*, CASE WHEN CAST(:by_model AS boolean) AND s.recency < {LOST_AFTER}
                     THEN round(100 / (1 + exp(-greatest(-500, least(500, {_LINEAR})))))::integer
                ELSE s.rule_risk END AS base_risk,
           CASE WHEN s.by_model THEN s.level_fen ELSE s.naive_fen END AS forecast_fen,
           CASE WHEN s.judged >= 3 THEN {Z80} * sqrt(CASE WHEN s.by_model THEN s.level_square ELSE s.naive_square END)
                ELSE {Z80} * s.error_share * CASE WHEN s.by_model THEN s.level_fen ELSE s.naive_fen END END AS half_width
    FROM scored s CROSS JOIN LATERAL (SELECT {FEATURES.format(i="s", s="s")}) AS f (f1, f2, f3, f4, f5)
)
INSERT INTO scores (month, account_no, version, recency_score, frequency_score, money_score, expected_months, silence, clv_fen,
                    rule_risk, base_risk, jump, risk, at_risk_fen, forecast_fen, low_fen, high_fen, by_model, digest)
SELECT :month, account_no, 1, recency_score, frequency_score, money_score, expected_months, silence, clv_fen, rule_risk,
       base_risk, jump, least(100, base_risk + jump),
       clv_fen / 100 * least(100, base_risk + jump) + clv_fen % 100 * least(100, base_risk + jump) / 100, forecast_fen,
       low_fen, high_fen, by_model, {_DIGEST}
FROM (
    SELECT j.*, {_fifth("-recency", "recency")} AS recency_score, {_fifth("charges_12", "frequency")} AS frequency_score,
           {_fifth("amount_12_fen", "money")} AS money_score,
           greatest(0, round(forecast_fen - half_width))::bigint AS low_fen, round(forecast_fen + half_width)::bigint AS high_fen
    FROM judged j OFFSET 0
) AS s"""
