"""A document as PDF: typeset by typst in this process, with a Chinese font out of the wheel `mplfonts` and no other.

Fonts of the machine are not looked at, so the same document looks the same everywhere, and has the same bytes. Long tables are
cut, with a note saying so: paper is read, and the whole table is in the XLSX and the CSV.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

import typst

from services.tiering.rendering.document import Document, Section, Table
from services.tiering.rendering.figures import NUMERIC, clean, shortened, shown, width
from services.tiering.rendering.html import chart_table
from services.tiering.rendering.svg import draw

MOST_CELLS = 6_000
"""Cells of all tables together: some 500 rows of 12, 40 pages; each cell costs 20 kB while the page is set (measured)."""
LEAST_ROWS = 20
LONGEST_CELL = 200
LONGEST_PARAGRAPH = 5_000
WIDE_FROM = 7
"""From this number of columns on, pages lie on their side."""


def render(document: Document) -> bytes:
    """Render a document as PDF. The same document gives the same bytes."""
    tables = [table for section in document.sections for table in section.tables]
    said = {
        "title": clean(document.title),
        "subtitle": clean(document.subtitle),
        "notes": [_paragraph(note) for note in document.notes],
        "wide": any(len(table.columns) >= WIDE_FROM for table in tables),
        "sections": list(_sections(document)),
    }
    made = typst.compile(
        files(__package__).joinpath("page.typ").read_bytes(),
        format="pdf",
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"document": json.dumps(said, ensure_ascii=False)},
        timestamp=0,
    )
    assert isinstance(made, bytes)
    return made


@cache
def _fonts() -> typst.Fonts:
    """Return the fonts of the wheel; the files are mapped, not read."""
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(files("mplfonts").joinpath("fonts"))]
    )


def _sections(document: Document) -> Iterator[dict[str, Any]]:
    numbers, left = count(1), MOST_CELLS
    for section in document.sections:
        tables = []
        for table in (*_beside(section), *section.tables):
            rows = max(LEAST_ROWS, left // max(len(table.columns), 1))
            tables.append(_table(table, rows))
            left = max(0, left - min(rows, len(table.rows)) * len(table.columns))
        yield {
            "heading": clean(section.heading),
            "paragraphs": [_paragraph(paragraph) for paragraph in section.paragraphs],
            "charts": [{"title": clean(chart.title), "svg": draw(chart, next(numbers))} for chart in section.charts],
            "tables": tables,
        }


def _beside(section: Section) -> Sequence[Table]:
    """Return the tables of the charts, where the section has no table of its own that could hold them."""
    return () if section.tables else [chart_table(chart) for chart in section.charts]


def _table(table: Table, most_rows: int) -> dict[str, Any]:
    rows = table.rows[:most_rows]
    kinds = [column.kind for column in table.columns]
    cells = [[shortened(shown(value, kind), LONGEST_CELL) for value, kind in zip(row, kinds, strict=True)] for row in rows]
    heads = [f"{column.label} (元)" if column.kind == "fen" else column.label for column in table.columns]
    heads = [shortened(clean(head), LONGEST_CELL) for head in heads]
    cut = f"这里只列出前 {len(rows):,} 行, 共 {len(table.rows):,} 行; 全部在 XLSX 和 CSV 文件中。"
    return {
        "title": clean(table.title),
        "heads": heads,
        "numeric": [kind in NUMERIC for kind in kinds],
        "widths": [max(3, min(24, max(width(line[place]) for line in (heads, *cells[:100])))) for place in range(len(kinds))],
        "cells": [cell for row in cells for cell in row],
        "note": cut if len(rows) < len(table.rows) else "",
    }


def _paragraph(text: str) -> str:
    return shortened(clean(text), LONGEST_PARAGRAPH)
