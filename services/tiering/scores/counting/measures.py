"""How good a score is (模型检验): order, calibration and hits, each beside a baseline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tiering.scores.counting.histories import Array


@dataclass(frozen=True, slots=True)
class Table:
    """A score against what happened: `flagged` are those it names, as many as there were cases."""

    auc: float
    precision: float
    recall: float
    lift: float
    flagged: int


def auc(score: Array, happened: NDArray[np.bool_]) -> float:
    """Return the chance that a case scores above a non-case, ties counting half; .5 where there are none of one kind."""
    cases = int(happened.sum())
    others = len(happened) - cases
    if cases == 0 or others == 0:
        return 0.5
    ranks = _ranks(score)
    return float((ranks[happened].sum() - cases * (cases + 1) / 2) / (cases * others))


def _ranks(score: Array) -> Array:
    """Return the places in ascending order from 1, equal ones their mean (`scipy.stats` takes a second to import)."""
    order = np.argsort(score, kind="stable")
    first = np.r_[True, score[order][1:] != score[order][:-1]]
    group = np.empty(len(score), dtype=np.int64)
    group[order] = first.cumsum()
    ends = np.r_[np.nonzero(first)[0], len(score)]
    return np.asarray(0.5 * (ends[group] + ends[group - 1] + 1), dtype=np.float64)


def table(score: Array, happened: NDArray[np.bool_], flagged: int) -> Table:
    """Return AUC, and precision, recall and lift of the `flagged` highest scores; of equal ones the first in order count."""
    chosen = np.argsort(-score, kind="stable")[:flagged]
    hits, cases = int(happened[chosen].sum()), int(happened.sum())
    precision = hits / flagged if flagged else 0.0
    share = cases / len(happened) if len(happened) else 0.0
    return Table(auc(score, happened), precision, hits / cases if cases else 0.0, precision / share if share else 0.0, flagged)


def correlation(expected: Array, actual: Array) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(expected, actual)[0, 1])
