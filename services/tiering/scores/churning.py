"""The churn model (流失预警模型), and the table in which it has to beat the rule before it is used (numpy, no I/O).

A logistic regression on the counting model's chance of silence and four plain figures. It learns from one month and is tried on
another three months later, so that neither outcome was known to the other; see `try_model`.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.tiering.scores.counting import measures
from services.tiering.scores.counting.histories import Array

FEATURES = ("silence_log_odds", "months_without_freight", "fall_share", "share_of_months", "log_charges")
LEAST_OF_EACH = 20
"""Lost and kept accounts that a month must have before it teaches or judges anything."""
FLAGGED_SHARE = 0.10
"""A list of the tenth at highest risk is what people can work through; precision, recall and lift are of that list."""
DAYS_PER_MONTH = 30
RIDGE = 1e-3

Sample = Sequence[Sequence[float]]
"""Rows of FEATURES, the rule's risk, and whether the account was then lost (1 or 0)."""


def try_model(taught: Sample, held_out: Sample) -> dict[str, Any]:
    """Return how recency, last month's fall, the rule and the model did on the hold-out month, and which one is used.

    The model is used only where its AUC lies above each of the others' and its precision not below the rule's; then it is fitted
    once more, on the hold-out month, whose outcome is the newest there is.
    """
    if not _judgeable(held_out):
        return {"method": "rule", "reason": "the hold-out month has too few lost or kept accounts", "table": [], "model": None}
    features, rule, lost = _columns(held_out)
    scores = {"recency": features[:, 1], "last_fall": features[:, 2], "rule": rule}
    if _judgeable(taught):
        known, _, outcome = _columns(taught)
        scores["model"] = _linear(features, fit_logistic(known, outcome))
    flagged = max(1, ceil(len(lost) * FLAGGED_SHARE))
    table = [{"score": name, **_row(score, lost, features[:, 1], flagged)} for name, score in scores.items()]
    by_name = {row["score"]: row for row in table}
    chance = _chance(features[:, 0])
    answer = {
        "silence_expected": round(float(chance.sum()), 2),
        "accounts": len(lost),
        "lost": int(lost.sum()),
        "flagged": flagged,
        "table": table,
        "features": list(FEATURES),
    }
    if "model" not in by_name:
        return {"method": "rule", "reason": "there is no month to learn from yet", "model": None, **answer}
    model = by_name.pop("model")
    better = model["auc"] > max(row["auc"] for row in by_name.values())
    if not better or model["precision"] < by_name["rule"]["precision"]:
        return {"method": "rule", "reason": "the model does not beat the baselines", "model": None, **answer}
    weights = [float(f"{weight:.10g}") for weight in fit_logistic(features, lost)]
    return {"method": "model", "reason": None, "model": {"weights": weights}, **answer}


def fit_logistic(features: Array, happened: NDArray[np.bool_], steps: int = 50) -> Array:
    """Return intercept and weights of the features in their own units, by Newton's method with a small ridge."""
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    rows = np.column_stack([np.ones(len(features)), (features - middle) / spread])
    weights = np.zeros(rows.shape[1])
    weights[0] = np.log(happened.mean() / (1 - happened.mean()))
    pull = np.full(len(weights), RIDGE * len(rows))
    pull[0] = 0.0
    for _ in range(steps):
        chance = _chance(rows @ weights)
        slope = rows.T @ (happened - chance) - pull * weights
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(pull + 1e-9)
        step = np.linalg.solve(bend, slope)
        weights = weights + np.clip(step, -3, 3)
        if float(np.abs(step).max()) < 1e-10:
            break
    plain = weights[1:] / spread
    return np.concatenate([[weights[0] - float(plain @ middle)], plain])


def _chance(linear: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(linear, -500, 500))))


def _linear(features: Array, weights: Array) -> Array:
    return np.asarray(weights[0] + features @ weights[1:])


def _columns(sample: Sample) -> tuple[Array, Array, NDArray[np.bool_]]:
    rows = np.asarray(sample, dtype=np.float64)
    return rows[:, : len(FEATURES)], rows[:, len(FEATURES)], rows[:, -1] > 0.5


def _judgeable(sample: Sample) -> bool:
    lost = sum(row[-1] > 0.5 for row in sample)
    return min(lost, len(sample) - lost) >= LEAST_OF_EACH


def _row(score: Array, lost: NDArray[np.bool_], silent: Array, flagged: int) -> dict[str, Any]:
    found = measures.table(score, lost, flagged)
    chosen = np.argsort(-score, kind="stable")[:flagged]
    hits = chosen[lost[chosen]]
    lead = float((3 - silent[hits]).mean()) * DAYS_PER_MONTH if len(hits) else None
    figures = {name: round(getattr(found, name), 4) for name in ("auc", "precision", "recall", "lift")}
    return {**figures, "lead_days": lead and round(lead, 1)}
