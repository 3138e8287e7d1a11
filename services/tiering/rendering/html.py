"""A document as one page (网页): no script, nothing loaded from elsewhere, readable on paper and by a screen reader."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import count

from services.tiering.rendering.document import Chart, Column, Document, Section, Table, Value
from services.tiering.rendering.figures import NUMERIC, clean, shown
from services.tiering.rendering.svg import draw

STYLE = """
body{font:14px/1.5 "Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;color:#222}
body{max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.2em}h2{font-size:1.25em;border-bottom:1px solid #bbb;margin-top:2em}
.subtitle,.notes{color:#555}table{border-collapse:collapse;margin:1em 0;width:100%}
caption{text-align:left;font-weight:bold;padding:.3em 0}th,td{border:1px solid #ccc;padding:.25em .5em;text-align:left}
th{background:#f2f2f2}.n{text-align:right;font-variant-numeric:tabular-nums}.none{color:#777}td{overflow-wrap:anywhere}
figure{margin:1em 0}figcaption{font-weight:bold}svg{max-width:100%;height:auto}
@media print{body{margin:0;max-width:none;font-size:10pt}h2{break-after:avoid}tr,figure{break-inside:avoid}
thead{display:table-header-group}@page{size:A4;margin:15mm}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(document: Document) -> str:
    """Render a document as a page that needs nothing else."""
    return "".join(pieces(document))


def pieces(document: Document) -> Iterator[str]:
    """Give the page piece by piece, so that a long one need not be held as a whole."""
    title = _text(document.title)
    yield (
        '<!DOCTYPE html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>\n<body>'
        f'<header><h1>{title}</h1><p class="subtitle">{_text(document.subtitle)}</p></header>\n<main>'
    )
    numbers = count(1)
    for section in document.sections:
        yield from _section(section, numbers)
    yield "</main>"
    if document.notes:
        yield f'\n<footer class="notes"><h2>说明</h2>{_paragraphs(document.notes)}</footer>'
    yield "</body></html>\n"


def _section(section: Section, numbers: Iterator[int]) -> Iterator[str]:
    yield f"\n<section><h2>{_text(section.heading)}</h2>{_paragraphs(section.paragraphs)}"
    for chart in section.charts:
        yield _figure(chart, next(numbers))
        yield "<details open><summary>数据</summary>"
        yield from _table(chart_table(chart))
        yield "</details>"
    for table in section.tables:
        yield from _table(table)
    yield "</section>"


def chart_table(chart: Chart) -> Table:
    """Return a chart's values as the table that stands beside it."""
    columns = (Column("label", "项目"), *(Column(f"s{n}", name, chart.unit) for n, name in enumerate(chart.series)))
    rows = [(label, *(values[place] for values in chart.series.values())) for place, label in enumerate(chart.labels)]
    return Table(chart.title, columns, rows)


def _figure(chart: Chart, number: int) -> str:
    return f"<figure><figcaption>{_text(chart.title)}</figcaption>{draw(chart, number)}</figure>"


def _table(table: Table) -> Iterator[str]:
    heads = "".join(f'<th scope="col"{_class(column)}>{_text(_headed(column))}</th>' for column in table.columns)
    yield f"<table><caption>{_text(table.title)}</caption><thead><tr>{heads}</tr></thead><tbody>\n"
    for row in table.rows:
        yield f"<tr>{''.join(map(_cell, row, table.columns))}</tr>\n"
    yield "</tbody></table>"


def _headed(column: Column) -> str:
    return f"{column.label} (元)" if column.kind == "fen" else column.label


def _class(column: Column) -> str:
    return ' class="n"' if column.kind in NUMERIC else ""


def _cell(value: Value, column: Column) -> str:
    css = ' class="n none"' if value is None else _class(column)
    return f"<td{css}>{escape(shown(value, column.kind))}</td>"


def _paragraphs(paragraphs: Sequence[str]) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>" for paragraph in paragraphs)


def _text(text: str) -> str:
    return escape(clean(text))
