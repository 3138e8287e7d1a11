"""What changed since a report was frozen (变更说明): late charges of its months, and the figures that they moved."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import ReportRow, ReportSnapshot
from services.tiering.rendering.document import Document, Section, Table, Value
from services.tiering.reports import listing
from services.tiering.reports.building import figures_of
from services.tiering.reports.material import column
from shared.clock import business_now

MOST_CHANGES = 300
_SHOWN = {"fen": lambda value: f"{value / 100:,.2f}", "percent": lambda value: f"{value} %"}


async def since(session: AsyncSession, report: ReportRow, snapshot: ReportSnapshot) -> Sequence[Mapping[str, Any]]:
    """Return what late charges changed in the months of a report after its snapshot, the greatest first, at most 200 rows."""
    now = await business_now(session)
    figures = await figures_of(session, report, now, ["restated"], snapshot.restated_through)
    return figures.parts["restated"]


async def read_changes(session: AsyncSession, report_id: UUID) -> dict[str, Any]:
    """Return what changed since the newest snapshot of a report; nothing while it is open. Raises NotFound."""
    report = await listing.find(session, report_id)
    snapshot = await listing.newest_snapshot(session, report_id)
    rows = await since(session, report, snapshot) if snapshot is not None else []
    return {
        "report_id": report.report_id,
        "snapshot_id": snapshot.snapshot_id if snapshot is not None else None,
        "frozen_at": snapshot.frozen_at if snapshot is not None else None,
        "change_fen": sum(row["change_fen"] for row in rows),
        "items": list(rows),
    }


def section(before: Document, now: Document, restated: Sequence[Mapping[str, Any]]) -> Section:
    """Return the page that opens a re-issued report: the late charges, and every figure that differs from the one before."""
    late = [[row[name] for name in ("month", "account_no", "branch_code", "charges", "change_fen")] for row in restated]
    figures = [list(change) for change in _differences(before, now)]
    return Section(
        "变更说明 Changed since",
        [
            f"与上一快照相比 {len(figures)} 个数字不同 ({len(figures)} figures differ from the snapshot before)。",
            *([f"只列前 {MOST_CHANGES} 个 (the first {MOST_CHANGES})。"] if len(figures) > MOST_CHANGES else []),
        ],
        [Table("迟到运费 late charges", _LATE, late), Table("变更的数字 changed figures", _FIGURES, figures[:MOST_CHANGES])],
    )


_LATE = [
    column("month", "月份 month"),
    column("account_no", "月结账户 account"),
    column("branch_code", "分部 branch"),
    column("charges", "笔数 charges", "count"),
    column("change_fen", "变化 change", "fen"),
]
_FIGURES = [
    column("table", "表 table"),
    column("row", "行 row"),
    column("column", "列 column"),
    column("before", "原 before"),
    column("now", "现 now"),
]


def _differences(before: Document, now: Document) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield table, row, column and both values of each cell that differs; rows are matched by their texts."""
    known = {(one.heading, table.title): table for one in before.sections for table in one.tables}
    for one in now.sections:
        for table in one.tables:
            was = known.get((one.heading, table.title))
            if was is not None and [item.name for item in was.columns] == [item.name for item in table.columns]:
                yield from _of_table(one.heading, was, table)


def _of_table(heading: str, was: Table, table: Table) -> Iterator[tuple[str, str, str, str, str]]:
    """Compare two tables: rows that stay as they are go first, since an account may stand in a table more than once."""
    same = Counter(map(tuple, was.rows)) & Counter(map(tuple, table.rows))
    rows: dict[str, list[Sequence[Value]]] = defaultdict(list)
    for row in _without(was.rows, same):
        rows[_key(was, row)].append(row)
    name = f"{heading} / {table.title}"
    for row in _without(table.rows, same):
        key = _key(table, row)
        if not rows[key]:
            yield name, key, "", "–", "新增 new"
            continue
        for item, a, b in zip(table.columns, rows[key].pop(0), row, strict=True):
            if a != b:
                yield name, key, item.label, _text(item.kind, a), _text(item.kind, b)
    for key, gone in rows.items():
        for _ in gone:
            yield name, key, "", "删除 gone", "–"


def _without(rows: Iterable[Sequence[Value]], some: Counter[tuple[Value, ...]]) -> Iterator[Sequence[Value]]:
    """Yield the rows but as many of each as are named."""
    left = some.copy()
    for row in rows:
        if left[tuple(row)]:
            left[tuple(row)] -= 1
        else:
            yield row


def _key(table: Table, row: Sequence[Value]) -> str:
    texts = [str(value) for item, value in zip(table.columns, row, strict=True) if item.kind == "text" and value is not None]
    first = texts[:3] if texts else [str(row[0])]
    return " ".join(first)


def _text(kind: str, value: Value) -> str:
    if value is None:
        return "–"
    shown = _SHOWN.get(kind)
    return shown(value) if shown is not None else str(value)
