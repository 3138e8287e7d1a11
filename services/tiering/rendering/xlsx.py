"""A document as a workbook: a sheet per table with working numbers and widths, and native charts.

Rows go to the file as they come (constant memory). Text is written as text whatever it begins with: never a formula, never a
link.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import xlsxwriter

from services.tiering.rendering.document import Chart, Column, Document, Kind, Table
from services.tiering.rendering.figures import NO_DATA, clean, in_unit, known, shortened, shown, width
from services.tiering.rendering.html import chart_table
from shared.clock import SHANGHAI, shanghai

OPTIONS = {
    "constant_memory": True,
    "in_memory": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
FORMATS: dict[Kind, str] = {
    "fen": "#,##0.00",
    "count": "#,##0.##",
    "percent": "0.0##%",
    "day": "yyyy-mm-dd",
    "instant": "yyyy-mm-dd hh:mm:ss",
    "text": "@",
}
LONGEST_CELL = 32_767
MOST_ROWS = 1_000_000
SAMPLED_ROWS = 500
WIDEST = 60
FORBIDDEN = str.maketrans(dict.fromkeys("[]:*?/\\'", " "))
CHARTS = {"bar": "column", "line": "line", "pie": "pie"}
MADE_AT = datetime(2000, 1, 1, tzinfo=SHANGHAI).replace(tzinfo=None)
"""The workbook's own date of making, so that the same document gives the same bytes."""


def render(document: Document) -> bytes:
    """Render a document as XLSX: a cover, a sheet for each chart with its values, a sheet for each table."""
    target = BytesIO()
    book = xlsxwriter.Workbook(target, OPTIONS)
    book.set_properties({"title": shortened(clean(document.title), 200), "created": MADE_AT})
    formats: dict[str, Any] = {kind: book.add_format({"num_format": text}) for kind, text in FORMATS.items()}
    formats["head"] = book.add_format({"bold": True, "bg_color": "#F2F2F2", "bottom": 1, "text_wrap": True})
    names: set[str] = set()
    _cover(book, document, names)
    for section in document.sections:
        for chart in section.charts:
            _chart(book, chart, _sheet_name(f"图 {chart.title}", names), formats)
        for table in section.tables:
            _table(book, table, _sheet_name(table.title, names), formats)
    book.close()
    return target.getvalue()


def _sheet_name(title: str, taken: set[str]) -> str:
    """Return a name that Excel takes: 31 characters at most, none of its signs, used once."""
    base = clean(title).translate(FORBIDDEN).strip() or "表"
    base = "表" if base.lower() == "history" else base
    name, number = base[:31], 1
    while name.lower() in taken:
        number += 1
        name = f"{base[: 31 - len(str(number)) - 1]} {number}"
    taken.add(name.lower())
    return name


def _cover(book: Any, document: Document, names: set[str]) -> None:
    sheet = book.add_worksheet(_sheet_name("说明", names))
    sheet.set_column(0, 0, 100)
    wrap, strong = book.add_format({"text_wrap": True}), book.add_format({"bold": True, "font_size": 14})
    said = [(document.title, strong), (document.subtitle, wrap)]
    for section in document.sections:
        said += [(section.heading, strong), *((paragraph, wrap) for paragraph in section.paragraphs)]
    for row, (text, form) in enumerate([*said, *((note, wrap) for note in document.notes)]):
        sheet.write_string(row, 0, _text(text), form)


def _table(book: Any, table: Table, name: str, formats: dict[str, Any]) -> Any:
    sheet = book.add_worksheet(name)
    for place, (column, wide) in enumerate(zip(table.columns, _widths(table), strict=True)):
        sheet.set_column(place, place, wide)
        sheet.write_string(0, place, _text(_headed(column)), formats["head"])
    sheet.freeze_panes(1, 0)
    kinds = [column.kind for column in table.columns]
    for number, row in enumerate(table.rows[:MOST_ROWS], 1):
        for place, value in enumerate(row):
            _cell(sheet, number, place, value, kinds[place], formats)
    if len(table.rows) > MOST_ROWS:
        sheet.write_string(MOST_ROWS + 1, 0, f"只列出前 {MOST_ROWS:,} 行, 共 {len(table.rows):,} 行; 全部在 CSV 文件中。")
    elif table.rows and table.columns:
        sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
    return sheet


def _cell(sheet: Any, row: int, place: int, value: Any, kind: Kind, formats: dict[str, Any]) -> None:
    value = known(value)
    if value is None:
        sheet.write_string(row, place, NO_DATA)
    elif isinstance(value, int | float | Decimal):
        number = float(value) / 100 if kind == "percent" else in_unit(value, kind)
        sheet.write_number(row, place, number, formats[kind])
    elif isinstance(value, datetime):
        sheet.write_datetime(row, place, shanghai(value).replace(tzinfo=None), formats["instant"])
    elif isinstance(value, date):
        sheet.write_datetime(row, place, value, formats["day"])
    else:
        sheet.write_string(row, place, _text(value), formats["text"])


def _chart(book: Any, chart: Chart, name: str, formats: dict[str, Any]) -> None:
    """Write a chart's values on a sheet, and the chart that reads them there."""
    table = chart_table(chart)
    sheet = _table(book, table, name, formats)
    if not chart.labels or not chart.series:
        return
    drawn = book.add_chart({"type": CHARTS[chart.kind]})
    last = len(chart.labels)
    for place in range(1, len(chart.series) + 1):
        drawn.add_series({"name": [name, 0, place], "categories": [name, 1, 0, last, 0], "values": [name, 1, place, last, place]})
        if chart.kind == "pie":
            break
    drawn.set_title({"name": _title(chart)})
    drawn.set_size({"width": 720, "height": 380})
    sheet.insert_chart(1, len(table.columns) + 1, drawn, {"description": _title(chart)})


def _title(chart: Chart) -> str:
    """Return the title with a wide exclamation mark: `a!B1` would be read as a reference to a cell."""
    return shortened(_text(chart.title), 200).replace("!", "！")


def _headed(column: Column) -> str:
    return f"{column.label} (元)" if column.kind == "fen" else column.label


def _widths(table: Table) -> Sequence[float]:
    """Return widths that show head and figures whole; a Chinese character counts twice."""
    columns = table.columns
    widest = [width(_headed(column)) for column in columns]
    for row in table.rows[:SAMPLED_ROWS]:
        for place, value in enumerate(row):
            widest[place] = max(widest[place], width(shown(value, columns[place].kind)[:200]))
    return [min(max(wide + 2, 8), WIDEST) for wide in widest]


def _text(text: str) -> str:
    """Return text as a cell holds it: Excel knows one way to end a line."""
    return shortened(clean(text).replace("\r\n", "\n").replace("\r", "\n"), LONGEST_CELL)
