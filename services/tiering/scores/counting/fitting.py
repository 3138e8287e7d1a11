"""Maximum likelihood for positive parameters: their logarithms are searched, along the analytic gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from services.tiering.scores.counting.histories import Array

Objective = Callable[[Array], tuple[float, Array]]
"""Parameters to log-likelihood and its derivatives by the parameters."""
FARTHEST = 14.0
"""Search stays within e^-14 and e^14: beyond, a parameter says nothing but that the data do not bind it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted parameters in the order the model's paper names them, and the log-likelihood they reach."""

    parameters: tuple[float, ...]
    log_likelihood: float
    customers: float
    converged: bool


def maximise(objective: Objective, start: tuple[float, ...], customers: float) -> Fit:
    """Return the parameters of the greatest likelihood.

    L-BFGS walks there and Newton's steps finish: the last digits of flat likelihoods (a and b of BG/NBD) come from the latter.
    """

    def lost(logs: Array) -> tuple[float, Array]:
        values = np.exp(logs)
        likelihood, slope = objective(values)
        if not np.isfinite(likelihood):
            return 1e12, np.zeros_like(logs)
        return -likelihood / customers, -slope * values / customers

    found = minimize(
        lost,
        np.log(np.asarray(start)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-FARTHEST, FARTHEST)] * len(start),
        options={"maxiter": 300, "ftol": 1e-11, "gtol": 1e-6, "maxcor": 12},
    )
    logs = _polished(lost, found.x)
    parameters = np.exp(logs)
    likelihood, slope = objective(parameters)
    steep = float(np.abs(slope * parameters).max()) / customers
    return Fit(tuple(float(one) for one in parameters), float(likelihood), customers, bool(found.success or steep < 1e-4))


def _polished(lost: Callable[[Array], tuple[float, Array]], logs: Array, steps: int = 3) -> Array:
    """Take Newton's steps with a Hessian from differences of the gradient, as long as they help."""
    best, slope = lost(logs)
    for _ in range(steps):
        if np.abs(slope).max() < 1e-9:
            break
        hessian = np.stack([(lost(logs + step)[1] - lost(logs - step)[1]) / 2e-5 for step in np.eye(len(logs)) * 1e-5])
        try:
            step = np.linalg.solve((hessian + hessian.T) / 2, slope)
        except np.linalg.LinAlgError:
            break
        moved = np.clip(logs - step, -FARTHEST, FARTHEST)
        value, tilt = lost(moved)
        if value > best:
            break
        logs, best, slope = moved, value, tilt
    return logs
