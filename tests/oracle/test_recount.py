"""The recount itself, against a folder small enough to be worked out by hand."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from chinese_calendar import is_workday

from tests.oracle import recount as oracle
from tests.oracle.recount import Account, Recount, recount

HEADER = ",".join(oracle.SHIPMENTS)
SHIPMENTS = """
W1,A1,x,B1,y,B2,1,10,300.00,2018-01-10T10:00:00+08:00,2018-01-10T18:00:00+08:00,2018-01-12T10:00:00+08:00,2018-01-13T10:00:00+08:00,delivered
W2,A1,x,B1,y,B2,1,10,100.00,2018-02-05T10:00:00+08:00,2018-02-05T18:00:00+08:00,2018-02-07T10:00:01+08:00,2018-02-07T10:00:00+08:00,delivered
W3,A2,x,B2,y,B1,1,10,50,2018-01-31T20:00:00+08:00,2018-01-31T23:59:59+08:00,2018-02-03T10:00:00+08:00,2018-02-03T10:00:00+08:00,delivered
W4,A2,x,B2,y,B1,2,10,60.0,2018-01-31T20:00:00+08:00,2018-01-31T16:00:00+00:00,2018-02-03T10:00:00+08:00,,delivered
W5,A4,x,B1,y,B2,1,10,20.00,2018-01-20T10:00:00+08:00,2018-01-20T11:00:00+08:00,,2018-03-01T00:00:00+08:00,shipped
W5,A4,x,B1,y,B2,1,10,20.00,2018-01-20T10:00:00+08:00,2018-01-20T11:00:00+08:00,,2018-03-01T00:00:00+08:00,shipped
W6,A4,x,B1,y,B2,1,10,9.00,2018-03-30T12:00:00+08:00,,,2018-03-31T12:00:00+08:00,canceled
W7,A4,x,B1,y,B2,1,10,9.005,2018-03-30T12:00:00+08:00,,,,created
W1,A1,x,B1,y,B2,1,10,301.00,2018-01-10T10:00:00+08:00,2018-01-10T18:00:00+08:00,,,delivered
"""
ORG = """unit_code,kind,parent_code,name
HQ,hq,,Headquarters
D1,district,HQ,One
D2,district,HQ,Two
B1,branch,D1,b
B2,branch,D1,b
B9,branch,D2,b
O1,outlet,B1,o
"""
ACCOUNTS = """account_no,name,branch_code,outlet_code,opened_on
A1,a,B1,O1,2018-01-01
A2,a,B2,,2018-01-02
A3,a,B9,,2018-02-10
"""
CHARGES = """charge_no,version,waybill_no,account_no,amount,charged_at,published_at
CH-W2,2,W2,A1,160.00,2018-02-05T18:00:00+08:00,2018-03-10T09:00:00+08:00
CH-L1,1,W5,A4,5.00,2018-02-15T10:00:00+08:00,2018-03-20T00:00:00+08:00
CH-M1,1,M1,A5,1.00,2018-03-01T10:00:00+08:00,2018-03-02T10:00:00+08:00
CH-M2,2,M2,A5,2.00,2018-03-03T10:00:00+08:00,2018-03-03T10:00:00+08:00
CH-M2,1,M2,A5,9.99,2018-03-03T10:00:00+08:00,2018-03-05T10:00:00+08:00
CH-M2,1,M2,A5,9.99,2018-03-03T10:00:00+08:00,2018-03-05T10:00:00+08:00
CH-M2,1,M2,A5,8.88,2018-03-03T10:00:00+08:00,2018-03-06T10:00:00+08:00
CH-M3,1,M3,A5,-1,2018-03-03T10:00:00+08:00,2018-03-06T10:00:00+08:00
CH-M4,0,M3,A5,1,2018-03-03T10:00:00+08:00,2018-03-06T10:00:00+08:00
"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+08:00")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Recount:
    folder: Path = tmp_path_factory.mktemp("tiny")
    (folder / "shipments.csv").write_text(HEADER + SHIPMENTS)
    (folder / "org.csv").write_text(ORG)
    (folder / "accounts.csv").write_text(ACCOUNTS)
    (folder / "charges.csv").write_text(CHARGES)
    (folder / "scans.csv").write_text("waybill_no,status,occurred_at,exception_code\nW5,DAMAGED,2018-02-24T17:00:00+08:00,X1\n")
    return recount(folder)


def test_it_runs_from_the_first_event_to_the_month_after_the_last(found: Recount) -> None:
    assert (found.start, found.end) == (date(2018, 1, 10), at("2018-04-01T01:00:00"))
    assert found.rejected == {"shipments.csv": [9, 10], "charges.csv": [8, 9, 10]}
    assert found.parcels == 6


def test_accounts_are_those_listed_those_that_ordered_and_those_that_were_charged(found: Recount) -> None:
    assert found.accounts == {
        "A1": Account("A1", "B1", "D1", "O1", date(2018, 1, 1), False),
        "A2": Account("A2", "B2", "D1", None, date(2018, 1, 2), False),
        "A3": Account("A3", "B9", "D2", None, date(2018, 2, 10), False),
        "A4": Account("A4", "B1", "D1", None, date(2018, 1, 20), False),
        "A5": Account("A5", None, None, None, date(2018, 3, 1), True),
    }


def test_totals_count_what_stands_in_the_month_of_shanghai(found: Recount) -> None:
    assert found.totals == {
        "A1": {"2018-01": (30000, 1), "2018-02": (16000, 1)},
        "A2": {"2018-01": (5000, 1), "2018-02": (6000, 1)},
        "A4": {"2018-01": (2000, 1), "2018-02": (500, 1)},
        "A5": {"2018-03": (300, 2)},
    }


def test_grades_are_as_decided_at_each_close(found: Recount) -> None:
    averages = {month: {no: grade.average_fen for no, grade in grades.items()} for month, grades in found.grades.items()}
    assert averages == {
        "2018-01": {"A1": 10000, "A2": 1666, "A4": 666},
        "2018-02": {"A1": 13333, "A2": 3666, "A3": 0, "A4": 666},
        "2018-03": {"A1": 15333, "A2": 3666, "A3": 0, "A4": 833, "A5": 100},
    }
    assert {grade.grade for grades in found.grades.values() for grade in grades.values()} == {"silver"}


def test_tiers_are_ranked_at_the_quarters_end(found: Recount) -> None:
    assert {no: (t.service_tier, t.rank, t.amount_fen) for no, t in found.tiers["2018-Q1"].items()} == {
        "A1": ("vip", 1, 46000),
        "A2": ("vip", 2, 11000),
        "A3": ("general", None, 0),
        "A4": ("vip", 3, 2500),
        "A5": ("general", None, 300),
    }


def test_movements_are_found_withdrawn_and_found_anew(found: Recount) -> None:
    shown = [
        (
            m.account_no,
            m.month,
            m.revision,
            m.kind,
            m.zero_months,
            m.previous_fen,
            m.current_fen,
            m.withdrawn_reason,
            m.detected_at,
        )
        for m in found.movements
    ]
    assert shown == [
        ("A1", "2018-02", 1, "fall_over_half", None, 30000, 10000, "no_longer_true", at("2018-03-01T00:30:00")),
        ("A1", "2018-03", 1, "zero_month", 1, 16000, 0, None, at("2018-04-01T00:30:00")),
        ("A2", "2018-03", 1, "zero_month", 1, 6000, 0, None, at("2018-04-01T00:30:00")),
        ("A4", "2018-02", 1, "zero_month", 1, 2000, 0, "restated", at("2018-03-01T00:30:00")),
        ("A4", "2018-02", 2, "fall_over_half", None, 2000, 500, None, at("2018-03-20T00:30:00")),
        ("A4", "2018-03", 1, "zero_month", 1, 500, 0, None, at("2018-04-01T00:30:00")),
    ]
    assert [m.decided_current_fen for m in found.movements] == [10000, 0, 0, 0, 500, 0]


def test_each_movement_has_its_task(found: Recount) -> None:
    monthly = [t for t in found.tasks if t.kind == "movement"]
    assert [(t.account_no, t.month, t.role, t.unit_code, t.due_at, t.state) for t in monthly] == [
        ("A1", "2018-02", "outlet_staff", "O1", at("2018-04-01T00:00:00"), "cancelled"),
        ("A4", "2018-02", "outlet_staff", "B1", at("2018-04-01T00:00:00"), "cancelled"),
        ("A4", "2018-02", "outlet_staff", "B1", at("2018-04-01T00:00:00"), "overdue"),
        ("A1", "2018-03", "district_head", "D1", at("2018-07-01T00:00:00"), "open"),
        ("A2", "2018-03", "district_head", "D1", at("2018-07-01T00:00:00"), "open"),
        ("A4", "2018-03", "district_head", "D1", at("2018-07-01T00:00:00"), "open"),
    ]


def test_a_first_quarter_moves_against_nothing(found: Recount) -> None:
    assert found.quarter_movements == []
    assert found.bands == {"2018-Q1": {"A1": "A", "A2": "C", "A3": "C", "A4": "C", "A5": "C"}}
    assert found.entitled["A1"] == (True, True, "vip")
    assert found.entitled["A5"] == (False, False, "general")


def test_quarters_are_compared_branch_by_branch() -> None:
    day = date(2017, 1, 1)
    accounts = [Account(no, "B1", "D1", None, day, False) for no in ("R", "S", "U", "W", *(f"D{n}" for n in range(5)), "E", "N")]
    accounts.append(Account("X", None, None, None, day, False))
    before = {"R": 100, "S": 100, "U": 5, "W": 0, **{f"D{n}": 50 for n in range(5)}, "E": 10, "N": 0, "X": 9}
    now = {"R": 190, "S": 120, "U": 5, "W": 7, **{f"D{n}": 40 for n in range(5)}, "E": 9, "N": 500, "X": 0}
    shown = oracle.compare_quarters(accounts, before, now, {"W", "R"})
    assert {account.account_no: (kind, place) for account, kind, place in shown} == {
        "R": ("riser", 1),
        "S": ("rise", None),
        "W": ("resumed", None),
        **{f"D{n}": ("decliner", n + 1) for n in range(4)},
        "D4": ("fall", None),
    }


def test_bands_round_up() -> None:
    accounts = [Account(f"X{n:02d}", "B1", "D1", None, date(2018, 1, 1), False) for n in range(22)]
    sums = {account.account_no: 100 - n for n, account in enumerate(accounts)} | {"X21": 0}
    assert "".join(oracle.band_quarter(accounts, sums).values()) == "AABBBCCCCCCCCCCCCCCCCC"


def test_late_and_damaged_parcels_have_one_ticket_each(found: Recount) -> None:
    assert [(t.waybill_no, t.cause_hint, t.opened_at, t.due_at, t.state) for t in found.tickets] == [
        ("W2", "late", at("2018-02-07T10:00:00"), at("2018-02-09T16:00:00"), "open"),
        ("W5", "late", at("2018-03-01T00:00:00"), at("2018-03-05T15:00:00"), "open"),
        ("W5", "damaged", at("2018-02-24T17:00:00"), at("2018-02-28T14:00:00"), "open"),
    ]


@pytest.mark.parametrize(
    ("sums", "shown"),
    [
        ({"2018-02": 100, "2018-03": 50}, None),
        ({"2018-02": 101, "2018-03": 50}, ("fall_over_half", None)),
        ({"2018-02": 100}, ("zero_month", 1)),
        ({"2018-01": 100}, ("zero_month", 2)),
        ({"2017-12": 100}, ("zero_month", 3)),
        ({"2017-11": 100}, None),
        ({"2018-04": 100}, None),
        ({}, None),
        ({"2018-03": 1}, None),
        ({"2018-02": 0, "2018-01": 7}, ("zero_month", 2)),
    ],
)
def test_a_month_is_judged(sums: dict[str, int], shown: tuple[str, int | None] | None) -> None:
    assert oracle.judge(sums, "2018-03") == shown


def test_ranks_and_their_ties() -> None:
    accounts = [Account(f"X{n:02d}", f"B{n % 2}", "D", None, date(2018, 1, 1), False) for n in range(30)]
    sums = {account.account_no: 1000 for account in accounts}
    accounts[29].opened_on = date(2017, 1, 1)
    sums["X28"] = 0
    tiers = oracle.rank_quarter(accounts, sums)
    assert (tiers["X29"].service_tier, tiers["X29"].rank) == ("vip", 1)
    assert [no for no, tier in tiers.items() if tier.service_tier == "vip"] == [*(f"X0{n}" for n in range(9)), "X29"]
    assert (tiers["X09"].service_tier, tiers["X09"].rank) == ("key", 1)
    assert (tiers["X10"].service_tier, tiers["X10"].rank) == ("key", 1)
    assert sum(tier.service_tier == "key" for tier in tiers.values()) == 19
    assert (tiers["X28"].service_tier, tiers["X28"].rank) == ("general", None)


@pytest.mark.parametrize(
    ("sum_fen", "grade"), [(3000000, "diamond"), (2999999, "gold"), (600000, "gold"), (599999, "silver"), (0, "silver")]
)
def test_grades_compare_the_sum_of_three_months(sum_fen: int, grade: str) -> None:
    assert oracle.grade_of(sum_fen) == grade


def test_the_arithmetic_of_months_quarters_and_ids() -> None:
    assert [oracle.shift("2018-01", n) for n in (-1, 0, 1, 12, -13)] == ["2017-12", "2018-01", "2018-02", "2019-01", "2016-12"]
    assert [oracle.quarter_of(f"2018-{n:02d}") for n in (1, 3, 4, 12)] == ["2018-Q1", "2018-Q1", "2018-Q2", "2018-Q4"]
    assert oracle.last_day("2020-02") == date(2020, 2, 29)
    assert oracle.start_of_next_quarter(at("2018-12-31T23:59:59")) == at("2019-01-01T00:00:00")
    assert oracle.public_id("a", 1)[14] == oracle.public_id("a", 1)[19] == "8"


def test_the_holidays_written_down_here_are_those_that_were_published() -> None:
    first, last = oracle.HOLIDAYS_KNOWN
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    assert [day for day in days if oracle.is_worked(day) != is_workday(day)] == []
