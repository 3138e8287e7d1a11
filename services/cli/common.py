"""What several commands need: settings of the running suite, its databases, output for people and machines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    import asyncpg

    from shared.settings import Settings

T = TypeVar("T")
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
PARTLY_DONE = 3


class CommandError(Exception):
    """A command cannot be done; one sentence, and the exit code (1: not now, 2: asked wrongly)."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def connected_settings() -> Settings:
    """Return the settings, completed by where the suite of this directory runs.

    Raises CommandError when a setting is wrong.
    """
    from shared.local.workplace import Workplace
    from shared.settings import SettingsError, load_settings

    try:
        settings = load_settings()
        given = Workplace(settings.local).read_state().get("settings", {})
        return load_settings(**{name: value for name, value in given.items() if getattr(settings, name) is None})
    except SettingsError as error:
        raise CommandError(str(error), 2) from None


def service_name(name: str) -> str:
    """Return the name of a service. Raises CommandError with the known ones for any other."""
    from shared.settings import SERVICES

    if name not in SERVICES:
        raise CommandError(f"There is no service {name}: choose one of {', '.join(SERVICES)}.", 2)
    return name


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; servers that are away are one sentence, not a traceback."""
    from shared.db import is_infrastructure
    from shared.settings import SettingsError

    try:
        return asyncio.run(work)
    except SettingsError as error:
        raise CommandError(f"{error} Is the suite running (make run)?") from None
    except Exception as error:
        if not is_infrastructure(error):
            raise
        raise CommandError("The suite does not answer; is it running (make run)?") from error


async def ask_each(settings: Settings, ask: Callable[[str, asyncpg.Connection], Awaitable[T]]) -> dict[str, T]:
    """Ask the database of every service in its worker's role."""
    from shared.settings import SERVICES

    return {name: await ask_one(settings, name, ask) for name in SERVICES}


async def ask_one(settings: Settings, service: str, ask: Callable[[str, asyncpg.Connection], Awaitable[T]]) -> T:
    """Ask the database of one service in its worker's role."""
    import asyncpg

    connection = await asyncpg.connect(
        settings.database_url(service), server_settings={"role": f"{service}_worker"}, ssl=None, timeout=5
    )
    try:
        return await ask(service, connection)
    finally:
        await connection.close()


def print_json(value: Any) -> None:
    """Print one JSON document; instants with the offset of the business, +08:00."""
    from shared.clock import shanghai

    def encode(other: object) -> str:
        return shanghai(other).isoformat() if isinstance(other, datetime) else str(other)

    typer.echo(json.dumps(value, ensure_ascii=False, default=encode))


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table for people; instants to the second, in the business's zone.

    Text is folded between words to the width of the terminal, never within one: an id that was cut could not be copied.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    from shared.clock import shanghai

    def shown(cell: Any) -> str:
        if isinstance(cell, datetime):
            return shanghai(cell).isoformat(" ", "seconds").removesuffix("+08:00")
        return "" if cell is None else str(cell)

    def longest_word(column: Iterable[str]) -> int:
        return max((cell_len(word) for cell in column for word in cell.split()), default=1)

    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [longest_word(column) for column in zip(columns, *cells, strict=True)]
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, min_width=width, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console()
    console.print(table, width=max(console.width, sum(widths) + 3 * len(widths) + 1), crop=False)
