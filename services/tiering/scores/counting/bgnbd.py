"""BG/NBD: purchases as a Poisson process, and after each purchase a chance to be lost.

Source: Fader, Hardie and Lee 2005, Marketing Science 24:275. Its P(alive) is 1 for whoever bought once, however long ago: it
is no churn score (measured AUC .316 on CDNOW) and is not offered here.
"""

import numpy as np
from scipy.special import betaln, digamma, gammaln, hyp2f1

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array, Histories

NAMES = ("r", "alpha", "a", "b")


def log_likelihood(parameters: Array, histories: Histories) -> tuple[Array, Array, Array]:
    """Return each history's log-likelihood, and its share of alive and of lost (logarithms of the two terms over their sum)."""
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
    each, alive, lost = log_likelihood(parameters, histories)
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
    """Return the purchases expected within the horizon after `age`, given the history. Source: the paper's equation 10."""
    r, alpha, a, b = parameters
    if abs(a - 1) < 1e-6:  # the formula's limit exists, its terms do not
        a = 1 + 1e-6
    x, age = histories.x, histories.age
    series = hyp2f1(r + x, b + x, a + b + x - 1, horizon / (alpha + age + horizon))
    grown = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + horizon)) ** (r + x) * series)
    _, alive, _ = log_likelihood(np.asarray([r, alpha, a, b]), histories)
    return np.asarray(np.maximum(grown * np.exp(alive), 0.0))
