"""Fits the models on the organisation's accounts and evaluates them on each distinct history (numpy and scipy, no I/O).

Months are the unit: histories of months are few even where accounts are millions, so that scoring an account is one look-up. But
months are a grid, and a density over gaps on a grid grows with k whether shippers are regular or not (measured: decision 29). So
the likelihood chooses k, and the model in use is the one that foresaw best who would fall silent in the last three months.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.tiering.scores.counting import bgnbd, gammagamma, mbgcnbd, paretonbd
from services.tiering.scores.counting.fitting import Fit
from services.tiering.scores.counting.histories import Array, Histories, condensed
from services.tiering.scores.rules import HORIZON_MONTHS, LOST_AFTER, average_estimate

STEP_MONTHS = 3
"""Future purchases are discounted from the middle of each quarter."""
LEAST_MONTHS = 6
"""A history shorter than this says nothing of who is lost."""
_NAMES = {
    "bg_nbd": bgnbd.NAMES,
    "pareto_nbd": paretonbd.NAMES,
    "mbg_nbd": mbgcnbd.NAMES[1:],
    "mbg_cnbd_k": mbgcnbd.NAMES[1:],
}
COLUMNS = ("x", "t_x", "age", "expected_months", "discounted_months", "silence")


@dataclass(frozen=True, slots=True)
class Models:
    """The models in use, as they are stored in `score_models`: see `fit_models`."""

    purchase_model: str
    fallback_reason: str | None
    purchases: dict[str, Any]
    value: dict[str, Any]


def histories_of(rows: Sequence[tuple[Any, ...]]) -> Histories:
    """Return histories of rows (x, t_x, age, accounts, sum of the logarithms of gaps in millionths)."""
    table = np.asarray([[float(one) for one in row] for row in rows], dtype=np.float64).reshape(-1, 5)
    found, _ = condensed(table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4] / 1e6 / table[:, 3])
    return found


def fit_models(
    rows: Sequence[tuple[Any, ...]],
    held_out: Sequence[tuple[Any, ...]],
    spent: Sequence[tuple[int, float]],
    least_accounts: int,
) -> Models:
    """Choose and fit the model of purchases, and fit the value of a month with freight.

    `held_out` holds histories of three months ago with a sixth column: how many fell silent since. Each model is fitted on those
    and held against the outcome; with too few live accounts there the likelihood decides, among models without a k.

    `spent` holds repeat months and their mean freight in fen, of accounts that have some. With fewer than `least_accounts` of
    those, or where a fit does not converge, everything is `average`, with the reason.
    """
    if len(spent) < least_accounts:
        return _average(f"{len(spent)} accounts with repeat months, {least_accounts} are needed")
    histories = histories_of(rows)
    losses = _losses(held_out, least_accounts)
    if histories.age.max() < LEAST_MONTHS - 1:
        return _average(f"freight of {int(histories.age.max()) + 1} months, {LEAST_MONTHS} are needed")
    candidates = _candidates(histories)
    for name, loss in losses.items():
        if name in candidates:
            candidates[name]["holdout_log_loss"] = round(loss, 6)
    x, mean = (np.asarray(column, dtype=np.float64) for column in zip(*spent, strict=True))
    worth = gammagamma.fit(x, mean)
    value = {
        **_told(gammagamma.NAMES, worth),
        "model": "gamma_gamma",
        "independence": round(float(np.corrcoef(x, np.log(mean))[0, 1]), 4) if np.ptp(x) > 0 else None,
    }
    usable = [name for name, told in candidates.items() if told["converged"]]
    if not usable:
        return _average("no model of purchases converges")
    if not worth.converged or worth.parameters[1] <= 1:
        return _average("the value of a month has no mean in this population (q of Gamma-Gamma is not above 1)")
    return Models(_best(candidates, usable), None, candidates, value)


def estimate(
    models: Models, rows: Sequence[tuple[Any, ...]], discount_percent: int
) -> list[tuple[int, int, int, float, float, float]]:
    """Return for each distinct history COLUMNS: expected months with freight of the next year, the same discounted, and silence.

    Silence is the chance of no freight in the next three months.
    """
    histories = histories_of(rows)
    monthly = (1 + discount_percent / 100) ** (1 / 12)
    steps = range(STEP_MONTHS, HORIZON_MONTHS + 1, STEP_MONTHS)
    by_then = [np.zeros_like(histories.x), *(_expected(models, histories, float(step)) for step in steps)]
    discounted = sum(
        (later - earlier) * monthly ** (STEP_MONTHS / 2 - step)
        for earlier, later, step in zip(by_then, by_then[1:], steps, strict=False)
    )
    columns = (by_then[-1], discounted, _silence(models, histories))
    exact = [np.round(column, 9).tolist() for column in columns]
    keys = [column.astype(int).tolist() for column in (histories.x, histories.t_x, histories.age)]
    return list(zip(*keys, *exact, strict=True))


def _candidates(histories: Histories) -> dict[str, dict[str, Any]]:
    by_k = mbgcnbd.fits(histories)
    k, memoryless, regular = len(by_k), by_k[0], by_k[-1]
    found = {
        "bg_nbd": _told(bgnbd.NAMES, bgnbd.fit(histories)),
        "pareto_nbd": _told(paretonbd.NAMES, paretonbd.fit(histories)),
        "mbg_nbd": {**_told(_NAMES["mbg_nbd"], memoryless), "k": 1},
    }
    return found if k == 1 else found | {"mbg_cnbd_k": {**_told(_NAMES["mbg_cnbd_k"], regular), "k": k}}


def _best(candidates: Mapping[str, Mapping[str, Any]], usable: Sequence[str]) -> str:
    tried = [name for name in usable if "holdout_log_loss" in candidates[name]]
    if tried:
        return min(tried, key=lambda name: float(candidates[name]["holdout_log_loss"]))
    plain = [name for name in usable if name != "mbg_cnbd_k"] or list(usable)
    return max(plain, key=lambda name: float(candidates[name]["log_likelihood"]))


def _losses(held_out: Sequence[tuple[Any, ...]], least_accounts: int) -> dict[str, float]:
    """Return how far each model's chance of silence lay from what happened: the mean logarithmic loss over live accounts."""
    live = [row for row in held_out if row[2] - row[1] < LOST_AFTER]
    accounts = np.asarray([float(row[3]) for row in live])
    lost = np.asarray([float(row[5]) for row in live])
    if accounts.sum() < least_accounts or max(row[2] for row in held_out) < LEAST_MONTHS - 1:
        return {}
    histories = histories_of([row[:5] for row in held_out])
    x, t_x, age = (np.asarray([float(row[place]) for row in live]) for place in range(3))
    asked = Histories(x, t_x, age, accounts, _gaps(live))
    losses = {}
    for name, told in _candidates(histories).items():
        chance = np.clip(_silence(Models(name, None, {name: told}, {}), asked), 1e-6, 1 - 1e-6)
        losses[name] = float(-(lost * np.log(chance) + (accounts - lost) * np.log1p(-chance)).sum() / accounts.sum())
    return losses


def _gaps(rows: Sequence[tuple[Any, ...]]) -> Array:
    return np.asarray([float(row[4]) / 1e6 / float(row[3]) for row in rows])


def _told(names: Sequence[str], fit: Fit) -> dict[str, Any]:
    return {
        "parameters": {name: float(f"{value:.10g}") for name, value in zip(names, fit.parameters, strict=True)},
        "log_likelihood": round(fit.log_likelihood, 4),
        "accounts": int(fit.customers),
        "converged": fit.converged,
    }


def _average(reason: str) -> Models:
    return Models("average", reason, {}, {"model": "average"})


def _values(models: Models) -> tuple[float, ...]:
    """Return the parameters in the order of their paper: stored as jsonb, they have lost it."""
    told: Mapping[str, float] = models.purchases[models.purchase_model]["parameters"]
    return tuple(told[name] for name in _NAMES[models.purchase_model])


def _expected(models: Models, histories: Histories, months: float) -> Array:
    told = models.purchases.get(models.purchase_model, {})
    if models.purchase_model == "bg_nbd":
        return bgnbd.expected_purchases(_values(models), histories, months)
    if models.purchase_model == "pareto_nbd":
        return paretonbd.expected_purchases(_values(models), histories, months)
    if models.purchase_model in {"mbg_nbd", "mbg_cnbd_k"}:
        return mbgcnbd.expected_purchases(told["k"], _values(models), histories, months)
    return np.asarray([average_estimate(*key, int(months))[0] for key in _keys(histories)])


def _silence(models: Models, histories: Histories) -> Array:
    """Return the chance of no purchase until LOST_AFTER: the likelihood of having seen none by then over the one by now."""
    if models.purchase_model == "average":
        return np.asarray([average_estimate(*key, LOST_AFTER)[1] for key in _keys(histories)])
    later = Histories(histories.x, histories.t_x, histories.age + LOST_AFTER, histories.weight, histories.log_gaps)
    return np.exp(np.minimum(_log_likelihood(models, later) - _log_likelihood(models, histories), 0.0))


def _log_likelihood(models: Models, histories: Histories) -> Array:
    told = models.purchases[models.purchase_model]
    parameters = np.asarray(_values(models))
    if models.purchase_model in {"mbg_nbd", "mbg_cnbd_k"}:
        return mbgcnbd.log_likelihood(told["k"], parameters, histories)[0]
    if models.purchase_model == "pareto_nbd":
        return paretonbd.log_likelihood(parameters, histories)[0]
    return bgnbd.log_likelihood(parameters, histories)


def _keys(histories: Histories) -> list[tuple[int, int, int]]:
    return [(int(x), int(t_x), int(age)) for x, t_x, age in zip(histories.x, histories.t_x, histories.age, strict=True)]
