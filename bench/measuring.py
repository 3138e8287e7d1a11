"""How a ratio is taken: programs in turn, pair by pair, with the CPU seconds of every process that took part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import psutil

Better = Literal["higher", "lower"]
PAIRS = 5
QUICK_PAIRS = 3


class WrongTotalError(Exception):
    """A program did not do the work it was timed for: its figure is void."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one program: `amount` units of work (events, requests, closes) in `seconds`.

    `cpu` is what all processes used meanwhile, in seconds by the name of their program.
    """

    amount: float
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Work per second."""
        return self.amount / self.seconds


Program = Callable[[], Awaitable[Run]]


@dataclass(slots=True)
class Figure:
    """What a workload came to: the ratio of ours to the other in each pair, against the ratio to reach."""

    workload: str
    against: str
    goal: float
    better: Better
    ratios: list[float]
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Median of each program, over all processes: broker, PostgreSQL, clients."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The ratio that counts."""
        return median(self.ratios)

    @property
    def distance(self) -> float:
        """How far the median lies beyond the goal; negative where it is missed."""
        return self.median - self.goal if self.better == "higher" else self.goal - self.median

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of `latest.json`."""
        return {
            "workload": self.workload,
            "against": self.against,
            "ratio": {"median": round(self.median, 4), "min": round(min(self.ratios), 4), "max": round(max(self.ratios), 4)},
            "cpu_seconds": {name: round(seconds, 3) for name, seconds in self.cpu_seconds.items()},
            "goal": {"ratio": self.goal, "better": self.better, "distance": round(self.distance, 4)},
            "pairs": len(self.ratios),
            "notes": self.notes,
        }


async def alternate(programs: Mapping[str, Program], pairs: int = PAIRS) -> dict[str, list[Run]]:
    """Run the programs in turn (A B A B ...), so that whatever else the machine does meets all of them alike."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(pairs):
        for name, program in programs.items():
            runs[name].append(await program())
    return runs


def ratios(ours: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """Return our rate over theirs, pair by pair."""
    return [mine.rate / other.rate for mine, other in zip(ours, theirs, strict=True)]


def cpu_of(runs: Mapping[str, Sequence[Run]], *, per: float | None = None) -> dict[str, float]:
    """Return the median CPU seconds of each program's runs, all processes together; with `per`, for that many units of work."""
    return {
        name: median(sum(run.cpu.values()) * (per / run.amount if per else 1.0) for run in of_one)
        for name, of_one in runs.items()
    }


def cpu_by_process(runs: Mapping[str, Sequence[Run]], *, per: float | None = None) -> dict[str, dict[str, float]]:
    """Return the same apart for each process (python3, postgres, java): where the time goes."""
    return {
        name: {
            process: round(median(run.cpu.get(process, 0.0) * (per / run.amount if per else 1.0) for run in of_one), 3)
            for process in sorted({process for run in of_one for process in run.cpu})
        }
        for name, of_one in runs.items()
    }


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds that this process and all below it have used, by program, those that ended included.

    What ended is counted by the one who waited for it: PostgreSQL's postmaster does so for its backends.
    """
    used: dict[str, float] = {}
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        try:
            times, name = process.cpu_times(), process.name()
        except psutil.NoSuchProcess:
            continue
        program = "python" if name.startswith("python") else name
        used[program] = used.get(program, 0.0) + sum(times[:4])
    return used


def cpu_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used between two readings, without the processes that used nothing."""
    return {name: used for name in after if (used := after[name] - before.get(name, 0.0)) > 0.0}


def expect(what: str, found: object, expected: object) -> None:
    """Raise WrongTotalError where a total is not what it must be."""
    if found != expected:
        raise WrongTotalError(f"{what}: {_short(found)} where {_short(expected)} was expected")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "..."
