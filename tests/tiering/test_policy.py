"""The rules as plain functions, at their boundaries."""

from datetime import date

import pytest

from services.tiering.policies.document import shipped
from services.tiering.policy import (
    Contender,
    Movement,
    average_fen,
    change_of,
    grade_for,
    movement_for,
    service_tiers,
    zero_run,
)

POLICY = shipped("2008-new")


@pytest.mark.row("T-07", "T-09")
@pytest.mark.parametrize(
    ("sum_fen", "grade"),
    [
        (3 * 1_000_000, "diamond"),
        (3 * 1_000_000 - 1, "gold"),
        (3 * 999_999, "gold"),
        (3 * 200_000, "gold"),
        (3 * 200_000 - 1, "silver"),
        (3 * 199_999, "silver"),
        (0, "silver"),
    ],
)
def test_grades_compare_the_sum_with_three_times_the_threshold(sum_fen: int, grade: str) -> None:
    assert grade_for(sum_fen, POLICY) == grade


@pytest.mark.row("T-07")
def test_the_average_shown_may_reach_a_threshold_that_the_sum_misses_by_rounding_only() -> None:
    assert (average_fen(600_000), average_fen(600_002), average_fen(599_999)) == (200_000, 200_000, 199_999)


@pytest.mark.row("T-22")
@pytest.mark.parametrize(
    ("amounts", "falls"),
    [([100, 50], False), ([100, 49], True), ([101, 50], True), ([3, 1], True), ([2, 1], False), ([0, 5], False), ([5, 9], False)],
)
def test_exactly_half_is_no_fall(amounts: list[int], falls: bool) -> None:
    expected = Movement("fall_over_half", None, *amounts) if falls else None
    assert movement_for(amounts, POLICY) == expected


@pytest.mark.row("T-23")
def test_the_first_three_zero_months_of_a_run_are_movements_and_the_run_is_counted_on() -> None:
    months = [0, 0, 7, 0, 0, 0, 0, 0]
    found = [movement_for(months[: n + 1], POLICY) for n in range(len(months))]
    assert [item and item.zero_months for item in found] == [None, None, None, 1, 2, 3, None, None]
    assert [zero_run(months[: n + 1]) for n in range(len(months))] == [None, None, None, 1, 2, 3, 4, 5]
    assert found[3] == Movement("zero_month", 1, 7, 0)


def _contender(number: int, fen: int, branch: str | None = "B1", opened: str = "2017-01-01") -> Contender:
    district = {"B1": "D1", "B2": "D1", "B3": "D2", "B9": None, None: None}[branch]
    return Contender(f"A{number:03d}", date.fromisoformat(opened), branch, district, fen)


@pytest.mark.row("T-01", "T-02", "T-04", "T-06")
def test_ten_vips_of_the_district_then_twelve_key_accounts_of_each_branch_then_general() -> None:
    accounts = [_contender(n, 10_000 - n, "B1" if n % 2 else "B2") for n in range(60)]
    tiers = service_tiers(accounts, POLICY)
    assert [tiers[f"A{n:03d}"] for n in range(10)] == [("vip", n + 1) for n in range(10)]
    assert [tiers[f"A{n:03d}"] for n in range(10, 34)] == [("key", n // 2 - 4) for n in range(10, 34)]
    assert tiers["A034"] == ("general", 13)


@pytest.mark.row("T-17")
def test_ties_at_rank_10_and_12_go_to_the_longer_tenure_and_then_the_number() -> None:
    accounts = [_contender(n, 100) for n in range(40)]
    accounts[30] = _contender(30, 100, opened="2016-12-31")
    tiers = service_tiers(accounts, POLICY)
    assert tiers["A030"] == ("vip", 1)
    assert (tiers["A008"], tiers["A009"]) == (("vip", 10), ("key", 1))
    assert (tiers["A020"], tiers["A021"]) == (("key", 12), ("general", 13))


@pytest.mark.row("T-06")
def test_without_freight_or_branch_an_account_is_general_and_unranked() -> None:
    tiers = service_tiers([_contender(1, 0), _contender(2, 50, None), _contender(3, 50, "B9")], POLICY)
    assert tiers == {"A001": ("general", None), "A002": ("general", None), "A003": ("key", 1)}


def test_what_restated_totals_do_to_a_movement() -> None:
    fall, zero = Movement("fall_over_half", None, 100, 20), Movement("zero_month", 1, 100, 0)
    assert change_of(None, None) is None
    assert change_of(fall, fall) is None
    assert change_of(None, zero) == "open"
    assert change_of(fall, None) == "withdraw"
    assert change_of(fall, fall._replace(current_fen=30)) == "restate"
    assert change_of(fall, zero) == "replace"
    assert change_of(zero, zero._replace(zero_months=2)) == "replace"
