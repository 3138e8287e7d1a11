"""Commands about tiers."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.common import CommandError, JsonFlag, ask_one, connected_settings, print_json, print_table, run

tier = typer.Typer(no_args_is_help=True, help="Service tiers and contribution grades.")
SECONDS = 10.0


def register(app: typer.Typer) -> None:
    """Add the command group of this module."""
    app.add_typer(tier, name="tier")


@tier.command()
def why(account: Annotated[str, typer.Argument(help="Number of the settlement account.")], as_json: JsonFlag = False) -> None:
    """Explain an account's tier and grade: the decision, what it was based on, the neighbours by rank."""
    found = run(_decisions(account))
    if as_json:
        print_json(found)
        return
    decisions = {one["decision_id"]: one for one in found.values() if one}
    for decision in decisions.values():
        _show(decision)
    if not decisions:
        typer.echo(f"Nothing was decided on account {account} yet: the first close does.")


def _show(decision: dict[str, Any]) -> None:
    """Print a decision for people: the reasons in plain words, then the months they rest on."""
    from shared.money import yuan_text

    for sentence in decision["explanation"]:
        typer.echo(sentence)
    inputs = decision["inputs"]
    print_table(
        "",
        ["month", "yuan"],
        [[month["month"], yuan_text(month["amount_fen"])] for month in inputs["months"]],
    )
    typer.echo(f"Decided {decision['decided_at']} on these months; decision {decision['decision_id']}.\n")


async def _decisions(account: str) -> dict[str, Any]:
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
        async with httpx2.AsyncClient(base_url=f"{url}/tiering/v1", headers=headers, timeout=SECONDS, trust_env=False) as client:
            answer = await client.get(f"/accounts/{quote(account, safe='')}/tiers")
            if answer.status_code in (404, 422):
                raise CommandError(f"There is no account {account}.", 2)
            axes = answer.raise_for_status().json()
            found: dict[str, Any] = {}
            for axis in ("service_tier", "contribution_grade"):
                current = axes[axis]
                found[axis] = None
                if current is not None:
                    found[axis] = (await client.get(f"/decisions/{current['decision_id']}")).raise_for_status().json()
            return found
    except httpx2.HTTPStatusError as error:
        raise CommandError(f"The suite answered {error.response.status_code}: {error.response.text[:300]}") from error
    except httpx2.TransportError as error:
        raise CommandError("The suite does not answer; is it running (make run)?") from error
