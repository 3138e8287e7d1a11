"""Commands about tiers: why an account stands where it stands, and whether the ledger still says so."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from services.cli.client import Refused, door
from services.cli.common import CommandError, JsonFlag, connected_settings, print_json, print_table, run

if TYPE_CHECKING:
    from services.tiering.replaying import Replayed

tier = typer.Typer(no_args_is_help=True, help="Service tiers and contribution grades: why, and the same again.")


class Language(StrEnum):
    """In which language reasons are printed."""

    BOTH = "both"
    ENGLISH = "en"
    CHINESE = "zh"


def register(app: typer.Typer) -> None:
    """Add the command group of this module."""
    app.add_typer(tier, name="tier")


@tier.command()
def why(
    account: Annotated[str, typer.Argument(help="Number of the settlement account.")],
    language: Annotated[Language, typer.Option("--lang", help="Print the reasons in one language or in both.")] = Language.BOTH,
    charges: Annotated[bool, typer.Option("--charges", help="Print the charges behind each decision, as known then.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Explain tier, grade, band, entitlements and movements of an account: rank, thresholds, and the yuan to its neighbours.

    Everything is read from the decisions of the closes, so the answer is the same years later; late charges are named beside it.
    """
    found = run(_ask(account, charges=charges))
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo(f"Nothing was decided on account {account} yet: the first close does.")
    for decision in _decisions(found):
        _show(decision, language)


def _decisions(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [*found.get("decisions", []), *found.get("movements", []), *found.get("quarter_movements", [])]


def _show(decision: dict[str, Any], language: Language) -> None:
    """Print a decision for people: the reasons in plain words, then the months they rest on."""
    from shared.money import yuan_text

    spoken = {Language.ENGLISH: ["explanation"], Language.CHINESE: ["explanation_zh"]}
    for name in spoken.get(language, ["explanation_zh", "explanation"]):
        for sentence in decision[name]:
            typer.echo(sentence)
    if decision["inputs"]:
        months = decision["inputs"]["months"]
        print_table("", ["month", "yuan"], [[month["month"], yuan_text(month["amount_fen"])] for month in months])
    for late in decision["late_charges"]:
        change = _change(late["change_fen"])
        typer.echo(f"Since then: charge {late['charge_no']} version {late['version']}, {late['month']}, {change}.")
    if "charges" in decision:
        names = ("charge_no", "version", "waybill_no", "charged_at", "event_id")
        rows = [[*(str(one[name]) for name in names), yuan_text(one["amount_fen"])] for one in decision["charges"]]
        print_table(f"{len(rows)} charges, as known then", ["charge", "version", "waybill", "at", "event", "yuan"], rows)
    typer.echo(f"Decided {decision['decided_at']}; decision {decision['decision_id']}, digest {decision['digest']}.\n")


def _change(fen: int) -> str:
    from shared.money import yuan_text

    return f"{'-' if fen < 0 else '+'}{yuan_text(abs(fen))} yuan"


async def _ask(account: str, *, charges: bool) -> dict[str, Any]:
    async with door("tiering", "ops_hq") as tiering:
        try:
            found: dict[str, Any] = await tiering.ask("GET", f"/v1/accounts/{quote(account, safe='')}/why")
            for decision in _decisions(found) if charges else ():
                decision["charges"] = await tiering.pages(f"/v1/decisions/{decision['decision_id']}/charges")
            return found
        except Refused as refused:
            if refused.problem.get("status") not in (404, 422):
                raise
            await _known(tiering, account)
            return {}


async def _known(tiering: Any, account: str) -> None:
    """Tell an account that nothing was decided on from one that does not exist. Raises CommandError for the latter."""
    try:
        await tiering.ask("GET", f"/v1/accounts/{quote(account, safe='')}/tiers")
    except Refused:
        raise CommandError(f"There is no account {account}.", 2) from None


@tier.command()
def replay(
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day: months that end by it.")],
    as_json: JsonFlag = False,
) -> None:
    """Decide every closed month again from the ledger, and compare digests: equal, or the late charge that changed one.

    Nothing is published and nothing stays. Exit code 1 where a digest differs.
    """
    found = run(_replay(until.date(), quiet=as_json))
    if as_json:
        print_json(_plain(found))
    else:
        _tell(found)
    if found.different:
        raise typer.Exit(1)


async def _replay(until: date, *, quiet: bool) -> Replayed:
    from services.tiering.replaying import replay as decide_again
    from shared.db import Database
    from shared.months import month_text

    settings = connected_settings()
    database = Database("tiering", settings.database_url("tiering"), "worker", 1)
    try:
        return await decide_again(database, until, lambda month: None if quiet else typer.echo(f"{month_text(month)} ..."))
    finally:
        await database.close()


def _plain(found: Replayed) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "equal": found.different == 0}


def _tell(found: Replayed) -> None:
    from shared.months import month_text

    compared = ", ".join(f"{count} {what.replace('_', ' ')}s" for what, count in found.compared.items())
    if not found.different:
        typer.echo(f"Equal digests: {len(found.months)} months, {compared}.")
        return
    rows = []
    for one in found.differences:
        late = [f"{e.charge_no} v{e.version} of {e.account_no}, {month_text(e.month)}: {_change(e.change_fen)}" for e in one.late]
        because = "; ".join(late) or "no late charge: the directory or the policy says something else than it did"
        fields = ", ".join(one.fields) or "only one of the two exists"
        rows.append([one.what.replace("_", " "), one.account_no or "all", month_text(one.month), fields, because])
    print_table("What the ledger says otherwise today", ["what", "account", "month", "differs in", "because of charge"], rows)
    more = found.different - len(found.differences)
    typer.echo(f"{found.different} of {compared} differ{f', {more} more than shown' if more else ''}.")
