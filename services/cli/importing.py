"""`crm import shipments` and `crm simulate` at work: progress while they run, one sentence at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from services.cli.common import CommandError, ask_one, connected_settings, run
from shared.clock import business_date, wall_now
from shared.history.csv_files import HistoryError
from shared.history.mapping import ColumnMapping, read_mapping
from shared.history.parcels import Dated
from shared.history.shipment_import import ImportProgress, ImportResult, import_shipments
from shared.history.simulate import simulate
from shared.kafka import Publisher
from shared.settings import Settings
from shared.windows import messages_of

ERRORS = Console(stderr=True)


def import_file(file: Path, mapping: Path | None, dry_run: bool) -> int:
    """Import a parcels file; returns how many rows were rejected. Raises CommandError where it cannot be used at all."""
    try:
        columns = read_mapping(mapping) if mapping else None
        result = run(_import(file, columns, dry_run))
    except HistoryError as refusal:
        raise CommandError(str(refusal), 2) from None
    counts = result.counts
    verb = "would be" if dry_run else "were"
    typer.echo(f"{counts.parcels:,} parcels of {counts.rows:,} rows, {counts.events:,} events {verb} published")
    if counts.rejected:
        for line, reason in result.first_rejections:
            ERRORS.print(f"line {line}: {reason}", highlight=False, markup=False)
        place = f"; they are in {result.rejected_file}" if result.rejected_file else ""
        ERRORS.print(f"{counts.rejected:,} rows could not be read{place}", highlight=False, markup=False)
    return counts.rejected


async def _import(file: Path, mapping: ColumnMapping | None, dry_run: bool) -> ImportResult:
    with Progress(console=ERRORS, disable=not ERRORS.is_terminal) as bar:
        task = bar.add_task(file.name, total=None)

        def show(step: ImportProgress) -> None:
            bar.update(task, completed=step.bytes_done, total=step.bytes_total)

        if dry_run:
            return await import_shipments(file, _send_nothing, mapping=mapping, dry_run=True, on_progress=show)
        settings = connected_settings()
        publisher = Publisher(settings.bootstrap())

        async def send(batch: Sequence[Dated]) -> None:
            await publisher.send(messages_of(batch))

        try:
            known = await _branch_codes(settings)
            return await import_shipments(file, send, mapping=mapping, branch_codes=known, on_progress=show)
        finally:
            await publisher.close()


async def _send_nothing(_batch: Sequence[Dated]) -> None:
    return


async def _branch_codes(settings: Settings) -> list[str]:
    rows = await ask_one(
        settings, "customer", lambda _, connection: connection.fetch("SELECT unit_code FROM units WHERE kind = 'branch'")
    )
    return [row["unit_code"] for row in rows]


def simulate_folder(folder: Path, accounts: int, months: int, seed: int) -> None:
    """Write a simulated history folder with a progress bar. Raises CommandError where it cannot be written."""
    with Progress(console=ERRORS, disable=not ERRORS.is_terminal) as bar:
        task = bar.add_task("simulating", total=months)
        try:
            simulate(
                folder,
                business_date(wall_now()),
                accounts=accounts,
                months=months,
                seed=seed,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except HistoryError as refusal:
            raise CommandError(str(refusal), 2) from None
    typer.echo(f"simulated history of {accounts:,} accounts and {months} months: {folder}")
