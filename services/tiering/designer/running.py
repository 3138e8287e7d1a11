"""Answering a report (出数): at once where that is cheap, as a document with table and chart; else it has to become a job.

How much a report reads is asked of the planner before it runs. What the planner missed is ended by the time a request may take.
"""

import json as stdlib_json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Select, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement

from services.tiering.designer import exports
from services.tiering.designer.compile import Compiled, Output, compiled
from services.tiering.designer.datasets import DATASETS
from services.tiering.designer.definition import Definition
from services.tiering.designer.fields import NUMBERS, cell_kind, shown_value
from services.tiering.designer.saved import definition_of, read_definition
from services.tiering.rendering import json
from services.tiering.rendering.document import Chart, ChartKind, Column, Document, Section, Table
from shared.clock import business_now
from shared.db import Scope
from shared.months import business_month
from shared.problems import Conflict

MOST_READ = 2_000_000
"""Rows that a report may read while its caller waits."""
MOST_SHOWN = 2_000
"""Rows that an answer holds; a file holds all."""
CANCELLED = "57014"


class Explain(Executable, ClauseElement):
    """What the planner thinks of a statement."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(Explain)
def _explain(element: Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


async def rows_read(session: AsyncSession, statement: Select[Any]) -> int:
    """Return how many rows the planner expects a statement to read at its widest place."""
    # Wrapped, so that the plan is not taken for the report's first column.
    found = (await session.execute(Explain(select(func.count()).select_from(statement.subquery())))).scalar_one()
    plans = stdlib_json.loads(found) if isinstance(found, str) else found
    return int(max(_widest(plan["Plan"]) for plan in plans))


def _widest(plan: Mapping[str, Any]) -> float:
    below = max((_widest(inner) for inner in plan.get("Plans", ())), default=0.0)
    return max(float(plan["Plan Rows"]), below)


async def run(session: AsyncSession, scope: Scope, actor: str, definition_id: UUID, unit: str) -> dict[str, Any]:
    """Answer a saved report about a unit at once, or ask for an export of it where it reads too much for that."""
    saved = await read_definition(session, scope, actor, definition_id)
    found = await answer(session, saved.name, definition_of(saved.content), unit)
    export = await exports.ask(session, scope, actor, definition_id, unit) if found is None else None
    return {
        "definition_id": saved.definition_id,
        "definition_version": saved.version,
        "state": "waiting" if found is None else "done",
        "document": found and json.plain(found),
        "export": export,
    }


async def answer(session: AsyncSession, name: str, definition: Definition, unit: str) -> Document | None:
    """Answer a report at once; None where it reads too much for that. Raises Invalid, or Conflict where it took too long."""
    this_month = business_month(await business_now(session))
    report = compiled(definition, unit, this_month, MOST_SHOWN + 1)
    if await rows_read(session, report.statement) > MOST_READ:
        return None
    try:
        rows = (await session.execute(report.statement)).all()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != CANCELLED:
            raise
        raise Conflict("report-too-slow", "The report takes longer than a request may: ask for an export of it.") from error
    return document(name, definition, unit, report, [tuple(row) for row in rows[:MOST_SHOWN]], len(rows) > MOST_SHOWN)


def document(
    name: str, definition: Definition, unit: str, report: Compiled, rows: Sequence[Sequence[Any]], cut: bool = False
) -> Document:
    """Put the rows of a report into a document with its table and its chart."""
    dataset = DATASETS[definition.dataset]
    cells = [cell_row(report, row) for row in rows]
    notes = [f"数据集: {dataset.label}; 单位: {unit} 及其下属; 期间: {report.period_text}。"]
    notes += [f"只列出前 {len(rows)} 行; 全部请导出。"] if cut else []
    charts = _charts(name, definition, report.columns, cells)
    return Document(
        name,
        f"{dataset.label} · {unit} · {report.period_text}",
        notes,
        [Section(name, (), [Table(name, columns(report), cells)], charts)],
    )


def columns(report: Compiled) -> list[Column]:
    """Return the columns of a report as a document has them."""
    return [Column(one.name, one.label, cell_kind(one.kind)) for one in report.columns]


def cell_row(report: Compiled, row: Sequence[Any]) -> tuple[Any, ...]:
    """Return one row of the database as cells."""
    return tuple(shown_value(output.kind, value) for output, value in zip(report.columns, row, strict=True))


def _charts(name: str, definition: Definition, outputs: Sequence[Output], cells: Sequence[Sequence[Any]]) -> list[Chart]:
    groups = len(definition.group)
    first = outputs[groups]
    if definition.chart == "table" or not groups or not cells or first.kind not in NUMBERS:
        return []
    kind: ChartKind = definition.chart
    if groups == 2 and kind != "pie":
        return [_pivoted(name, kind, first, cells)]
    alike = [place for place in range(groups, len(outputs)) if outputs[place].kind == first.kind]
    labels = [" · ".join(_label(value) for value in row[:groups]) for row in cells]
    series = {outputs[place].label: [row[place] for row in cells] for place in alike}
    return [Chart(kind, name, labels, series, cell_kind(first.kind))]


def _pivoted(name: str, kind: ChartKind, measure: Output, cells: Sequence[Sequence[Any]]) -> Chart:
    """Draw the second group as series over the first, its first measure as the value."""
    labels = list(dict.fromkeys(_label(row[0]) for row in cells))
    values = {(_label(row[0]), _label(row[1])): row[2] for row in cells}
    names = list(dict.fromkeys(_label(row[1]) for row in cells))
    series = {one: [values.get((label, one)) for label in labels] for one in names}
    return Chart(kind, name, labels, series, cell_kind(measure.kind))


def _label(value: Any) -> str:
    return "无数据" if value is None else value.isoformat() if isinstance(value, date) else str(value)
