"""A table as CSV (RFC 4180) that no spreadsheet takes for a formula."""

from collections.abc import Iterable, Iterator, Sequence

from services.tiering.rendering.document import Column, Table, Value
from services.tiering.rendering.figures import plain

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠", "|", "%")
"""What a spreadsheet may take a cell's text for a formula or a command by; the wide forms are read so in East Asia."""
BOM = "\ufeff"
"""Without it Excel reads UTF-8 as the machine's own encoding."""


def render(table: Table) -> str:
    """Render a table, with the names of its columns in the first line."""
    return head(table.columns) + "".join(body(table.columns, table.rows))


def head(columns: Sequence[Column]) -> str:
    """Return the first line."""
    return _line([_safe(column.label) for column in columns])


def body(columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> Iterator[str]:
    """Give the lines of rows one by one, so that they can be streamed. A value that is not known is an empty cell."""
    kinds = [column.kind for column in columns]
    for row in rows:
        yield _line(
            [_safe(value) if isinstance(value, str) else plain(value, kind) for value, kind in zip(row, kinds, strict=True)]
        )


def _line(cells: Sequence[str]) -> str:
    return ",".join(map(_quoted, cells)) + "\r\n"


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell


def _safe(text: str) -> str:
    """Return text with an apostrophe before it where it could be taken for a formula; numbers never come here."""
    cleaned = plain(text, "text")
    return f"'{cleaned}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else cleaned
