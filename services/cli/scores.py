"""Commands about scores: the proof on public data, what an account is scored, how the models did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.common import CommandError, JsonFlag, ask_one, connected_settings, print_json, print_table, run

proof = typer.Typer(no_args_is_help=True, help="Proofs of the models on public data.")
scores = typer.Typer(no_args_is_help=True, help="What accounts are worth, how likely they are lost, and by which models.")
SAMPLE = Path("cdnow") / "CDNOW_sample.txt"


def register(app: typer.Typer) -> None:
    """Add the command groups of this module."""
    app.add_typer(proof, name="proof")
    app.add_typer(scores, name="scores")


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


@scores.command()
def why(account: Annotated[str, typer.Argument(help="Number of the settlement account.")], as_json: JsonFlag = False) -> None:
    """Explain an account's scores: value, churn risk with its reasons and events, next month's forecast, evaluation, features.

    What no service publishes yet is shown as `no data`.
    """
    found = run(_ask(f"/accounts/{quote(account, safe='')}/scores", {}))
    if as_json:
        print_json(found)
        return
    if found["month"] is None:
        typer.echo(f"Account {account} has not been scored: no freight in a closed month.")
        return
    for line in _explained(found):
        typer.echo(line)


@scores.command()
def warnings(
    unit: Annotated[str | None, typer.Option(help="Only this unit and the units below it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many accounts.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the accounts with the most CLV at risk: CLV times churn risk, the most first."""
    from shared.money import yuan_text

    found = run(_ask("/early-warnings", {"limit": limit} | ({"unit": unit} if unit else {})))
    if as_json:
        print_json(found["items"])
        return
    rows = [
        [
            item["account_no"],
            item["branch_code"],
            *(yuan_text(item[name]) for name in ("at_risk_fen", "clv_fen")),
            item["churn_risk"],
        ]
        for item in found["items"]
    ]
    print_table("CLV at risk", ["account", "branch", "yuan at risk", "CLV", "risk"], rows)


@scores.command()
def models(months: Annotated[int, typer.Option(min=1, max=200, help="How many months.")] = 3, as_json: JsonFlag = False) -> None:
    """Show what each month was scored with, and how every method did on the hold-out month beside its baselines."""
    found = run(_ask("/score-models", {"limit": months}))["items"]
    if as_json:
        print_json(found)
        return
    for model in found:
        reason = f" ({model['fallback_reason']})" if model["fallback_reason"] else f", fitted {model['fitted_on']}"
        typer.echo(f"{model['month']}: {model['accounts']} accounts, purchases by {model['purchase_model']}{reason}")
        rows = [
            [told.get(name) for name in ("model", "log_likelihood", "holdout_log_loss", "converged")]
            for told in model["purchases"]
        ]
        if rows:
            print_table("", ["model", "log-likelihood", "hold-out log loss", "converged"], rows)
        churn = model["churn"]
        typer.echo(f"Churn by {churn['method']}{': ' + churn['reason'] if churn['reason'] else ''}; hold-out {churn['holdout']}")
        names = ("score", "auc", "precision", "recall", "lift", "lead_days")
        if churn["table"]:
            print_table("", list(names), [[row[name] for name in names] for row in churn["table"]])


def _explained(found: dict[str, Any]) -> Iterator[str]:
    """Say every score in a sentence, with the numbers it stands on."""
    from shared.money import yuan_text

    rfm, clv, churn, forecast = (found[name] for name in ("rfm", "clv", "churn", "forecast"))
    yield f"Scored {found['scored_at']} by policy {found['policy_version']}; digest {found['digest']}."
    yield (
        f"RFM {rfm['recency_score']}-{rfm['frequency_score']}-{rfm['money_score']} of 5 in {found['month']}: "
        f"{rfm['months_without_freight']} months without freight, {rfm['charges_12']} charges and "
        f"{yuan_text(rfm['amount_12_fen'])} yuan in twelve months. Margin: no data."
    )
    yield (
        f"CLV {yuan_text(clv['clv_fen'])} yuan: {clv['expected_months']} months with freight expected of the next "
        f"{clv['horizon_months']}, by {clv['model']}."
    )
    yield f"Churn risk {churn['risk']} of 100 by the {churn['method']}; {yuan_text(churn['at_risk_fen'])} yuan at risk."
    for reason in churn["reasons"]:
        yield f"  {reason['code'].replace('_', ' ')}: {reason['number']} (rule: {reason['points']} points)"
    for event in churn["events"]:
        yield f"  {event['kind']} on {event['happened_at']}: {event['left_points']} of {event['points']} points left"
    yield (
        f"Next month {yuan_text(forecast['forecast_fen'])} yuan ({yuan_text(forecast['low_fen'])} to "
        f"{yuan_text(forecast['high_fen'])}), by {forecast['method']}."
    )
    if found["evaluation"]:
        parts = found["evaluation"]["parts"]
        told = ", ".join(f"{name} {'no data' if part is None else part}" for name, part in parts.items())
        yield f"Evaluation of {found['evaluation']['quarter']}: {found['evaluation']['score']} of 100 ({told})."


async def _ask(path: str, params: dict[str, Any]) -> Any:
    import httpx2

    from shared.identity import make_token
    from shared.local.workplace import Workplace

    settings = connected_settings()
    root = await ask_one(
        settings, "customer", lambda _, connection: connection.fetchval("SELECT unit_code FROM units WHERE kind = 'hq'")
    )
    url = Workplace(settings.local).read_state().get("http", f"http://{settings.http_host}:{settings.http_port}")
    headers = {"Authorization": f"Bearer {make_token(settings, 'ops_hq', root or 'HQ')}"}
    try:
        async with httpx2.AsyncClient(base_url=f"{url}/tiering/v1", headers=headers, timeout=10.0, trust_env=False) as client:
            answer = await client.get(path, params=params)
            if answer.status_code in (404, 422):
                raise CommandError(answer.json().get("detail", "There is no such thing."), 2)
            return answer.raise_for_status().json()
    except httpx2.HTTPStatusError as error:
        raise CommandError(f"The suite answered {error.response.status_code}: {error.response.text[:300]}") from error
    except httpx2.TransportError as error:
        raise CommandError("The suite does not answer; is it running (make run)?") from error
