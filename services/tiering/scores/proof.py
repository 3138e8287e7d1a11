"""The proof on public data (CDNOW): published parameters, likelihoods and hold-out figures, computed anew, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from services.tiering.scores.counting import bgnbd, gammagamma, mbgcnbd, measures, paretonbd
from services.tiering.scores.counting.fitting import Fit
from services.tiering.scores.counting.histories import Array, Histories, condensed

CALIBRATION_ENDS, HOLDOUT_ENDS = date(1997, 9, 30), date(1998, 6, 30)
HOLDOUT_WEEKS = 39.0
SAMPLE_CUSTOMERS = 2_357
PUBLISHED: dict[str, dict[str, str]] = {
    "BG/NBD": {"r": "0.243", "alpha": "4.414", "a": "0.793", "b": "2.426", "log_likelihood": "-9582.4"},
    "Pareto/NBD": {"r": "0.553", "alpha": "10.578", "s": "0.606", "beta": "11.669", "log_likelihood": "-9595.0"},
    "Gamma-Gamma": {"p": "6.25", "q": "3.74", "gamma": "15.44", "log_likelihood": "-4055.92"},
}
"""As printed. Source: Fader, Hardie and Lee 2005; Fader and Hardie 2005 and 2013; Gamma-Gamma's likelihood: tests of CLVTools."""
AT_LEAST = {("BG/NBD", "correlation"): 0.6255, ("Pareto/NBD", "correlation"): 0.6300, ("Pareto/NBD", "auc"): 0.7785}


class NotCdnowError(ValueError):
    """The file is not one of the two CDNOW files; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Each customer's history until calibration ends, in weeks; the mean of its repeat purchases; purchases of the hold-out."""

    x: Array
    t_x: Array
    age: Array
    mean: Array
    holdout: Array


def read(path: Path) -> Customers:
    """Read `CDNOW_sample.txt` or `CDNOW_master.txt`; purchases of one day are one. Raises NotCdnowError."""
    days: dict[str, dict[date, float]] = {}
    for customer, day, dollars in _purchases(path):
        bought = days.setdefault(customer, {})
        bought[day] = bought.get(day, 0.0) + dollars
    if not days:
        raise NotCdnowError(f"{path} holds no purchase")
    rows = [_history(bought) for bought in days.values()]
    return Customers(*np.asarray(rows, dtype=np.float64).T)


def prove(path: Path) -> dict[str, Any]:
    """Fit the models on a CDNOW file: parameters, likelihoods, hold-out figures and, for the sample, what was published."""
    customers = read(path)
    histories, place = condensed(customers.x, customers.t_x, customers.age)
    bought = customers.holdout > 0
    answer: dict[str, Any] = {
        "customers": len(customers.x),
        "distinct_histories": len(histories.x),
        "holdout_purchases": int(customers.holdout.sum()),
        "models": [_counting(name, histories, place, customers) for name in ("BG/NBD", "Pareto/NBD", "MBG/CNBD-k")],
        "baselines": {
            "recency": measures.auc(customers.t_x - customers.age, bought),
            "frequency": measures.auc(customers.x, bought),
        },
    }
    answer["models"].append(_value(customers))
    if len(customers.x) == SAMPLE_CUSTOMERS:
        answer["checks"] = _checks(answer)
        answer["proved"] = all(check["holds"] for check in answer["checks"])
    return answer


def _purchases(path: Path) -> Iterator[tuple[str, date, float]]:
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        words = line.split()
        if not words or (number == 1 and words[0] == "customer_id"):
            continue
        try:
            yield words[0], date.fromisoformat(words[-3]), float(words[-1])
        except (ValueError, IndexError):
            raise NotCdnowError(f"line {number} of {path.name} is not `id [sample id] date CDs dollars`") from None


def _history(bought: dict[date, float]) -> tuple[float, float, float, float, float]:
    days = sorted(day for day in bought if day <= CALIBRATION_ENDS)
    if not days:
        raise NotCdnowError("a customer first buys after 30 September 1997")
    repeats = [bought[day] for day in days[1:]]
    later = sum(CALIBRATION_ENDS < day <= HOLDOUT_ENDS for day in bought)
    mean = sum(repeats) / len(repeats) if repeats else 0.0
    return len(repeats), (days[-1] - days[0]).days / 7, (CALIBRATION_ENDS - days[0]).days / 7, mean, later


def _counting(name: str, histories: Histories, place: Any, customers: Customers) -> dict[str, Any]:
    began = perf_counter()
    fit, expected, names = _fitted(name, histories)
    seconds = perf_counter() - began
    each = expected[place]
    bought = customers.holdout > 0
    return {
        **_told(name, names, fit),
        "seconds": seconds,
        "expected": float(each.sum()),
        "correlation": measures.correlation(each, customers.holdout),
        "auc": measures.auc(each, bought),
        "mean_absolute_error": float(np.abs(each - customers.holdout).mean()),
    }


def _fitted(name: str, histories: Histories) -> tuple[Fit, Array, tuple[str, ...]]:
    if name == "BG/NBD":
        fit = bgnbd.fit(histories)
        return fit, bgnbd.expected_purchases(fit.parameters, histories, HOLDOUT_WEEKS), bgnbd.NAMES
    if name == "Pareto/NBD":
        fit = paretonbd.fit(histories)
        return fit, paretonbd.expected_purchases(fit.parameters, histories, HOLDOUT_WEEKS), paretonbd.NAMES
    _, fit = mbgcnbd.fit(histories, 1)  # the files name days, and people do not buy CDs by the clock
    return fit, mbgcnbd.expected_purchases(1, fit.parameters, histories, HOLDOUT_WEEKS), mbgcnbd.NAMES[1:]


def _value(customers: Customers) -> dict[str, Any]:
    repeat = (customers.x > 0) & (customers.mean > 0)
    began = perf_counter()
    fit = gammagamma.fit(customers.x[repeat], customers.mean[repeat])
    return {**_told("Gamma-Gamma", gammagamma.NAMES, fit), "seconds": perf_counter() - began}


def _told(name: str, names: tuple[str, ...], fit: Fit) -> dict[str, Any]:
    return {
        "model": name,
        "parameters": dict(zip(names, fit.parameters, strict=True)),
        "log_likelihood": fit.log_likelihood,
        "customers": int(fit.customers),
        "converged": fit.converged,
    }


def _checks(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare with what was published, to the digits printed there."""
    models = {model["model"]: model for model in answer["models"]}
    checks = []
    for name, printed in PUBLISHED.items():
        found = {**models[name]["parameters"], "log_likelihood": models[name]["log_likelihood"]}
        for figure, text in printed.items():
            ours = f"{found[figure]:.{len(text.partition('.')[2])}f}"
            checks.append({"model": name, "figure": figure, "published": text, "ours": ours, "holds": ours == text})
    for (name, figure), least in AT_LEAST.items():
        ours = models[name][figure]
        checks.append(
            {"model": name, "figure": figure, "published": f">= {least}", "ours": f"{ours:.4f}", "holds": ours >= least}
        )
    return checks
