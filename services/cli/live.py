"""Commands about right now: where an account stands, who is on course for a movement, on how few accounts a unit hangs."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.common import CommandError, JsonFlag, ask_one, connected_settings, print_json, print_table, run

radar = typer.Typer(invoke_without_command=True, help="Accounts on course for a movement before their month has ended.")
SECONDS = 30.0
Unit = Annotated[str | None, typer.Option(help="Only this unit and the units below it; default: the whole organisation.")]
Month = Annotated[str | None, typer.Option(help="Month as YYYY-MM; default: the running one, or the last one closed.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(standing)
    app.command()(concentration)
    app.add_typer(radar, name="radar")


def standing(
    account: Annotated[str, typer.Argument(help="Number of the settlement account.")], as_json: JsonFlag = False
) -> None:
    """Show where an account stands in the running quarter: place, neighbours, yuan to each line, tier at quarter end.

    Exact with the last charge that was handled. Example: `crm standing 7551234567`.
    """
    found = run(_ask(f"/accounts/{quote(account, safe='')}/standing"))
    if as_json:
        print_json(found)
        return
    then = found["projection"]
    rows = [
        ["freight of the quarter so far", _yuan(found["amount_fen"])],
        ["stands as", f"{found['service_tier'] or 'no tier'}, {found['contribution_grade']}"],
        ["place", "none" if found["place"] is None else str(found["place"])],
        ["above", _neighbour(found["above"])],
        ["below", _neighbour(found["below"])],
        *([f"to {name}", _yuan(found[f"to_{key}_fen"])] for key, name in _LINES if found[f"to_{key}_fen"] is not None),
        [
            "expected at quarter end",
            f"{_yuan(then['amount_fen'])}, {then['service_tier'] or 'no tier'}, {then['contribution_grade']}",
        ],
    ]
    print_table(f"{account} in {found['quarter']}", ["", "yuan"], rows)


@radar.callback()
def alerts(context: typer.Context, unit: Unit = None, month: Month = None, as_json: JsonFlag = False) -> None:
    """List the accounts that are on course for a fall or a month without freight (`crm radar --unit BR-SP`)."""
    if context.invoked_subcommand is not None:
        return
    found = run(_ask_all("/radar", unit=unit, month=month))
    if as_json:
        print_json(found)
        return
    print_table(
        "Radar",
        [
            "account",
            "branch",
            "heading for",
            "state",
            "since",
            "month before",
            "so far",
            "expected",
            "heading to",
            "season explains",
        ],
        [
            [
                *(one["account_no"], one["branch_code"], one["kind"], one["state"], one["raised_on"], _yuan(one["previous_fen"])),
                *(_yuan(one["now_fen"]), _yuan(one["expected_fen"]), _yuan(one["projected_fen"])),
                "yes" if one["season_explained"] else "",
            ]
            for one in found
        ],
    )


@radar.command()
def quality(
    first: Annotated[str, typer.Option("--from", help="First month, YYYY-MM.")],
    last: Annotated[str, typer.Option("--to", help="Last month, YYYY-MM.")],
    unit: Unit = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what the alerts of closed months were worth: precision, recall, lift and lead, beside two plain rules."""
    found = run(_ask("/radar/quality", unit=unit, **{"from": first, "to": last}))
    if as_json:
        print_json(found)
        return
    names = ("rule", "raised", "hits", "precision", "recall", "lift", "median_lead_days")
    title = f"{found['months']} months, {found['judged']} judged, {found['movements']} new movements"
    print_table(title, [name.replace("_", " ") for name in names], [[one[name] for name in names] for one in found["rules"]])


def concentration(unit: Unit = None, month: Month = None, as_json: JsonFlag = False) -> None:
    """Show on how few accounts each unit's freight hangs: top 1, 3, 10, and how many bring 80 %."""
    found = run(_ask_all("/concentration", unit=unit, month=month))
    if as_json:
        print_json(found)
        return
    print_table(
        "Concentration",
        ["unit", "kind", "accounts", "freight", "top 1", "top 3", "top 10", "bring 80 %"],
        [
            [
                *(one["unit_code"], one["kind"], one["accounts"], _yuan(one["freight_fen"])),
                *(_percent(one[name]) for name in ("top_1_share", "top_3_share", "top_10_share")),
                f"{one['core_accounts']} ({_percent(one['core_share'])})",
            ]
            for one in found
        ],
    )


_LINES = (("next_place", "the place above"), ("key", "key"), ("vip", "VIP"), ("gold", "gold"), ("diamond", "diamond"))


def _yuan(fen: int) -> str:
    from shared.money import yuan_text

    return yuan_text(fen)


def _percent(share: float | None) -> str:
    return "no data" if share is None else f"{share * 100:.1f} %"


def _neighbour(one: dict[str, Any] | None) -> str:
    return "nobody" if one is None else f"{_yuan(one['amount_fen'])} ({one['account_no'] or 'outside your unit'})"


async def _ask_all(path: str, **params: str | None) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await _ask(path, limit="200", cursor=cursor, **params)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def _ask(path: str, **params: str | None) -> dict[str, Any]:
    import httpx2

    from shared.identity import make_token
    from shared.local.workplace import Workplace

    settings = connected_settings()
    root = await ask_one(
        settings, "tiering", lambda _, connection: connection.fetchval("SELECT unit_code FROM units WHERE kind = 'hq'")
    )
    url = Workplace(settings.local).read_state().get("http", f"http://{settings.http_host}:{settings.http_port}")
    headers = {"Authorization": f"Bearer {make_token(settings, 'ops_hq', root or 'HQ')}"}
    given = {name: value for name, value in params.items() if value is not None}
    try:
        async with httpx2.AsyncClient(base_url=f"{url}/tiering/v1", headers=headers, timeout=SECONDS, trust_env=False) as client:
            answer = await client.get(path, params=given)
    except httpx2.TransportError as error:
        raise CommandError("The suite does not answer; is it running (make run)?") from error
    if answer.status_code in (404, 422):
        raise CommandError(f"The suite refuses that: {answer.json().get('detail') or answer.json().get('title')}", 2)
    if answer.status_code != 200:
        raise CommandError(f"The suite answered {answer.status_code}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found
