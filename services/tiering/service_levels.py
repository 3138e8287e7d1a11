"""Service cost and service level (服务成本与服务水平): what keeping accounts cost in a quarter, and what they shipped.

Effort is counted from the contacts and tickets that others told of; what one of them costs, and what a yuan of freight leaves,
is configuration of the policy, and every answer says so. The marginal view compares accounts of one tier by how often they were
contacted: it shows what went together, not what caused what. Source: T-58.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import MonthClose
from services.tiering.placement import IN_UNIT
from services.tiering.policies.document import Service
from services.tiering.rendering import json
from services.tiering.rendering.document import Chart, Column, Document, Section, Table
from shared.months import add_months, last_day, month_start_instant, parse_quarter, quarter_text
from shared.problems import NotFound

CHANNELS = ("visit", "phone", "sms", "email", "im")
TIERS = {"vip": "VIP", "key": "重点", "general": "一般"}
LEVELS = ("0 次", "1 次", "2 次", "3 次及以上")
"""Contacts of an account in the quarter."""
TIER_COLUMNS = (
    Column("service_tier", "服务层级"), Column("accounts", "账户数", "count"), Column("contacts", "接触次数", "count"),
    Column("tickets", "工单数", "count"), Column("cost_fen", "服务成本", "fen"), Column("freight_fen", "季度运费", "fen"),
    Column("cost_per_account_fen", "户均成本", "fen"), Column("freight_per_account_fen", "户均运费", "fen"),
    Column("cost_percent", "成本占运费", "percent"),
)  # fmt: skip
LEVEL_COLUMNS = (
    Column("service_tier", "服务层级"), Column("level", "接触次数"), Column("accounts", "账户数", "count"),
    Column("cost_per_account_fen", "户均成本", "fen"), Column("change_per_account_fen", "户均运费变化", "fen"),
    Column("marginal_cost_fen", "边际成本", "fen"), Column("marginal_margin_fen", "边际毛利", "fen"), Column("best", "最优"),
)  # fmt: skip


async def read(session: AsyncSession, unit: str, quarter: str | None = None) -> dict[str, Any]:
    """Return cost, freight and the marginal view of a closed quarter, by default the last. Raises NotFound for another.

    Cost is null where nobody has told of a contact yet; that is not the same as none.
    """
    month = await _quarter_month(session, quarter)
    policy = (await policies.in_force(session, last_day(month))).base
    bounds = {
        "unit": unit,
        "month": month,
        "start": month_start_instant(add_months(month, -2)),
        "end": month_start_instant(add_months(month, 1)),
    }
    rows = (await session.execute(_EFFORT, bounds | _costs(policy.service))).all()
    told = bool(await session.scalar(text("SELECT EXISTS (SELECT FROM contact_facts)")))
    tiers = [_tier(name, [row for row in rows if row.service_tier == name], told) for name in TIERS]
    levels = _levels(rows, policy.service.margin_percent) if told else []
    found = {
        "unit_code": unit,
        "quarter": quarter_text(month),
        "policy_version": policy.policy_version,
        "assumptions": policy.service.model_dump(),
        "tiers": tiers,
        "levels": levels,
    }
    return {**found, "document": json.plain(_document(found))}


async def _quarter_month(session: AsyncSession, quarter: str | None) -> date:
    query = select(func.max(MonthClose.month)).where(
        MonthClose.state == "closed", func.extract("month", MonthClose.month) % 3 == 0
    )
    if quarter is not None:
        query = query.where(MonthClose.month == add_months(parse_quarter(quarter), 2))
    found: date | None = await session.scalar(query)
    if found is None:
        raise NotFound("closed quarter", quarter)
    return found


def _costs(service: Service) -> dict[str, int]:
    return {name: getattr(service, name) for name in (*(f"{channel}_fen" for channel in CHANNELS), "ticket_fen")}


def _tier(name: str, rows: Sequence[Any], told: bool) -> dict[str, Any]:
    accounts, freight = sum(row.accounts for row in rows), sum(row.freight_fen for row in rows)
    cost = sum(row.cost_fen for row in rows) if told else None
    return {
        "service_tier": name,
        "accounts": accounts,
        "contacts": sum(row.contacts for row in rows) if told else None,
        "tickets": sum(row.tickets for row in rows) if told else None,
        "cost_fen": cost,
        "freight_fen": freight,
        "cost_per_account_fen": cost // accounts if cost is not None and accounts else None,
        "freight_per_account_fen": freight // accounts if accounts else None,
        "cost_percent": round(Decimal(cost) * 100 / freight, 2) if cost is not None and freight else None,
    }


def _levels(rows: Sequence[Any], margin_percent: int) -> list[dict[str, Any]]:
    """Return the marginal view of each tier: what one level more cost and left, per account, against the level below it."""
    found = []
    for tier, of_tier in groupby(rows, key=lambda row: row.service_tier):
        before: Any = None
        levels = []
        for row in of_tier:
            cost, change = row.cost_fen // row.accounts, (row.freight_fen - row.previous_fen) // row.accounts
            levels.append(
                {
                    "service_tier": tier,
                    "level": LEVELS[row.level],
                    "accounts": row.accounts,
                    "cost_per_account_fen": cost,
                    "change_per_account_fen": change,
                    "marginal_cost_fen": None if before is None else cost - before[0],
                    "marginal_margin_fen": None if before is None else (change - before[1]) * margin_percent // 100,
                    "net_fen": change * margin_percent // 100 - cost,
                }
            )
            before = (cost, change)
        best = max(levels, key=lambda level: level["net_fen"])
        found += [{**level, "best": level is best and len(levels) > 1} for level in levels]
    return found


def _document(found: Mapping[str, Any]) -> Document:
    tiers = [
        tuple(TIERS.get(v, v) if c.name == "service_tier" else v for c in TIER_COLUMNS for v in [one[c.name]])
        for one in found["tiers"]
    ]
    levels = [
        (TIERS[one["service_tier"]], *(one[c.name] for c in LEVEL_COLUMNS[1:-1]), "最优" if one["best"] else "")
        for one in found["levels"]
    ]
    labels = [TIERS[one["service_tier"]] for one in found["tiers"]]
    charts = [
        Chart("bar", "运费与服务成本", labels, {"季度运费": [one["freight_fen"] for one in found["tiers"]],
                                          "服务成本": [one["cost_fen"] for one in found["tiers"]]}, "fen"),
    ]  # fmt: skip
    costs = ", ".join(f"{name} = {value}" for name, value in found["assumptions"].items())
    notes = [
        f"单位成本和毛利率是规则 {found['policy_version']} 的设定, 不是核算结果: {costs}。",
        "边际比较同一层级里接触次数不同的账户: 说明相伴, 不说明因果。最优 = 户均运费变化 × 毛利率 − 户均成本最大的一档。",
    ]
    return Document(
        f"服务成本与服务水平 {found['unit_code']} {found['quarter']}",
        "按服务层级",
        notes,
        [
            Section("服务成本与运费", (), [Table("按服务层级", TIER_COLUMNS, tiers)], charts),
            Section("边际比较", (), [Table("按接触次数", LEVEL_COLUMNS, levels)]),
        ],
    )


_SUM_OF_COSTS = " + ".join(f"count(*) FILTER (WHERE channel = '{name}') * CAST(:{name}_fen AS bigint)" for name in CHANNELS)
_EFFORT = text(f"""
WITH held AS (
    SELECT account_no, service_tier, quarter_fen, coalesce(previous_quarter_fen, 0) AS previous_fen FROM decisions d
    WHERE d.month = :month AND d.service_tier IS NOT NULL AND {IN_UNIT.format(unit="d.unit_code")}
), contacted AS (
    SELECT account_no, count(*) AS contacts, {_SUM_OF_COSTS} AS cost_fen
    FROM contact_facts WHERE contacted_at >= :start AND contacted_at < :end GROUP BY account_no
), ticketed AS (
    SELECT account_no, count(*) AS tickets FROM ticket_facts
    WHERE opened_at >= :start AND opened_at < :end AND state <> 'refuted' GROUP BY account_no
)
SELECT h.service_tier, CAST(least(coalesce(c.contacts, 0), {len(LEVELS) - 1}) AS integer) AS level, count(*) AS accounts,
       CAST(sum(coalesce(c.contacts, 0)) AS bigint) AS contacts, CAST(sum(coalesce(t.tickets, 0)) AS bigint) AS tickets,
       CAST(sum(coalesce(c.cost_fen, 0) + coalesce(t.tickets, 0) * CAST(:ticket_fen AS bigint)) AS bigint) AS cost_fen,
       CAST(sum(h.quarter_fen) AS bigint) AS freight_fen, CAST(sum(h.previous_fen) AS bigint) AS previous_fen
FROM held h LEFT JOIN contacted c USING (account_no) LEFT JOIN ticketed t USING (account_no)
GROUP BY 1, 2 ORDER BY 1, 2""")
