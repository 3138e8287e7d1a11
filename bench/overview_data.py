"""100,000 accounts for the customer 360: overview tables filled by SQL, pages rendered by the suite's own code.

`expected_page` says what a page must be, from the overview tables in plain Python: it shares nothing with the rendering.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import asyncpg

from services.customer.customer_360 import reading, rendering
from shared.db import Database, Scope
from shared.directory import Unit, apply_units

NOW = datetime(2026, 3, 20, 4, tzinfo=UTC)
"""The business clock of the bench; it stands, so that a page does not change between two reads."""
MONTHS = [date(2025 + (1 + n) // 12, (1 + n) % 12 + 1, 1) for n in range(14)]
"""2025-02 to 2026-03: the running month and the 13 before it."""
BRANCHES = 18
OUTLETS = 72
DISTRICTS = 3
CHUNK = 2_000
SHANGHAI = timezone(timedelta(hours=8))

_ACCOUNTS = f"""
INSERT INTO accounts (account_no, unit_code, branch_code, outlet_code, district_code, opened_on, status, provisional, sequence)
SELECT 'A' || lpad(n::text, 8, '0'), 'O' || n % {OUTLETS}, 'B' || n % {OUTLETS} % {BRANCHES}, 'O' || n % {OUTLETS},
       'D' || n % {OUTLETS} % {BRANCHES} % {DISTRICTS}, date '2024-01-01' + n % 300, 'open', false, 1
FROM generate_series(0, $1 - 1) AS n"""
_MONTHS = """
INSERT INTO overview_months (account_no, month, amount_fen, as_of)
SELECT 'A' || lpad(n::text, 8, '0'), m, 1000 + hashint4(n + extract(month FROM m)::int) % 1000, '2026-03-19 03:00+00'
FROM generate_series(0, $1 - 1) AS n, unnest($2::date[]) AS m"""
_PARCELS = """
INSERT INTO overview_parcels (waybill_no, status, occurred_at, step, account_no, account_said_at, account_step, as_of)
SELECT 'SF' || n || '-' || p, 'DELIVERED', at, 7, 'A' || lpad(n::text, 8, '0'), at, 7, at
FROM generate_series(0, $1 - 1) AS n, generate_series(1, 1 + n % 12) AS p,
     LATERAL (SELECT timestamptz '2026-03-01 00:00+00' + p * interval '13 hours' + n % 977 * interval '1 second') AS t (at)"""
_TIERS = """
INSERT INTO overview_tiers (account_no, sequence, service_tier, contribution_grade, quarter_end, month, as_of)
SELECT a, 1,
       jsonb_build_object('service_tier', 'general', 'rank', 100 + n, 'amount_fen', 900000, 'quarter', '2025-Q4',
                          'since', '2026-01-01T00:30:00+08:00', 'decision_id', natural_id('decision/' || a || '/2025-12')),
       jsonb_build_object('grade', 'gold', 'month', to_char(month, 'YYYY-MM'), 'average_fen', 300000,
                          'since', '2025-08-01T00:30:00+08:00',
                          'decision_id', natural_id('decision/' || a || '/' || to_char(month, 'YYYY-MM'))),
       date '2025-12-01', month, (month + interval '1 month')::timestamp AT TIME ZONE 'UTC' - interval '7.5 hours'
FROM generate_series(0, $1 - 1) AS n,
     LATERAL (SELECT 'A' || lpad(n::text, 8, '0'),
                     CASE WHEN n % 5 = 0 THEN date '2026-01-01' ELSE '2026-02-01' END) AS t (a, month)"""
_ITEMS = """
INSERT INTO overview_items (section, item_id, sequence, account_no, shown, sorted_at, item, as_of)
SELECT s, natural_id(s || n), 1, 'A' || lpad(n::text, 8, '0'), true, '2026-02-28 16:00+00',
       json_build_object(left(s, -1) || '_id', natural_id(s || n), 'account_no', 'A' || lpad(n::text, 8, '0'), 'kind', 'movement',
                         'state', 'open', 'branch_code', 'B1', 'detected_at', '2026-03-01T00:30:00+08:00')::text,
       '2026-02-28 16:30+00'
FROM generate_series(0, $1 - 1, 10) AS n, unnest('{movements,tasks,tickets}'::text[]) AS s"""
_SCORES = """
INSERT INTO overview_scores
SELECT 'A' || lpad(n::text, 8, '0'), 1, json_build_object(
    'as_of', '2026-03-01T00:30:00+08:00', 'month', '2026-02', 'rfm', json_build_object(
        'recency_score', 1 + n % 5, 'frequency_score', 1 + n / 5 % 5, 'money_score', 1 + n / 25 % 5),
    'clv_fen', n * 1000, 'churn_risk', n % 101,
    'forecast', json_build_object('forecast_fen', n * 100, 'low_fen', n * 80, 'high_fen', n * 120))::text
FROM generate_series(0, $1 - 1) AS n"""
_PREPARED = """
CREATE TABLE prepared (account_no text COLLATE "C" PRIMARY KEY, body text NOT NULL) WITH (toast_tuple_target = 8160);
GRANT SELECT ON prepared TO customer_app"""


async def fill(database: Database, owner: asyncpg.Connection, accounts: int) -> None:
    """Fill the overview tables, render every page, and prepare the rows of the bare program from the same pages."""
    units = [Unit("HQ", "hq", None)]
    units += [Unit(f"D{n}", "district", "HQ") for n in range(DISTRICTS)]
    units += [Unit(f"B{n}", "branch", f"D{n % DISTRICTS}") for n in range(BRANCHES)]
    units += [Unit(f"O{n}", "outlet", f"B{n % BRANCHES}") for n in range(OUTLETS)]
    async with database.transaction() as session:
        await apply_units(session, units, [1] * len(units))
    for statement in (_ACCOUNTS, _PARCELS, _TIERS, _SCORES, _ITEMS):
        await owner.execute(statement, accounts)
    await owner.execute(_MONTHS, accounts, MONTHS)
    await owner.execute("INSERT INTO closed_months VALUES ('2026-02-01', '2026-02-28 16:30+00')")
    await owner.execute("INSERT INTO business_clock (at, driven) VALUES ($1, true)", NOW)
    await owner.execute("ANALYZE")
    for first in range(0, accounts, CHUNK):
        numbers = [account_no(n) for n in range(first, min(first + CHUNK, accounts))]
        async with database.transaction() as session:
            for part in ("head", "tiers", "scores", "parcels", "movements", "tasks", "tickets"):
                rendering.touch(session, part, numbers)
            rendering.touch_months(session, [(number, month) for number in numbers for month in MONTHS])
    await owner.execute(_PREPARED)
    everything = Scope(everything=True)
    for first in range(0, accounts, CHUNK):
        numbers = [account_no(n) for n in range(first, min(first + CHUNK, accounts))]
        pages = [(number, (await reading.read(database.hot, everything, number)).decode()) for number in numbers]
        await owner.copy_records_to_table("prepared", records=pages)
    for table in ("account_360", "prepared"):
        await owner.execute(f"VACUUM (FULL, ANALYZE) {table}")
    await owner.execute("CHECKPOINT")


def account_no(number: int) -> str:
    """The number of an account."""
    return f"A{number:08d}"


def branch_of(number: int) -> int:
    """The branch of an account."""
    return number % OUTLETS % BRANCHES


async def expected_page(owner: asyncpg.Connection, account: str) -> dict[str, Any]:
    """Say what the page of an account must be, from the tables it is made of."""
    row = await owner.fetchrow("SELECT * FROM accounts WHERE account_no = $1", account)
    path = [row["unit_code"]]
    while parent := await owner.fetchval("SELECT parent_code FROM units WHERE unit_code = $1", path[0]):
        path.insert(0, parent)
    months = await owner.fetch("SELECT month, amount_fen, as_of FROM overview_months WHERE account_no = $1", account)
    amounts = {month["month"]: month["amount_fen"] for month in months}
    parcels = await owner.fetch("SELECT * FROM overview_parcels WHERE account_no = $1", account)
    parcels.sort(key=lambda parcel: (-parcel["occurred_at"].timestamp(), parcel["waybill_no"]))
    return {
        "account": {
            name: row[name] if name != "opened_on" else row[name].isoformat()
            for name in ("account_no", "branch_code", "district_code", "outlet_code", "opened_on", "status")
        },
        "unit_path": path,
        "tiers": await _expected_tiers(owner, account),
        "freight": {
            "as_of": _instant(max(month["as_of"] for month in months)),
            "months": [{"month": f"{month:%Y-%m}", "amount_fen": amounts.get(month, 0)} for month in MONTHS],
        },
        "scores": _expected_scores(int(account[1:])),
        **{
            section: await _expected_items(owner, account, section, row["opened_on"])
            for section in ("movements", "tasks", "tickets")
        },
        "parcels": {
            "as_of": _instant(max(parcel["as_of"] for parcel in parcels)),
            "items": [
                {
                    **{name: parcel[name] for name in ("waybill_no", "account_no", "status")},
                    "occurred_at": _instant(parcel["occurred_at"]),
                }
                for parcel in parcels[:20]
            ],
        },
    }


def _expected_scores(n: int) -> dict[str, Any]:
    return {
        "as_of": "2026-03-01T00:30:00+08:00",
        "month": "2026-02",
        "rfm": {"recency_score": 1 + n % 5, "frequency_score": 1 + n // 5 % 5, "money_score": 1 + n // 25 % 5},
        "clv_fen": n * 1000,
        "churn_risk": n % 101,
        "forecast": {"forecast_fen": n * 100, "low_fen": n * 80, "high_fen": n * 120},
    }


async def _expected_tiers(owner: asyncpg.Connection, account: str) -> dict[str, Any]:
    """The tier stands as said; the grade of one account in five is older, and the close of 2026-02 confirmed it."""
    row = await owner.fetchrow("SELECT * FROM overview_tiers WHERE account_no = $1", account)
    confirmed = await owner.fetchval("SELECT natural_id('decision/' || $1 || '/2026-02')::text", account)
    grade = {**json.loads(row["contribution_grade"]), "month": "2026-02", "decision_id": confirmed}
    closed = await owner.fetchval("SELECT closed_at FROM closed_months")
    return {"as_of": _instant(closed), "service_tier": json.loads(row["service_tier"]), "contribution_grade": grade}


async def _expected_items(owner: asyncpg.Connection, account: str, section: str, opened_on: date) -> dict[str, Any]:
    rows = await owner.fetch(
        "SELECT item, as_of FROM overview_items WHERE account_no = $1 AND section = $2 AND shown ORDER BY sorted_at, item_id",
        account,
        section,
    )
    opened = datetime(opened_on.year, opened_on.month, opened_on.day, tzinfo=SHANGHAI)
    as_of = max((row["as_of"] for row in rows), default=opened)
    return {"as_of": _instant(as_of), "items": [json.loads(row["item"]) for row in rows]}


def _instant(at: datetime) -> str:
    return at.astimezone(SHANGHAI).isoformat()
