"""BG/NBD: purchases as a Poisson process, and after each purchase a chance to be lost.

Source: Fader, Hardie and Lee 2005, Marketing Science 24:275. Its P(alive) is 1 for whoever bought once, however long ago: it
is no churn score (measured AUC .316 on CDNOW) and is not offered here.
"""

import numpy as np
from scipy.special import betainc, betaln, digamma, gammaln

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array, Histories

NAMES = ("r", "alpha", "a", "b")
MOST_PURCHASES = 500
NEGLIGIBLE = 1e-7


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
    """Return the purchases expected within the horizon after `age`, given the history.

    The paper's equation 10 as a sum: the n-th purchase is made where the clock ticks n times, and none before it was the last.
    The closed form divides by a - 1, and its hypergeometric series overflows where all customers buy at nearly one rate.
    """
    r, alpha, a, b = parameters
    x, reached = histories.x, horizon / (alpha + histories.age + horizon)
    _, alive, _ = _terms(np.asarray(parameters), histories)
    expected, stays = np.zeros_like(x), np.exp(alive)
    for n in range(1, MOST_PURCHASES + 1):
        made = betainc(n, r + x, reached)
        expected += stays * made
        if float(np.max(made, initial=0.0)) < NEGLIGIBLE:
            break
        stays = stays * (b + x + n - 1) / (a + b + x + n - 1)
    return expected
