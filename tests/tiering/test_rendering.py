"""Documents as HTML, PDF, XLSX, CSV and JSON: what they hold, and what five hundred hostile texts do to them: nothing."""

import csv as csv_module
import json as json_module
import re
import socket
import subprocess
import sys
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO, StringIO
from typing import Any
from xml.etree import ElementTree

import openpyxl
import pytest
from openpyxl.utils.escape import unescape
from pypdf import PdfReader

from services.tiering.rendering import csv, figures, html, json, pdf, svg, xlsx
from services.tiering.rendering.document import Chart, Column, Document, Section, Table
from tests.tiering.hostile_text import HOSTILE
from tests.tiering.make import at

COLUMNS = (
    Column("account_no", "月结账号"),
    Column("amount", "运费", "fen"),
    Column("charges", "票数", "count"),
    Column("share", "占比", "percent"),
    Column("opened_on", "开户日", "day"),
    Column("at", "时间", "instant"),
)
ROW = ("客户甲", -123_456, 7, Decimal("12.5"), date(2018, 3, 1), at("2018-04-01", "00:30:00"))
UNKNOWN = ("客户乙", None, None, None, None, None)


def document(*rows: Any, charts: tuple[Chart, ...] = ()) -> Document:
    return Document(
        "青岛区月结客户季度报告",
        "2018-Q1 Quarterly report",
        ("运费按账务月计。",),
        (Section("户均金额", ("一段话 a paragraph",), (Table("明细", COLUMNS, rows or (ROW, UNKNOWN)),), charts),),
    )


BAR = Chart("bar", "运费走势", ("1月", "2月", "3月"), {"青岛区": (100, None, 300), "<b>": (-50, 0, 20)}, "fen")
LINE = Chart("line", "折线", ("1月", "2月", "3月"), {"甲": (1, None, 3)})
PIE = Chart("pie", "层级占比", ("VIP", "重点", "一般"), {"运费": (50, 30, None)}, "fen")


def workbook(content: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(content))


def pdf_text(content: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)


class Page(HTMLParser):
    """The tags of a page, and the text of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "td":
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


@pytest.mark.row("T-56")
def test_a_cell_is_written_for_people_and_for_machines() -> None:
    cases = [
        (123_456, "fen", "1,234.56", "1234.56"), (-5, "fen", "-0.05", "-0.05"),
        (-123_456_789, "fen", "-1,234,567.89", "-1234567.89"),
        (Decimal("150.5"), "fen", "1.51", "1.51"), (0, "fen", "0.00", "0.00"), (1_234_567, "count", "1,234,567", "1234567"),
        (Decimal("12.50"), "percent", "12.5%", "12.5"), (-0.001, "percent", "0%", "0"), (None, "fen", "无数据", ""),
        (float("nan"), "count", "无数据", ""), (float("inf"), "fen", "无数据", ""), ("合计", "fen", "合计", "合计"),
        (date(2018, 3, 1), "day", "2018-03-01", "2018-03-01"),
        (at("2018-03-01", "08:00:00"), "instant", "2018-03-01 08:00:00", "2018-03-01 08:00:00"),
    ]  # fmt: skip
    for value, kind, people, machines in cases:
        assert (figures.shown(value, kind), figures.plain(value, kind)) == (people, machines), value  # type: ignore[arg-type]


def test_a_row_or_series_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="明细"):
        document(("one", 1))
    with pytest.raises(ValueError, match="chart"):
        Chart("bar", "x", ("a",), {"s": (1, 2)})


@pytest.mark.row("T-56")
def test_the_page_has_charts_with_their_tables_and_no_script() -> None:
    made = html.render(document(charts=(BAR, LINE, PIE)))
    page = Page(made)
    assert not page.tags & {"script", "img", "link", "iframe", "object", "b"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "href")}
    assert made.count("<svg") == 3
    assert made.count("<title id=") == 3
    assert '<th scope="col" class="n">运费 (元)</th>' in made
    assert "@media print" in made
    assert page.cells[:3] == ["1月", "1.00", "-0.50"]
    assert page.cells[-12:] == [
        "客户甲",
        "-1,234.56",
        "7",
        "12.5%",
        "2018-03-01",
        "2018-04-01 00:30:00",
        "客户乙",
        *["无数据"] * 5,
    ]


@pytest.mark.row("T-56")
def test_charts_are_drawn_to_scale_and_a_gap_is_no_fall_to_zero() -> None:
    drawn = ElementTree.fromstring(svg.draw(BAR))
    space = "{http://www.w3.org/2000/svg}"
    bars = [one for one in drawn.iter(f"{space}rect") if one.get("fill") == svg.COLOURS[0] and one.get("width") != "12"]
    heights = [float(one.get("height", "0")) for one in bars]
    assert len(heights) == 2, "no bar where nothing is known"
    assert heights[1] / heights[0] == pytest.approx(3, rel=0.01)
    line = ElementTree.fromstring(svg.draw(LINE))
    assert len(list(line.iter(f"{space}polyline"))) == 2, "the line is split at the gap"
    pie = ElementTree.fromstring(svg.draw(PIE))
    assert len(list(pie.iter(f"{space}path"))) == 2
    assert "62.5%" in svg.draw(PIE)
    assert "37.5%" in svg.draw(PIE)
    assert figures.NO_DATA in svg.draw(Chart("pie", "x", ("a", "b"), {"s": (0, None)}))
    assert figures.NO_DATA in svg.draw(Chart("line", "x", (), {}))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 1), (-3, 7), (0, 123_456_789), (0.001, 0.002), (-5, -1), (10**15, 10**15 + 1)]
)
def test_ticks_span_the_values_and_hold_zero(low: float, high: float) -> None:
    found = svg.ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high * (1 - 1e-9)
    assert 0 in found
    assert 2 <= len(found) <= 13


@pytest.mark.row("T-56")
def test_the_pdf_prints_chinese_with_its_own_font_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No font of the machine, nothing from the network: the same bytes again."""
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("the network was asked"))
    made = pdf.render(document(charts=(BAR, PIE)))
    assert made == pdf.render(document(charts=(BAR, PIE)))
    reader = PdfReader(BytesIO(made))
    said = pdf_text(made)
    for words in ("青岛区月结客户季度报告", "户均金额", "客户甲", "-1,234.56", "无数据", "运费走势", "VIP"):
        assert words in said, words
    fonts = {font["/BaseFont"] for page in reader.pages for font in _fonts(page)}
    assert fonts
    assert all("NotoSansCJKsc" in font for font in fonts), fonts


def _fonts(page: Any) -> list[Any]:
    found, waiting = [], [page["/Resources"]]
    while waiting:
        resources = waiting.pop().get_object()
        found += [font.get_object() for font in resources.get("/Font", {}).values()]
        waiting += [
            one.get_object()["/Resources"] for one in resources.get("/XObject", {}).values() if "/Resources" in one.get_object()
        ]
    return found


@pytest.mark.row("T-56")
def test_the_workbook_has_numbers_widths_and_native_charts() -> None:
    book = workbook(xlsx.render(document(charts=(BAR, LINE, PIE))))
    assert book.sheetnames == ["说明", "图 运费走势", "图 折线", "图 层级占比", "明细"]
    sheet = book["明细"]
    first = [cell.value for cell in sheet[2]]
    assert first[:4] == ["客户甲", -1234.56, 7, 0.125]
    assert [cell.number_format for cell in sheet[2]][1:4] == ["#,##0.00", "#,##0.##", "0.0##%"]
    assert sheet.column_dimensions["A"].width >= 10, "four Chinese characters take eight columns and some room"
    assert [cell.value for cell in sheet[3]] == ["客户乙", *[figures.NO_DATA] * 5]
    assert [len(book[name]._charts) for name in book.sheetnames] == [0, 1, 1, 1, 0]
    assert book["图 运费走势"]["B2"].value == 1


def test_sheets_with_the_same_or_impossible_titles() -> None:
    tables = [
        Table(title, (Column("a", "a"),), [("x",)]) for title in ("History", "history", "a/b:c*[d]?", "", "长" * 40, "长" * 40)
    ]
    book = workbook(xlsx.render(Document("d", sections=(Section("s", tables=tables),))))
    assert book.sheetnames == ["说明", "表", "表 2", "a b c  d", "表 3", "长" * 31, f"{'长' * 29} 2"]


@pytest.mark.row("T-56")
def test_csv_is_rfc_4180_and_negative_numbers_stay_numbers() -> None:
    made = csv.render(Table("t", COLUMNS, (ROW, ('a,"b"\r\n', None, 0, None, None, None))))
    assert made.count("\r\n") == 4, "one in the quoted cell"
    found = list(csv_module.reader(StringIO(made, newline="")))
    assert found == [
        ["月结账号", "运费", "票数", "占比", "开户日", "时间"],
        ["客户甲", "-1234.56", "7", "12.5", "2018-03-01", "2018-04-01 00:30:00"],
        ['a,"b"\r\n', "", "0", "", "", ""],
    ]


@pytest.mark.row("T-56")
def test_no_text_of_a_csv_is_taken_for_a_formula() -> None:
    for sign in ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%", "\t", "\r", "\n", " =", "\u3000-"):
        table = Table("t", (Column("a", f"{sign}1"), Column("n", "n", "count")), [(f"{sign}1+1", -1)])
        found = list(csv_module.reader(StringIO(csv.render(table), newline="")))
        assert found == [[f"'{sign}1", "n"], [f"'{sign}1+1", "-1"]], sign


@pytest.mark.row("T-56")
def test_json_holds_the_values_themselves() -> None:
    found = json_module.loads(json.render(document(charts=(LINE,))))
    assert found["sections"][0]["tables"][0]["rows"] == [
        ["客户甲", -123_456, 7, 12.5, "2018-03-01", "2018-04-01T00:30:00+08:00"],
        ["客户乙", None, None, None, None, None],
    ]
    assert found["sections"][0]["charts"][0]["series"] == {"甲": [1, None, 3]}


def test_a_document_read_from_json_is_rendered_the_same() -> None:
    whole = document(charts=(BAR, LINE, PIE))
    content = json_module.loads(json.render(whole))
    assert json.render(json.read(content)) == json.render(whole)
    assert pdf.render(json.read(content)) == pdf.render(whole)


def hostile_document() -> Document:
    """Every hostile text as a cell, and some as title, heading, head, label, series and paragraph."""
    some = HOSTILE[:60]
    table = Table(
        HOSTILE[0], tuple(Column(f"c{n}", text) for n, text in enumerate(HOSTILE[1:3])), [(text, text) for text in HOSTILE]
    )
    charts = [
        Chart(kind, HOSTILE[n], some, {text: range(60) for text in HOSTILE[n : n + 2]})
        for n, kind in enumerate(("bar", "line", "pie"))
    ]  # type: ignore[arg-type]
    return Document(HOSTILE[4], HOSTILE[5], some, [Section(HOSTILE[20], some, [table], charts)])


def test_five_hundred_hostile_texts() -> None:
    assert len(set(HOSTILE)) == 500


def test_hostile_texts_in_the_page() -> None:
    made = html.render(hostile_document())
    page = Page(made)
    assert not page.tags & {"script", "img", "b", "link"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "href")}
    made.encode()
    for chart in re.findall(r"<svg.*?</svg>", made, re.S):
        ElementTree.fromstring(chart)


@pytest.mark.row("T-56")
def test_hostile_texts_in_csv_and_back() -> None:
    rows = [(text, -1) for text in HOSTILE]
    made = csv.render(Table("t", (Column("a", "=1"), Column("b", "b", "count")), rows))
    found = list(csv_module.reader(StringIO(made, newline="")))
    assert found[0][0] == "'=1"
    for (text, _), (cell, number) in zip(rows, found[1:], strict=True):
        assert not cell.startswith(csv.FORMULA)
        assert not cell.strip().startswith(("=", "+", "-", "@"))
        assert cell.removeprefix("'") == figures.clean(text).removeprefix("'") or cell == figures.clean(text)
        assert number == "-1"


@pytest.mark.row("T-56")
def test_hostile_texts_in_the_workbook_and_back() -> None:
    book = workbook(xlsx.render(hostile_document()))
    sheet = book[book.sheetnames[-1]]
    for row, text in enumerate(HOSTILE, 2):
        cell = sheet.cell(row, 1)
        assert cell.data_type in ("s", "n" if text == "" else "inlineStr"), text
        assert cell.hyperlink is None
        wanted = figures.shortened(figures.clean(text).replace("\r\n", "\n").replace("\r", "\n"), xlsx.LONGEST_CELL)
        assert unescape(cell.value or "") == wanted
    for name in book.sheetnames:
        for row in book[name].iter_rows():
            assert not [cell.coordinate for cell in row if cell.data_type == "f"], name


def test_hostile_texts_in_the_pdf_stay_text() -> None:
    said = re.sub(r"\s", "", pdf_text(pdf.render(hostile_document())))
    for text in (
        '#import"/etc/passwd"',
        '#read("/etc/passwd")',
        "*bold*_it_`raw`$x^2$",
        "<script>alert(1)</script>",
        "@SUM(1+1)",
    ):
        assert text in said, text
    assert "root:x:0" not in said


def test_hostile_texts_in_json() -> None:
    found = json_module.loads(json.render(hostile_document()))
    assert [row[0] for row in found["sections"][0]["tables"][0]["rows"]] == [figures.clean(text) for text in HOSTILE]


def test_a_long_table_is_cut_in_the_pdf_with_a_note() -> None:
    said = pdf_text(pdf.render(document(*[ROW] * 3_000)))
    assert "共 3,000 行" in said or "共3,000行" in said.replace(" ", "")
    whole = pdf_text(pdf.render(document(*[ROW] * 50)))
    assert "XLSX" not in whole


BIG = """
import re
from datetime import date
from services.tiering.rendering import csv, html, json, pdf, xlsx
from services.tiering.rendering.document import Column, Document, Section, Table
columns = [Column("account_no", "月结账号"), Column("name", "名称"), *(Column(f"m{n}", f"{n}月运费", "fen") for n in range(8))]
columns += [Column("share", "占比", "percent"), Column("opened_on", "开户日", "day")]
rows = [(f"755{n:07}", "青岛某某贸易有限公司", *(n * 137 + m for m in range(8)), n / 3, date(2018, 1, 1)) for n in range(20_000)]
table = Table("明细", columns, rows)
document = Document("区季度报告", "2018-Q1", (), [Section("明细", (), [table])])
for render in (html.render, xlsx.render, csv.render, json.render, pdf.render):
    what = table if render is csv.render else document
    print(render.__module__.rpartition(".")[2], len(render(what)))
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def test_a_district_of_20_000_accounts_takes_less_than_300_mb() -> None:
    """12 columns, all five formats one after the other, in a process of their own; its seconds are in docs/measured.md."""
    done = subprocess.run([sys.executable, "-c", BIG], capture_output=True, text=True, timeout=120, check=True)
    found = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
    assert set(found) == {"html", "xlsx", "csv", "json", "pdf", "peak"}
    assert found.pop("peak") < 300 * 1024
    assert all(found.values())
