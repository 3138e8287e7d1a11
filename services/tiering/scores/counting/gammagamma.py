"""Gamma-Gamma: what a purchase is worth, from the mean of the repeat purchases of each customer.

Source: Fader and Hardie 2013, "The Gamma-Gamma model of monetary value".
"""

import numpy as np
from scipy.special import digamma, gammaln

from services.tiering.scores.counting.fitting import Fit, maximise
from services.tiering.scores.counting.histories import Array

NAMES = ("p", "q", "gamma")


def objective(parameters: Array, x: Array, mean: Array) -> tuple[float, Array]:
    """Return the log-likelihood of all and its derivatives by p, q, gamma."""
    p, q, gamma = parameters
    px, total = p * x, gamma + mean * x
    each = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(gamma) + (px - 1) * np.log(mean) + px * np.log(x)
    each = each - (px + q) * np.log(total)
    both = digamma(px + q)
    slope = np.array(
        [
            float((x * (both - digamma(px) + np.log(mean) + np.log(x) - np.log(total))).sum()),
            float((both - digamma(q) + np.log(gamma) - np.log(total)).sum()),
            float((q / gamma - (px + q) / total).sum()),
        ]
    )
    return float(each.sum()), slope


def fit(x: Array, mean: Array) -> Fit:
    """Fit p, q, gamma on the customers with repeat purchases that were worth something (x and mean above 0)."""
    scale = float(np.median(mean))
    found = maximise(lambda values: objective(values, x, mean / scale), (2.0, 3.0, 1.0), float(len(x)))
    p, q, gamma = found.parameters
    # Amounts are measured in medians while searching; the likelihood in the caller's unit differs by a constant.
    return Fit((p, q, gamma * scale), found.log_likelihood - len(x) * float(np.log(scale)), found.customers, found.converged)


def expected_value(parameters: tuple[float, ...], x: Array, mean: Array) -> Array:
    """Return what a purchase of each customer is worth; without repeat purchases what one of the population is.

    The population's mean exists for q > 1 only; a caller looks at that before.
    """
    p, q, gamma = parameters
    return np.asarray(p * (gamma + mean * x) / (p * x + q - 1))
