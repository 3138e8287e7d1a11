"""Commands about scores: the proof on public data, what an account is scored, how the models did."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.common import CommandError, JsonFlag, print_json, print_table

proof = typer.Typer(no_args_is_help=True, help="Proofs of the models on public data.")
SAMPLE = Path("cdnow") / "CDNOW_sample.txt"


def register(app: typer.Typer) -> None:
    """Add the command groups of this module."""
    app.add_typer(proof, name="proof")


@proof.callback()
def _proofs() -> None:
    """Keep `cdnow` a command of its own name."""


@proof.command()
def cdnow(
    file: Annotated[
        Path | None,
        typer.Argument(help="CDNOW_sample.txt or CDNOW_master.txt; without it the sample, from $CRM_REAL_DATA or tests/data."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit the models on CDNOW and compare with what was published.

    BG/NBD, Pareto/NBD, MBG/CNBD-k and Gamma-Gamma are fitted on the first 39 weeks; the next 39 are predicted and compared with
    what happened. On the sample every published figure has to come out to its printed digits: exit code 1 where one does not.
    """
    from services.tiering.scores.proof import NotCdnowError, prove

    try:
        found = prove(file or _sample())
    except (OSError, UnicodeDecodeError, NotCdnowError) as error:
        raise CommandError(f"This is no CDNOW file: {error}", 2) from None
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found.get("proved", True):
        raise CommandError("A published figure does not come out.")


def _sample() -> Path:
    places = [Path(os.environ.get("CRM_REAL_DATA", "../shared/data")) / SAMPLE, Path("tests/data") / SAMPLE]
    for place in places:
        if place.exists():
            return place
    raise CommandError(f"There is no CDNOW_sample.txt in {' or '.join(str(place.parent) for place in places)}: name the file.", 2)


def _show(found: dict[str, Any]) -> None:
    rows = [
        [
            model["model"],
            ", ".join(f"{name} {value:.4f}" for name, value in model["parameters"].items()),
            f"{model['log_likelihood']:.4f}",
            *(f"{model[figure]:.4f}" if figure in model else "" for figure in ("correlation", "auc")),
            f"{model['expected']:,.0f}" if "expected" in model else "",
            f"{model['seconds']:.2f}",
        ]
        for model in found["models"]
    ]
    title = f"{found['customers']:,} customers, {found['distinct_histories']:,} distinct histories; 39 weeks fitted, 39 predicted"
    print_table(title, ["model", "parameters", "log-likelihood", "correlation", "AUC", "expected", "seconds"], rows)
    baselines = ", ".join(f"{name} {value:.3f}" for name, value in found["baselines"].items())
    typer.echo(f"Purchases that came: {found['holdout_purchases']:,}. AUC of 'buys again' from one figure alone: {baselines}.")
    if "checks" in found:
        rows = [[c["model"], c["figure"], c["published"], c["ours"], "yes" if c["holds"] else "NO"] for c in found["checks"]]
        print_table("Published and ours", ["model", "figure", "published", "ours", "holds"], rows)
