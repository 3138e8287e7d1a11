"""MBG/CNBD-k: regular buyers (every k-th tick of a Poisson clock is a purchase) who may be lost at the first and every purchase.

Source: Platzer and Reutterer 2016, Marketing Science 35:779; Reutterer, Platzer and Schröder 2021. k = 1 is MBG/NBD. Shippers
ship regularly, so k is chosen by likelihood. Expected purchases are summed exactly over phases and counts (the paper: roughly).
"""

import numpy as np
from scipy.special import betainc, betaln, digamma, gammaln, logsumexp

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array, Histories

NAMES = ("k", "r", "alpha", "a", "b")
MOST_K = 12
MOST_PURCHASES = 500
NEGLIGIBLE = 1e-7


def _terms(k: int, parameters: Array, histories: Histories) -> tuple[Array, Array, Array]:
    """Return what all terms share, the term of each phase of the clock while alive, and the lost term (all logarithms)."""
    r, alpha, a, b = parameters
    x, t_x, age = histories.x, histories.t_x, histories.age
    ticks = r + k * x
    common = gammaln(ticks) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x + 1) - betaln(a, b)
    regular = (k - 1) * histories.log_gaps - x * gammaln(k)
    phase = np.arange(k)
    with np.errstate(divide="ignore"):
        since = np.log(age - t_x)[:, None]
    waited = np.where(phase == 0, 0.0, phase * np.where(np.isfinite(since), since, -1e300))
    alive = gammaln(ticks[:, None] + phase) - gammaln(ticks)[:, None] - gammaln(phase + 1) + waited
    alive = alive - (ticks[:, None] + phase) * np.log(alpha + age)[:, None]
    lost = np.log(a) - np.log(b + x) - ticks * np.log(alpha + t_x)
    return common + regular, alive, lost


def log_likelihood(k: int, parameters: Array, histories: Histories) -> tuple[Array, Array]:
    """Return each history's log-likelihood, and the logarithms of its chances to be alive in each phase."""
    common, alive, lost = _terms(k, parameters, histories)
    both = np.logaddexp(logsumexp(alive, axis=1), lost)
    return common + both, alive - both[:, None]


def objective(k: int, parameters: Array, histories: Histories) -> tuple[float, Array]:
    """Return the log-likelihood of all and its derivatives by r, alpha, a, b."""
    r, alpha, a, b = parameters
    x, t_x, age, weight = histories.x, histories.t_x, histories.age, histories.weight
    ticks, phase = r + k * x, np.arange(k)
    each, alive = log_likelihood(k, parameters, histories)
    shares = np.exp(alive)
    share = shares.sum(axis=1)
    other = 1 - share
    total = digamma(a + b) - digamma(a + b + x + 1)
    slope = np.stack(
        [
            -digamma(r)
            + np.log(alpha)
            + (shares * digamma(ticks[:, None] + phase)).sum(axis=1)
            + other * digamma(ticks)
            - share * np.log(alpha + age)
            - other * np.log(alpha + t_x),
            r / alpha - (shares @ phase + share * ticks) / (alpha + age) - other * ticks / (alpha + t_x),
            total + other / a,
            total + digamma(b + x + 1) - digamma(b) - other / (b + x),
        ]
    )
    return float(weight @ each), slope @ weight


def fit(histories: Histories, k: int | None = None) -> tuple[int, Fit]:
    """Fit r, alpha, a, b, and k where it is not given: the last of `fits`."""
    found = fits(histories) if k is None else [_fitted(histories, k)]
    return (len(found) if k is None else k), found[-1]


def fits(histories: Histories) -> list[Fit]:
    """Return the fits of k = 1, 2, ... for as long as the likelihood grows."""
    found = [_fitted(histories, 1)]
    while len(found) < MOST_K:
        other = _fitted(histories, len(found) + 1)
        if other.log_likelihood <= found[-1].log_likelihood:
            break
        found.append(other)
    return found


def _fitted(histories: Histories, k: int) -> Fit:
    scale = max(float(histories.weight @ histories.age / histories.customers) / 4, 1e-3)
    return maximise(lambda values: objective(k, values, histories), (0.7, scale / k, 0.8, 2.5), histories.customers)


def expected_purchases(k: int, parameters: tuple[float, ...], histories: Histories, horizon: float) -> Array:
    """Return the purchases expected within the horizon after `age`, given the history.

    Alive in phase j, the clock has ticked m times at the horizon with the chance of a negative binomial; the n-th purchase is
    made where m >= n k - j and no purchase before it was the last.
    """
    r, alpha, a, b = parameters
    x, age = histories.x, histories.age
    ticks, reached = r + k * x, horizon / (alpha + age + horizon)
    _, alive = log_likelihood(k, np.asarray(parameters), histories)
    shares = np.exp(alive)
    expected = np.zeros_like(x)
    stays = np.ones_like(x)
    for n in range(1, MOST_PURCHASES + 1):
        made = sum(shares[:, j] * betainc(n * k - j, ticks + j, reached) for j in range(k))
        expected += stays * made
        if float(np.max(made, initial=0.0)) < NEGLIGIBLE:
            break
        stays = stays * (b + x + n) / (a + b + x + n)
    return expected
