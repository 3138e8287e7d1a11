"""How good a maintainer's records are (信息质量), and what is measured besides. Pure, exact in integers.

Source: T-45 (ratio = customers touched / customers assigned), T-46 (five grades from timeliness and completeness). Weight and
cut-offs are the policy's and ours by default: half and half, 90 / 75 / 60 / 40.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Grade = Literal["excellent", "good", "fair", "poor", "very_poor"]
GRADES: tuple[Grade, ...] = get_args(Grade)
GRADE_NAMES: Mapping[Grade, str] = {
    "excellent": "优秀 excellent",
    "good": "良好 good",
    "fair": "一般 fair",
    "poor": "较差 poor",
    "very_poor": "非常差 very poor",
}


class CutOffs(Protocol):
    """The section `quality` of a policy."""

    @property
    def excellent_from(self) -> int: ...  # noqa: D102
    @property
    def good_from(self) -> int: ...  # noqa: D102
    @property
    def fair_from(self) -> int: ...  # noqa: D102
    @property
    def poor_from(self) -> int: ...  # noqa: D102
    @property
    def on_time_weight(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Records:
    """What was recorded: contacts, those of them entered in time, talks, and those of them with all five blocks."""

    contacts: int
    on_time: int
    talks: int
    complete: int


def ratio(part: int, whole: int) -> float | None:
    """Return a percentage with one decimal, for showing; None (no data) where there is nothing to compare with."""
    return round(part * 1000 / whole) / 10 if whole else None


def score(records: Records, weight: int) -> float | None:
    """Return the score of records, 0 to 100 with one decimal, for showing; None without a record."""
    found = _weighted(records, weight)
    return None if found is None else round(found[0] * 10 / found[1]) / 10


def grade_of(records: Records, cut_offs: CutOffs) -> Grade | None:
    """Return the grade of records; exactly on a cut-off is the better grade. Without a record there is none, not the worst."""
    found = _weighted(records, cut_offs.on_time_weight)
    if found is None:
        return None
    points, whole = found
    return graded(points, whole, cut_offs)


def graded(points: int, whole: int, cut_offs: CutOffs) -> Grade:
    """Return the grade of points / whole, which is a percentage, compared without rounding."""
    steps = (cut_offs.excellent_from, cut_offs.good_from, cut_offs.fair_from, cut_offs.poor_from)
    for grade, from_ in zip(GRADES, steps, strict=False):
        if points >= from_ * whole:
            return grade
    return "very_poor"


def _weighted(records: Records, weight: int) -> tuple[int, int] | None:
    """Return the score as a fraction: weight x on time / contacts + (100 - weight) x complete / talks."""
    if not records.contacts or not records.talks:
        return None
    points = weight * records.on_time * records.talks + (100 - weight) * records.complete * records.contacts
    return points, records.contacts * records.talks


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of what is known, with one decimal; None where nothing is."""
    known = [value for value in values if value is not None]
    return round(sum(known) * 10 / len(known)) / 10 if known else None
