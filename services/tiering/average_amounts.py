"""Average amount per account (户均金额): a year's freight by the accounts with freight, for a unit and those below it.

Accounts lie where they stand today. Only closed months count, with today's totals. A year of fewer months than twelve says so,
and is compared by month: freight by the number of accounts with freight in each month. Source: T-51.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.kpis import last_closed_month
from services.tiering.rendering import json
from services.tiering.rendering.document import Chart, Column, Document, Section, Table
from shared.months import month_text

YEARS = 5
FORMULA = "户均金额 = 一年的运费 / 当年有运费的账户数; 月户均 = 运费 / 各月有运费的账户数之和"
COLUMNS = (
    Column("unit_code", "单位"),
    Column("year", "年份"),
    Column("months", "月数", "count"),
    Column("accounts", "有运费账户数", "count"),
    Column("freight_fen", "运费", "fen"),
    Column("average_fen", "户均金额", "fen"),
    Column("monthly_average_fen", "月户均", "fen"),
    Column("change_percent", "月户均同比", "percent"),
)


async def read(session: AsyncSession, unit: str) -> dict[str, Any]:
    """Return five years of averages for a unit and the units directly below it, and the same as a document."""
    last = await last_closed_month(session)
    first = date(last.year - YEARS + 1, 1, 1)
    found = (await session.execute(_AVERAGES, {"unit": unit, "first": first, "last": last})).all()
    items: list[dict[str, Any]] = []
    for row in found:
        item = {**row._mapping, "year": str(row.year)}
        before = items[-1] if items and items[-1]["unit_code"] == row.unit_code else None
        follows = before is not None and int(before["year"]) == row.year - 1
        items.append({**item, "change_percent": _change(before, item) if follows else None})
    return {
        "unit_code": unit,
        "through": month_text(last),
        "formula": FORMULA,
        "items": items,
        "document": json.plain(_document(unit, month_text(last), items)),
    }


def _change(before: Any, item: Any) -> Decimal | None:
    """Return by how much the monthly average has risen, in percent."""
    base: int = before["monthly_average_fen"]
    return round(Decimal(item["monthly_average_fen"] - base) * 100 / base, 2) if base else None


def _document(unit: str, through: str, items: Sequence[dict[str, Any]]) -> Document:
    years = sorted({item["year"] for item in items})
    units = list(dict.fromkeys(item["unit_code"] for item in items))
    charts = []
    for name, title in (("average_fen", "户均金额 (全年)"), ("monthly_average_fen", "月户均")):
        values = {(item["unit_code"], item["year"]): item[name] for item in items}
        series = {one: [values.get((one, year)) for year in years] for one in units}
        charts.append(Chart("line", title, years, series, "fen"))
    rows = [tuple(item[column.name] for column in COLUMNS) for item in items]
    partial = sorted({f"{item['year']} 年只有 {item['months']} 个月" for item in items if item["months"] < 12})
    notes = [f"只计到 {through} 为止已关账的月份, 账户按今天所在单位。", *partial]
    return Document(
        f"户均金额走势 {unit}",
        f"截至 {through}",
        notes,
        [Section("户均金额", [FORMULA], [Table("户均金额", COLUMNS, rows)], charts)],
    )


_AVERAGES = text("""
WITH places AS (
    SELECT unit_code, unit_code <> :unit AS below FROM units WHERE unit_code = :unit OR parent_code = :unit
), totals AS (
    SELECT p.unit_code, p.below, CAST(extract(year FROM m.month) AS integer) AS year, m.account_no, m.month, m.amount_fen
    FROM month_totals m
         JOIN accounts a ON a.account_no = m.account_no
         JOIN unit_ancestors u ON u.unit_code = a.unit_code
         JOIN places p ON p.unit_code = u.ancestor_code
    WHERE m.month BETWEEN :first AND :last AND m.quarter BETWEEN CAST(:first AS date) - 62 AND :last AND m.amount_fen > 0
)
SELECT unit_code, year, count(DISTINCT month) AS months, count(DISTINCT account_no) AS accounts,
       CAST(sum(amount_fen) AS bigint) AS freight_fen,
       CAST(sum(amount_fen) / count(DISTINCT account_no) AS bigint) AS average_fen,
       CAST(sum(amount_fen) / count(*) AS bigint) AS monthly_average_fen
FROM totals GROUP BY below, unit_code, year ORDER BY below, unit_code, year""")
