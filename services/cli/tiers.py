"""Commands about tiers."""

from __future__ import annotations

from typing import Annotated, Any

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
    for axis, decision in found.items():
        rows = [[name, value] for name, value in decision.items()] if decision else [["not decided yet", ""]]
        print_table(axis.replace("_", " "), ["", ""], rows)


async def _decisions(account: str) -> dict[str, Any]:
    import httpx2

    from shared.identity import make_token
    from shared.local.workplace import Workplace

    settings = connected_settings()
    root = await ask_one(
        settings, "customer", lambda _, connection: connection.fetchval("SELECT unit_code FROM units WHERE kind = 'hq'")
    )
    url = Workplace(settings.local).read_state().get("http", f"http://{settings.http_host}:{settings.http_port}")
    headers = {"Authorization": f"Bearer {make_token(settings, 'ops_hq', root)}"}
    try:
        async with httpx2.AsyncClient(base_url=f"{url}/tiering/v1", headers=headers, timeout=SECONDS, trust_env=False) as client:
            answer = await client.get(f"/accounts/{account}/tiers")
            if answer.status_code == 404:
                raise CommandError(f"There is no account {account}.", 2)
            axes = answer.raise_for_status().json()
            found: dict[str, Any] = {}
            for axis in ("service_tier", "contribution_grade"):
                current = axes[axis]
                found[axis] = None
                if current is not None:
                    found[axis] = (await client.get(f"/decisions/{current['decision_id']}")).raise_for_status().json()
            return found
    except httpx2.TransportError as error:
        raise CommandError("The suite does not answer; is it running (make run)?") from error
