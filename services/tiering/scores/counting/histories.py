"""Histories of buying, each distinct one kept once with the number of customers who share it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Histories:
    """Distinct histories: x repeat purchases, the last at t_x, watched until age, all since the first purchase.

    `log_gaps` is the sum of the logarithms of the times between purchases (used to choose k only), averaged over those who share
    the history; `weight` is how many do.
    """

    x: Array
    t_x: Array
    age: Array
    weight: Array
    log_gaps: Array

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.weight.sum())


def condensed(
    x: Array, t_x: Array, age: Array, weight: Array | None = None, log_gaps: Array | None = None
) -> tuple[Histories, NDArray[np.intp]]:
    """Return the distinct histories, and for each row of the input the place of its history among them."""
    rows = np.ascontiguousarray(np.stack([x, t_x, age], axis=1, dtype=np.float64))
    # Sorting rows as opaque bytes is several times faster than unique(axis=0), and any order of histories will do.
    _, first, place = np.unique(
        rows.view(np.dtype((np.void, rows.dtype.itemsize * 3))).ravel(), return_index=True, return_inverse=True
    )
    counted = np.ones(len(rows), dtype=np.float64) if weight is None else np.asarray(weight, dtype=np.float64)
    weights: Array = np.bincount(place, counted).astype(np.float64)
    gaps = np.zeros(len(first)) if log_gaps is None else np.bincount(place, counted * log_gaps) / weights
    return Histories(rows[first, 0], rows[first, 1], rows[first, 2], weights, gaps), place
