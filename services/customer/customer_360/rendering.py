"""Renders the pages of accounts from the overview tables, once at the end of each transaction that touched them.

The page is a row of its own, so handlers of all topics meet there: the rows are locked together, sorted, and only then the
overview tables are read. Whoever comes second therefore sees what the first one wrote.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360 import latest_parcels
from services.customer.customer_360.latest_parcels import SHOWN, ParcelLine
from shared.db import before_commit, driver

Section = Literal["movements", "tasks", "tickets"]
Part = Literal["head", "tiers", "scores", "parcels", "movements", "tasks", "tickets"]

_OPEN = """
INSERT INTO account_360 (account_no) SELECT a FROM unnest($1::text[]) AS a ORDER BY a COLLATE "C" ON CONFLICT DO NOTHING"""
# Accounts are joined, here and below: `= ANY` of a prepared statement is planned for ten, and compares each row of a small table
# with every one of hundreds.
_LOCK = """
SELECT FROM account_360 p JOIN unnest($1::text[]) AS k (account_no) ON p.account_no = k.account_no
ORDER BY p.account_no FOR UPDATE OF p"""

_HEAD = """
UPDATE account_360 p SET unit_code = a.unit_code, opened_on = a.opened_on, head = concat(
    '{"account":', json_build_object(
        'account_no', a.account_no, 'branch_code', a.branch_code, 'district_code', a.district_code,
        'outlet_code', a.outlet_code, 'opened_on', a.opened_on, 'status', a.status),
    ',"unit_path":', coalesce(
        (SELECT json_agg(u.ancestor_code ORDER BY u.depth DESC) FROM unit_ancestors u WHERE u.unit_code = a.unit_code), '[]'))
FROM accounts a WHERE a.account_no = p.account_no AND p.account_no = ANY($1::text[])"""

_TIERS = """
UPDATE account_360 p
SET service_tier = t.service_tier, contribution_grade = t.contribution_grade, quarter_end = t.quarter_end, month = t.month,
    tiers_as_of = t.as_of
FROM overview_tiers t JOIN unnest($1::text[]) AS k (account_no) ON t.account_no = k.account_no
WHERE t.account_no = p.account_no"""

_SCORES = """
UPDATE account_360 p SET scores = s.scores
FROM overview_scores s JOIN unnest($1::text[]) AS k (account_no) ON s.account_no = k.account_no
WHERE s.account_no = p.account_no"""

_FREIGHT = """
UPDATE account_360 p SET months = p.months || f.months, freight_as_of = greatest(p.freight_as_of, f.as_of)
FROM (
    SELECT m.account_no, jsonb_object_agg(to_char(m.month, 'YYYY-MM'), m.amount_fen) AS months, max(m.as_of) AS as_of
    FROM unnest($1::text[], $2::date[]) AS k (account_no, month)
    JOIN overview_months m ON m.account_no = k.account_no AND m.month = k.month
    GROUP BY m.account_no
) f WHERE f.account_no = p.account_no"""

_ITEMS = """
UPDATE account_360 p SET {section} = r.body
FROM (
    SELECT k.account_no, CASE WHEN count(i.item_id) > 0 THEN concat(
        '{{"as_of":"', instant_text(max(i.as_of)), '","items":[',
        string_agg(i.item, ',' ORDER BY i.sorted_at, i.item_id) FILTER (WHERE i.shown), ']}}') END AS body
    FROM unnest($1::text[]) AS k (account_no)
    LEFT JOIN overview_items i ON i.account_no = k.account_no AND i.section = '{section}'
    GROUP BY k.account_no
) r WHERE r.account_no = p.account_no"""

_PARCELS = f"""
UPDATE account_360 p SET parcels = r.body
FROM unnest($1::text[]) AS k (account_no), LATERAL (
    SELECT CASE WHEN count(*) > 0 THEN concat(
        '{{"as_of":"', instant_text((SELECT max(as_of) FROM overview_parcels WHERE account_no = k.account_no)), '","items":[',
        string_agg(json_build_object('waybill_no', l.waybill_no, 'account_no', l.account_no, 'status', l.status, 'occurred_at',
                                     instant_text(l.occurred_at))::text, ',' ORDER BY l.occurred_at DESC, l.waybill_no),
        ']}}') END AS body
    FROM (
        SELECT o.waybill_no, o.account_no, o.status, o.occurred_at FROM overview_parcels o WHERE o.account_no = k.account_no
        ORDER BY o.occurred_at DESC, o.waybill_no LIMIT {SHOWN}
    ) l
) r WHERE p.account_no = k.account_no"""

_LINES = """
SELECT o.waybill_no, o.account_no, o.status, o.occurred_at, o.as_of
FROM overview_parcels o JOIN unnest($1::text[]) AS k (waybill_no) ON o.waybill_no = k.waybill_no"""
_READ_PARCELS = """
SELECT p.account_no, p.parcels FROM account_360 p JOIN unnest($1::text[]) AS k (account_no) ON p.account_no = k.account_no"""
_WRITE_PARCELS = """
UPDATE account_360 p SET parcels = k.body
FROM unnest($1::text[], $2::text[]) AS k (account_no, body) WHERE p.account_no = k.account_no"""

_RENDER: dict[Part, str] = {
    "head": _HEAD,
    "tiers": _TIERS,
    "scores": _SCORES,
    "parcels": _PARCELS,
    "movements": _ITEMS.format(section="movements"),
    "tasks": _ITEMS.format(section="tasks"),
    "tickets": _ITEMS.format(section="tickets"),
}


@dataclass(slots=True)
class _Touched:
    parts: dict[Part, set[str]] = field(default_factory=dict)
    months: set[tuple[str, date]] = field(default_factory=set)
    parcels: dict[str, set[str]] = field(default_factory=dict)
    """The parcels scanned, by account."""


def touch(session: AsyncSession, part: Part, accounts: Iterable[str]) -> None:
    """Have a part of these accounts' pages rendered at the end of the transaction."""
    _touched(session).parts.setdefault(part, set()).update(accounts)


def touch_months(session: AsyncSession, months: Iterable[tuple[str, date]]) -> None:
    """Have these months of these accounts rendered at the end of the transaction."""
    _touched(session).months.update(months)


def touch_parcels(session: AsyncSession, parcels: Iterable[tuple[str, str]]) -> None:
    """Have these parcels (waybill_no, account_no) put among the latest of their accounts at the end of the transaction."""
    of_account = _touched(session).parcels
    for waybill_no, account_no in parcels:
        of_account.setdefault(account_no, set()).add(waybill_no)


def _touched(session: AsyncSession) -> _Touched:
    before_commit(session, _render)
    touched: _Touched = session.info.setdefault("account_360", _Touched())
    return touched


async def _render(session: AsyncSession) -> None:
    touched: _Touched = session.info.pop("account_360")
    accounts = sorted({account_no for account_no, _ in touched.months}.union(touched.parcels, *touched.parts.values()))
    if not accounts:
        return
    await session.flush()
    connection = await driver(session)
    if len(await connection.fetch(_LOCK, accounts)) < len(accounts):
        await connection.execute(_OPEN, accounts)
        await connection.execute(_LOCK, accounts)
    for part, touched_accounts in sorted(touched.parts.items()):
        await connection.execute(_RENDER[part], sorted(touched_accounts))
    if touched.months:
        months = sorted(touched.months)
        await connection.execute(_FREIGHT, [account_no for account_no, _ in months], [month for _, month in months])
    await _add_parcels(connection, touched)


async def _add_parcels(connection: asyncpg.Connection, touched: _Touched) -> None:
    """Put parcels among the latest, except of accounts whose parcels have just been rendered whole.

    They are read as they stand now: a savepoint may have taken a scan back.
    """
    wanted = touched.parcels.keys() - touched.parts.get("parcels", set())
    if not wanted:
        return
    lines: dict[str, list[ParcelLine]] = {}
    for row in await connection.fetch(_LINES, sorted(set().union(*(touched.parcels[account_no] for account_no in wanted)))):
        lines.setdefault(row["account_no"], []).append(ParcelLine(*row))
    rows = await connection.fetch(_READ_PARCELS, sorted(wanted & lines.keys()))
    bodies = [latest_parcels.with_lines(row["parcels"], lines[row["account_no"]]) for row in rows]
    await connection.execute(_WRITE_PARCELS, [row["account_no"] for row in rows], bodies)
