"""Commands of a local suite: start it, ask it, make a token, simulate a history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.common import CommandError, JsonFlag, connected_settings, print_json, print_table, run


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (suite, status, token, simulate):
        app.command()(command)


def suite(
    history: Annotated[
        Path | None, typer.Option(help="Folder with shipments.csv; without it a simulated history is replayed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1 for all four services; 8000 unless set.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget databases, topics and history first.")] = False,
    detached: Annotated[bool, typer.Option("--detached", help="Go on when the process that started it ends.")] = False,
) -> None:
    """Start everything on this machine, replay history, then serve until Ctrl-C.

    PostgreSQL and Kafka are started under `.local/` unless CRM_KAFKA_BOOTSTRAP and CRM_<SERVICE>_DATABASE_URL name
    your own. A child that dies is started again. Exit codes: 0 ended, 1 it could not go on, 2 it was asked for what
    it cannot do.
    """
    from rich.console import Console

    from services.suite import Options
    from services.suite import run as run_suite
    from shared.settings import settings_or_exit

    settings = settings_or_exit()
    options = Options(history, port or settings.http_port, reset, detached)
    raise typer.Exit(run_suite(settings, options, Console()))


def status(as_json: JsonFlag = False) -> None:
    """Show where the suite listens, and per service the lag, the unsent events and the parked ones."""
    from services.cli.queries import suite_status

    found = run(suite_status(connected_settings()))
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['http']}/   Kafka {found['kafka_bootstrap']}")
    print_table(
        "",
        ["service", "lag", "unsent", "parked"],
        [[name, one["lag"], one["outbox_pending"], one["parked"]] for name, one in found["services"].items()],
    )


def token(
    role: Annotated[str, typer.Option(help="For instance ops_hq, district_head, branch_manager, outlet_staff, shipper.")],
    unit: Annotated[str | None, typer.Option(help="Unit the person works in, for instance HQ or BR-SP.")] = None,
    person: Annotated[str | None, typer.Option(help="Who acts: written beside everything that is changed.")] = None,
    account: Annotated[str | None, typer.Option(help="Account of a shipper (role shipper has no unit).")] = None,
) -> None:
    """Print a bearer token for this machine, valid for 12 hours: `curl -H "Authorization: Bearer $(crm token ...)"`."""
    from shared.identity import make_token
    from shared.settings import SettingsError

    if not unit and not account:
        raise CommandError("Say where: --unit, for instance HQ; a shipper has --account instead.", 2)
    try:
        typer.echo(make_token(connected_settings(), role, unit, person, account))
    except (SettingsError, ValueError) as error:
        raise CommandError(f"{error}", 2) from None


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the history folder is written; it must not exist.")],
    accounts: Annotated[int, typer.Option(min=1, help="Settlement accounts.")] = 800,
    months: Annotated[int, typer.Option(min=1, help="Months of parcels, ending with the last closed one.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed gives the same parcels.")] = 1,
) -> None:
    """Write a simulated history folder: shipments.csv, org.csv, accounts.csv, charges.csv.

    About 4 parcels an account and month. Replay it with `make run HISTORY=FOLDER`.
    """
    from services.cli.importing import simulate_folder

    simulate_folder(folder, accounts, months, seed)
