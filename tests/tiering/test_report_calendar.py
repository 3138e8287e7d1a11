"""When reports are due, and when they are late."""

from datetime import date

import pytest

from services.tiering.policies import document
from services.tiering.reports.calendar import Period, due_at, due_on, is_late, period_ending
from services.tiering.reports.kinds import kind_of
from tests.tiering.make import at

MARCH = Period("month", date(2018, 3, 1), date(2018, 3, 1))
QUARTER = Period("quarter", date(2018, 1, 1), date(2018, 3, 1))


@pytest.mark.row("T-38", "T-39", "T-40")
def test_the_old_policy_has_its_reports_and_days():
    reports = {report.type: report for report in document.shipped("2007-old").reports}
    days = {name: (report.period, report.due_day, report.level) for name, report in reports.items()}
    assert days == {
        "movement_monthly": ("month", 12, "district"),
        "quarterly_analysis": ("quarter", 15, "district"),
        "quarterly_network": ("quarter", 15, "hq"),
    }
    assert kind_of("movement_monthly").title == "异动客户分析报告"
    assert kind_of("quarterly_analysis").title == "月结客户季度分析报告"
    assert reports["quarterly_network"].title == "全网月结客户季度分析报告"


@pytest.mark.row("T-41", "T-42", "T-43", "T-44")
def test_the_new_policy_has_its_reports_days_and_recipients():
    reports = {report.type: report for report in document.shipped("2008-new").reports}
    days = {name: (report.period, report.due_day, report.level, report.visible_to) for name, report in reports.items()}
    assert days == {
        "maintenance_monthly": ("month", 4, "district", "addressees"),
        "monthly_analysis": ("month", 12, "district", "addressees"),
        "quarterly_district": ("quarter", 15, "district", "addressees"),
        "quarterly_network": ("quarter", 20, "hq", "all"),
    }
    assert {name: kind_of(name).title for name in days} == {
        "maintenance_monthly": "月结客户分层管理维护实施总结(月度)",
        "monthly_analysis": "月结客户月度分析报告",
        "quarterly_district": "月结分层管理实施总结",
        "quarterly_network": "全网月结分层管理实施总结",
    }
    monthly = reports["maintenance_monthly"]
    assert (monthly.to, monthly.cc) == (("district_head", "ops_hq"), ("cust_mgmt_office",))
    assert reports["quarterly_district"].to == ("district_head", "ops_hq")


@pytest.mark.parametrize(
    ("period", "due_day", "expected"),
    [
        (MARCH, 4, date(2018, 4, 4)),
        (QUARTER, 15, date(2018, 4, 15)),  # a Sunday: not moved
        (QUARTER, 20, date(2018, 4, 20)),
        (Period("month", date(2018, 1, 1), date(2018, 1, 1)), 30, date(2018, 2, 28)),
        (Period("month", date(2020, 1, 1), date(2020, 1, 1)), 30, date(2020, 2, 29)),
        (Period("month", date(2018, 12, 1), date(2018, 12, 1)), 31, date(2019, 1, 31)),
        (Period("quarter", date(2017, 10, 1), date(2017, 12, 1)), 15, date(2018, 1, 15)),
    ],
)
def test_a_report_is_due_in_the_month_after_its_period(period, due_day, expected):
    assert due_on(period, due_day) == expected


@pytest.mark.row("T-41")
@pytest.mark.parametrize(
    ("day", "time", "late"),
    [("2018-04-04", "00:00:00", False), ("2018-04-04", "23:59:59", False), ("2018-04-05", "00:00:00", True)],
)
def test_by_the_4th_means_24_00_of_the_4th(day, time, late):
    assert is_late(date(2018, 4, 4), at(day, time)) is late


def test_24_00_is_the_first_instant_of_the_next_day_in_shanghai():
    assert due_at(date(2018, 4, 30)) == at("2018-05-01", "00:00:00")


def test_a_quarter_ends_with_its_third_month_only():
    assert period_ending("quarter", date(2018, 2, 1)) is None
    assert period_ending("quarter", date(2018, 3, 1)) == QUARTER
    assert period_ending("month", date(2018, 2, 1)) == Period("month", date(2018, 2, 1), date(2018, 2, 1))
    assert (QUARTER.text, MARCH.text, QUARTER.ends_at) == ("2018-Q1", "2018-03", at("2018-04-01", "00:00:00"))
