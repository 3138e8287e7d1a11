"""Commands about events: what is parked, what waits in the outbox, what comes in from files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.common import (
    PARTLY_DONE,
    CommandError,
    JsonFlag,
    ask_each,
    connected_settings,
    print_json,
    print_table,
    run,
    service_name,
)

ServiceOption = Annotated[str | None, typer.Option("--service", help="customer, tiering, retention or tickets.")]
ParkedId = Annotated[int, typer.Argument(help="Number from `crm parked list`.")]
SPANS = {"m": "minutes", "h": "hours", "d": "days"}

parked = typer.Typer(no_args_is_help=True, help="Events that a service refused, kept with their bytes and the reason.")
outbox = typer.Typer(no_args_is_help=True, help="Events that a service has written and Kafka has to get.")
import_ = typer.Typer(no_args_is_help=True, help="Bring in files through the same contract as events.")


def register(app: typer.Typer) -> None:
    """Add the command groups of this module."""
    app.add_typer(parked, name="parked")
    app.add_typer(outbox, name="outbox")
    app.add_typer(import_, name="import")


@parked.command("list")
def list_parked(service: ServiceOption = None, as_json: JsonFlag = False) -> None:
    """List what is parked now; each consuming service parks for itself."""
    from services.cli import queries

    rows = run(queries.list_parked(connected_settings(), service_name(service) if service else None))
    if as_json:
        print_json(rows)
    else:
        print_table(
            f"{len(rows)} parked",
            ["id", "service", "place", "reason", "since"],
            [
                [
                    row["parked_id"],
                    row["service"],
                    f"{row['topic']}/{row['partition']}/{row['offset']}",
                    row["reason"],
                    row["parked_at"],
                ]
                for row in rows
            ],
        )


@parked.command()
def show(parked_id: ParkedId, service: ServiceOption = None, as_json: JsonFlag = False) -> None:
    """Show one parked event: reason, headers, bytes."""
    from services.cli import queries

    async def read() -> dict[str, Any]:
        settings = connected_settings()
        return await queries.read_parked(settings, await queries.find_parked(settings, parked_id, service), parked_id)

    found = run(read())
    if as_json:
        print_json(found)
    else:
        print_table(f"parked {parked_id}", ["", ""], [[name, value] for name, value in found.items()])


@parked.command()
def retry(
    parked_id: Annotated[int | None, typer.Argument(help="Number from `crm parked list`; or --all.")] = None,
    service: ServiceOption = None,
    all_: Annotated[bool, typer.Option("--all", help="All that is parked (by --service).")] = False,
) -> None:
    """Hand a parked event to its handler again, after its cause was mended. Exit code 3 if any is refused again."""
    from services.cli import queries

    if (parked_id is None) != all_:
        raise CommandError("Say one number from `crm parked list`, or --all.", 2)

    async def again() -> list[tuple[str, int, str | None]]:
        settings = connected_settings()
        if parked_id is not None:
            chosen = [(await queries.find_parked(settings, parked_id, service), parked_id)]
        else:
            chosen = [(row["service"], row["parked_id"]) for row in await queries.list_parked(settings, service)]
        return [(name, number, await queries.retry_parked(settings, name, number)) for name, number in chosen]

    refused = 0
    for name, number, reason in run(again()):
        typer.echo(f"{name} {number}: {'retried' if reason is None else f'stays parked: {reason}'}")
        refused += reason is not None
    if refused:
        raise typer.Exit(PARTLY_DONE)


@parked.command()
def discard(
    parked_id: ParkedId,
    reason: Annotated[str, typer.Option(help="Why it is given up; kept beside its bytes.")],
    service: ServiceOption = None,
) -> None:
    """Give a parked event up for good."""
    from services.cli import queries

    async def give_up() -> str:
        settings = connected_settings()
        name = await queries.find_parked(settings, parked_id, service)
        await queries.discard_parked(settings, name, parked_id, reason)
        return name

    typer.echo(f"{run(give_up())} {parked_id}: discarded")


@outbox.command("status")
def outbox_status(as_json: JsonFlag = False) -> None:
    """Show how many events wait to be sent, and for how long the oldest has."""
    from shared import relay

    found = run(ask_each(connected_settings(), lambda _, connection: relay.status(connection)))
    if as_json:
        print_json(found)
    else:
        rows = [[name, one["pending"], f"{one['oldest_seconds']:.1f}"] for name, one in found.items()]
        print_table("outbox", ["service", "pending", "oldest, seconds"], rows)


@outbox.command()
def republish(
    since: Annotated[str, typer.Option(help="A wall instant (2026-01-31T08:00:00+08:00), or an age: 90m, 12h, 7d.")],
    service: ServiceOption = None,
) -> None:
    """Send events again that were written since then, for readers that lost them; who has them ignores them."""
    from shared import relay
    from shared.settings import SERVICES

    instant = parse_since(since)
    wanted = [service_name(service)] if service else list(SERVICES)

    async def again(name: str, connection: Any) -> int:
        return await relay.republish(connection, instant) if name in wanted else 0

    for name, count in run(ask_each(connected_settings(), again)).items():
        if name in wanted:
            typer.echo(f"{name}: {count} events are sent again")


@import_.command()
def shipments(
    file: Annotated[Path, typer.Argument(help="CSV with the columns of a history folder's shipments.csv.")],
    mapping: Annotated[Path | None, typer.Option(help="TOML: other column names, time zone, unit of money.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, send nothing.")] = False,
) -> None:
    """Publish parcels and their charges from a CSV. Safe to repeat; an interrupted import goes on where it stopped.

    Rows that cannot be read are written to FILE.rejected.csv with line and reason, the rest goes in; exit code 3 then.
    """
    from services.cli.importing import import_file

    if import_file(file, mapping, dry_run):
        raise typer.Exit(PARTLY_DONE)


def parse_since(given: str) -> datetime:
    """Return the instant that `--since` means. Raises CommandError for text that is neither an instant nor an age."""
    if given[:-1].isdigit() and given[-1] in SPANS:
        return datetime.now(UTC) - timedelta(**{SPANS[given[-1]]: int(given[:-1])})
    try:
        instant = datetime.fromisoformat(given)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise CommandError(f"{given} is no instant with an offset and no age: 2026-01-31T08:00:00+08:00, 90m, 12h, 7d.", 2)
    return instant
