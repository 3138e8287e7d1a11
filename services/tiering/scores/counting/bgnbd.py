"""BG/NBD: purchases as a Poisson process, and after each purchase a chance to be lost.

Source: Fader, Hardie and Lee 2005, Marketing Science 24:275. Its P(alive) is 1 for whoever bought once, however long ago: it
is no churn score (measured AUC .316 on CDNOW) and is not offered here.
"""

import numpy as np
from scipy.special import betainc, betaln, digamma, gammaln, hyp2f1

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array, Histories

NAMES = ("r", "alpha", "a", "b")
MOST_PURCHASES = 500
NEGLIGIBLE = 1e-7
CLOSE = 1e-4
MOST_ALIKE = 1e3


def log_likelihood(parameters: Array, histories: Histories) -> Array:
    """Return each history's log-likelihood."""
    return _terms(parameters, histories)[0]


def _terms(parameters: Array, histories: Histories) -> tuple[Array, Array, Array]:
    """Return the same, and the logarithms of what the terms of alive and of lost are in it."""
    r, alpha, a, b = parameters
    x, t_x, age = histories.x, histories.t_x, histories.age
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + age)
    lost = np.where(x > 0, np.log(a) - np.log(np.where(x > 0, b + x - 1, 1.0)) - (r + x) * np.log(alpha + t_x), -np.inf)
    both = np.logaddexp(alive, lost)
    return common + both, alive - both, lost - both


def objective(parameters: Array, histories: Histories) -> tuple[float, Array]:
    """Return the log-likelihood of all and its derivatives by r, alpha, a, b."""
    r, alpha, a, b = parameters
    x, t_x, age, weight = histories.x, histories.t_x, histories.age, histories.weight
    each, alive, lost = _terms(parameters, histories)
    share, other = np.exp(alive), np.exp(lost)
    total = digamma(a + b) - digamma(a + b + x)
    slope = np.stack(
        [
            digamma(r + x) - digamma(r) + np.log(alpha) - share * np.log(alpha + age) - other * np.log(alpha + t_x),
            r / alpha - (r + x) * (share / (alpha + age) + other / (alpha + t_x)),
            total + other / a,
            total + digamma(b + x) - digamma(b) - other / np.where(x > 0, b + x - 1, 1.0),
        ]
    )
    return float(weight @ each), slope @ weight


def fit(histories: Histories) -> Fit:
    """Fit r, alpha, a, b."""
    scale = float(histories.weight @ histories.age / histories.customers) / 4
    return maximise(lambda values: objective(values, histories), (0.5, max(scale, 1e-3), 0.8, 2.0), histories.customers)


def expected_purchases(parameters: tuple[float, ...], histories: Histories, horizon: float) -> Array:
    """Return the purchases expected within the horizon after `age`, given the history. Source: the paper's equation 10.

    Where that has no value (it divides by a - 1, and its series overflows where all buy at nearly one rate) it is summed.
    """
    r, alpha, a, b = parameters
    x, reached = histories.x, horizon / (alpha + histories.age + horizon)
    with np.errstate(all="ignore"):
        series = hyp2f1(r + x, b + x, a + b + x - 1, reached)
        made = (a + b + x - 1) / (a - 1) * (1 - (1 - reached) ** (r + x) * series)
    unsure = ~np.isfinite(made) | (made < 0) | (abs(a - 1) < CLOSE) | (r > MOST_ALIKE)
    if unsure.any():
        made[unsure] = _summed(r, a, b, x[unsure], reached[unsure])
    _, alive, _ = _terms(np.asarray(parameters), histories)
    return np.asarray(made * np.exp(alive))


def _summed(r: float, a: float, b: float, x: Array, reached: Array) -> Array:
    """Return the same for customers alive: the n-th purchase is made where the clock ticks n times, none before it the last."""
    expected, stays = np.zeros_like(x), np.ones_like(x)
    for n in range(1, MOST_PURCHASES + 1):
        ticks = betainc(n, r + x, reached)
        expected += stays * ticks
        if float(np.max(ticks, initial=0.0)) < NEGLIGIBLE:
            break
        stays = stays * (b + x + n - 1) / (a + b + x + n - 1)
    return expected
