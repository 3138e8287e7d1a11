"""A database with a history is brought to the newest revision: what it knew stays known."""

from datetime import date

import asyncpg

from shared.local.databases import create_database
from shared.migrations import upgrade
from tests.conftest import Server

HISTORY = """
INSERT INTO schedule_state (through) VALUES ('2018-04-02T00:30:00+08:00');
INSERT INTO accounts (account_no, unit_code, branch_code, district_code, opened_on, status, provisional, sequence)
VALUES ('A', 'B1', 'B1', 'D1', '2017-01-01', 'open', false, 1);
INSERT INTO charges (charge_no, version, waybill_no, account_no, amount_fen, charged_at, month) VALUES
    ('1', 1, 'W1', 'A', 100, '2018-01-05T12:00:00+08:00', '2018-01-01'),
    ('2', 2, 'W2', 'A', 40, '2018-03-05T12:00:00+08:00', '2018-03-01'),
    ('3', 1, 'W3', 'B', 7, '2017-12-31T23:59:59+08:00', '2017-12-01');
INSERT INTO replaced_charges (charge_no, version, waybill_no, account_no, amount_fen, charged_at, month)
VALUES ('2', 1, 'W2', 'A', 30, '2018-03-05T12:00:00+08:00', '2018-03-01');
INSERT INTO month_totals (account_no, month, amount_fen, charges) VALUES
    ('A', '2018-01-01', 100, 1), ('A', '2018-02-01', 0, 0), ('A', '2018-03-01', 40, 1), ('B', '2017-12-01', 7, 1);
INSERT INTO quarter_sums (account_no, quarter, sum_fen, branch_code, opened_on)
VALUES ('A', '2018-01-01', 140, 'B1', '2017-01-01');
INSERT INTO month_closes (month, state, closed_at) VALUES
    ('2018-02-01', 'closed', '2018-03-01T00:30:01+08:00'), ('2018-03-01', 'closed', '2018-04-01T00:30:01+08:00');
INSERT INTO restatements (account_no, month, charge_no, version, change_fen, at) VALUES
    ('A', '2018-01-01', '1', 1, 100, '2018-03-15T12:00:00+08:00'), ('A', '2018-03-01', '2', 2, 10, '2018-04-01T09:00:00+08:00')
"""


async def test_months_and_ledger_points_of_a_history_are_kept(postgres: Server) -> None:
    name = "tiering_with_a_history"
    await create_database(postgres.admin_url, "tiering", name)
    url = postgres.url("tiering_owner", name)
    await upgrade("tiering", url, "0010")
    owner = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + f"/{name}", ssl=False)
    await owner.execute(HISTORY)
    await upgrade("tiering", url)
    months = await owner.fetch("SELECT account_no, month, amount_fen, charges, quarter FROM month_totals ORDER BY 1, 2")
    assert [tuple(row) for row in months] == [
        ("A", date(2018, 1, 1), 100, 1, date(2018, 1, 1)),
        ("A", date(2018, 3, 1), 40, 1, date(2018, 1, 1)),
        ("B", date(2017, 12, 1), 7, 1, date(2017, 10, 1)),
    ]
    ranked = await owner.fetch("SELECT account_no, sum_fen, magnitude, branch_code, opened_on FROM quarter_sums ORDER BY 1")
    assert [tuple(row) for row in ranked] == [("A", 140, 3, "B1", date(2017, 1, 1)), ("B", 7, 1, None, None)]
    points = await owner.fetch("SELECT month, known_seq FROM month_closes ORDER BY month")
    assert [tuple(row) for row in points] == [(date(2018, 2, 1), 0), (date(2018, 3, 1), 1)], "known were charges restated before"
    assert await owner.fetchval("SELECT replaced_seq FROM replaced_charges") == 1
    await owner.close()
