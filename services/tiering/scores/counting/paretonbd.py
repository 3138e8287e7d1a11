"""Pareto/NBD: purchases as a Poisson process of a customer who is lost at an exponential time.

Source: Schmittlein, Morrison and Colombo 1987; likelihood as in Fader and Hardie 2005, "A note on deriving the Pareto/NBD model".
The lost term is integrated over the instant of the loss by Gauss and Legendre in the logarithm of time: its derivatives come from
the same nodes, and nothing cancels as the difference of two hypergeometric functions does for many purchases.
"""

import numpy as np
from scipy.special import digamma, gammaln, logsumexp

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array, Histories

NAMES = ("r", "alpha", "s", "beta")
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(28)
_LOG_WEIGHTS = np.log(_WEIGHTS / 2)


def _terms(parameters: Array, histories: Histories) -> tuple[Array, Array, Array, Array]:
    """Return what both terms share, the alive term, the lost term at each node (all logarithms), and the nodes' instants."""
    r, alpha, s, beta = parameters
    x, t_x, age = histories.x, histories.t_x, histories.age
    shift = min(alpha, beta)
    low, width = np.log(shift + t_x), np.log1p((age - t_x) / (shift + t_x))
    places = np.exp(low[:, None] + width[:, None] * (_NODES + 1) / 2)
    lost_at = places - shift
    with np.errstate(divide="ignore"):  # seen on the day of the last purchase only: no time to be lost in
        measure = _LOG_WEIGHTS + np.log(width)[:, None] + np.log(places)
    lost = measure + np.log(s) - (r + x)[:, None] * np.log(alpha + lost_at) - (s + 1) * np.log(beta + lost_at)
    alive = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    return common, alive, lost, lost_at


def log_likelihood(parameters: Array, histories: Histories) -> tuple[Array, Array]:
    """Return each history's log-likelihood, and the logarithm of its chance to be alive."""
    common, alive, lost, _ = _terms(parameters, histories)
    both = np.logaddexp(alive, logsumexp(lost, axis=1))
    return common + both, alive - both


def objective(parameters: Array, histories: Histories) -> tuple[float, Array]:
    """Return the log-likelihood of all and its derivatives by r, alpha, s, beta."""
    r, alpha, s, beta = parameters
    x, age, weight = histories.x, histories.age, histories.weight
    common, alive, lost, lost_at = _terms(parameters, histories)
    top = np.maximum(alive, lost.max(axis=1))
    shares, share = np.exp(lost - top[:, None]), np.exp(alive - top)
    total = share + shares.sum(axis=1)
    shares /= total[:, None]
    share /= total
    near_alpha, near_beta = alpha + lost_at, beta + lost_at
    slope = np.stack(
        [
            digamma(r + x) - digamma(r) + np.log(alpha) - share * np.log(alpha + age) - (shares * np.log(near_alpha)).sum(axis=1),
            r / alpha - (r + x) * (share / (alpha + age) + (shares / near_alpha).sum(axis=1)),
            np.log(beta) - share * np.log(beta + age) + (shares * (1 / s - np.log(near_beta))).sum(axis=1),
            s / beta - s * share / (beta + age) - (s + 1) * (shares / near_beta).sum(axis=1),
        ]
    )
    return float(weight @ (common + top + np.log(total))), slope @ weight


def fit(histories: Histories) -> Fit:
    """Fit r, alpha, s, beta."""
    scale = max(float(histories.weight @ histories.age / histories.customers) / 3, 1e-3)
    return maximise(lambda values: objective(values, histories), (0.6, scale, 0.6, scale), histories.customers)


def expected_purchases(parameters: tuple[float, ...], histories: Histories, horizon: float) -> Array:
    """Return the purchases expected within the horizon after `age`, given the history."""
    r, alpha, s, beta = parameters
    _, alive = log_likelihood(np.asarray(parameters), histories)
    passed = np.log((beta + histories.age) / (beta + histories.age + horizon))
    lived = -passed if abs(s - 1) < 1e-9 else -np.expm1((s - 1) * passed) / (s - 1)
    return np.asarray(np.exp(alive) * (r + histories.x) * (beta + histories.age) / (alpha + histories.age) * lived)
