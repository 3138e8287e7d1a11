"""Making the files of exports (导出作业): in the worker, one after the other, in the scope of whoever asked.

The worker itself sees every row. A report is therefore read over a connection of the web's role, which row-level security binds
to the asker's unit, just as if the asker had waited for it. Rows are streamed; a CSV is written as they come, the other formats
need all rows and are bounded. An export that its worker did not finish is taken up again after its lease, three times at most.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.designer.compile import Compiled, compiled
from services.tiering.designer.definition import Definition
from services.tiering.designer.exports import KEPT
from services.tiering.designer.running import cell_row, columns, document, rows_read
from services.tiering.designer.saved import definition_of
from services.tiering.models import Export, ExportPart
from services.tiering.rendering import csv, html, json, pdf, xlsx
from services.tiering.rendering.document import Document
from shared.db import Database, Scope, is_infrastructure
from shared.kernel.tables import units
from shared.months import business_month
from shared.problems import Problem

POLL_SECONDS = 1.0
CHUNK_ROWS = 2_000
PART_BYTES = 1_000_000
MOST_ROWS = {"csv": 2_000_000, "xlsx": 300_000, "json": 300_000, "html": 100_000, "pdf": 100_000}
MOST_ATTEMPTS = 3
LEASE = "5 minutes"
RENDER: dict[str, Callable[[Document], str | bytes]] = {
    "xlsx": xlsx.render,
    "pdf": pdf.render,
    "html": html.render,
    "json": json.render,
}
log = structlog.get_logger(__name__)


class Failed(Exception):  # noqa: N818 - says what happened
    """Why an export can never be made, in one sentence for whoever asked."""


async def make_exports(database: Database) -> None:
    """Make what is asked for, for ever; outages are waited out."""
    web = Database(database.service, database.url, "web", 1)
    try:
        while True:
            try:
                busy = await make_next(database, web)
            except Exception as error:
                log.error("export_interrupted", error=repr(error), exc_info=error)
                busy = False
            if not busy:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await web.close()


async def make_next(database: Database, web: Database) -> bool:
    """Make the export that has waited longest; False where none waits."""
    if await database.hot.row(_WAITING) is None:
        return False
    async with database.transaction() as session:
        row = (await session.execute(_CLAIM)).first()
        if row is None:
            return False
        export = await session.get_one(Export, row.export_id)
        root = (await session.execute(select(units.c.unit_code).where(units.c.kind == "hq"))).scalar()
        await session.execute(_FORGET_PARTS, {"export_id": export.export_id})
    try:
        if export.attempts > MOST_ATTEMPTS:
            raise Failed("It was begun three times and never finished.")
        await _make(database, web, export, Scope(export.unit_code, None, export.unit_code == root))
    except (Failed, Problem) as reason:
        await _finish(database, export, "failed", problem=str(reason))
    except Exception as error:
        if is_infrastructure(error) and export.attempts < MOST_ATTEMPTS:
            raise
        log.error("export_failed", export_id=str(export.export_id), error=repr(error), exc_info=error)
        await _finish(database, export, "failed", problem="It could not be made; the log says why.")
    return True


async def _make(database: Database, web: Database, export: Export, scope: Scope) -> None:
    definition = definition_of(export.content)
    report = compiled(definition, export.about_unit, business_month(export.requested_at))
    async with web.transaction(scope) as session:
        await session.execute(_PATIENCE)
        expected = await rows_read(session, report.statement)
        rows = _rows(session, database, export, report, expected)
        pieces = _csv(report, rows) if export.format == "csv" else _rendered(export, definition, report, rows)
        size, digest = await _store(database, export, pieces)
    await _finish(database, export, "done", size=size, sha256=digest)


async def _rows(
    session: AsyncSession, database: Database, export: Export, report: Compiled, expected: int
) -> AsyncIterator[Sequence[Sequence[Any]]]:
    """Stream the rows in chunks, and tell how far it is."""
    done, most = 0, MOST_ROWS[export.format]
    await _progress(database, export, 0, expected)
    result = await session.stream(report.statement)
    async for chunk in result.partitions(CHUNK_ROWS):
        done += len(chunk)
        if done > most:
            raise Failed(f"It has more than {most:,} rows, the most a {export.format} file may have: ask for CSV, or for less.")
        await _progress(database, export, done, max(expected, done))
        yield [tuple(row) for row in chunk]


async def _csv(report: Compiled, rows: AsyncIterator[Sequence[Sequence[Any]]]) -> AsyncIterator[bytes]:
    heads = columns(report)
    yield (csv.BOM + csv.head(heads)).encode()
    async for chunk in rows:
        yield "".join(csv.body(heads, [cell_row(report, row) for row in chunk])).encode()


async def _rendered(
    export: Export, definition: Definition, report: Compiled, rows: AsyncIterator[Sequence[Sequence[Any]]]
) -> AsyncIterator[bytes]:
    made = document(export.name, definition, export.about_unit, report, [row async for chunk in rows for row in chunk])
    content = await asyncio.to_thread(RENDER[export.format], made)
    yield content.encode() if isinstance(content, str) else content


async def _store(database: Database, export: Export, pieces: AsyncIterator[bytes]) -> tuple[int, str]:
    """Keep the bytes in parts of about a megabyte; return their number and checksum."""
    digest, size, part, waiting = hashlib.sha256(), 0, 0, b""
    async for piece in pieces:
        digest.update(piece)
        size += len(piece)
        waiting += piece
        while len(waiting) >= PART_BYTES:
            await _store_part(database, export, part, waiting[:PART_BYTES])
            part, waiting = part + 1, waiting[PART_BYTES:]
    await _store_part(database, export, part, waiting)
    return size, digest.hexdigest()


async def _store_part(database: Database, export: Export, part: int, content: bytes) -> None:
    async with database.transaction() as session:
        session.add(ExportPart(export_id=export.export_id, part=part, unit_code=export.unit_code, content=content))


async def _progress(database: Database, export: Export, done: int, expected: int) -> None:
    async with database.transaction() as session:
        await session.execute(_PROGRESS, {"export_id": export.export_id, "done": done, "expected": expected})


async def _finish(database: Database, export: Export, state: str, **more: Any) -> None:
    values = {"size": None, "sha256": None, "problem": None, **more}
    async with database.transaction() as session:
        if state == "failed":
            await session.execute(_FORGET_PARTS, {"export_id": export.export_id})
        await session.execute(_FINISH, {"export_id": export.export_id, "state": state, "kept": KEPT, **values})


_WAITING = "SELECT 1 FROM exports WHERE state = 'waiting' OR (state = 'running' AND lease_until < clock_timestamp()) LIMIT 1"
"""Looked at once a second by every worker: one statement, outside of any transaction."""
_CLAIM = text(f"""
UPDATE exports SET state = 'running', attempts = attempts + 1, rows_done = 0, started_at = business_now(),
                   lease_until = clock_timestamp() + interval '{LEASE}'
WHERE export_id = (
    SELECT export_id FROM exports
    WHERE state = 'waiting' OR (state = 'running' AND lease_until < clock_timestamp())
    ORDER BY requested_at, export_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING export_id""")
_FORGET_PARTS = text("DELETE FROM export_parts WHERE export_id = :export_id")
_PATIENCE = text(
    "SELECT set_config('statement_timeout', '300s', true), set_config('idle_in_transaction_session_timeout', '300s', true)"
)
_PROGRESS = text(f"""
UPDATE exports SET rows_done = :done, rows_expected = :expected, lease_until = clock_timestamp() + interval '{LEASE}'
WHERE export_id = :export_id""")
_FINISH = text("""
UPDATE exports SET state = :state, finished_at = business_now(), expires_at = business_now() + CAST(:kept AS interval),
                   size = :size, sha256 = :sha256, problem = :problem, lease_until = NULL
WHERE export_id = :export_id""")
