"""Information quality: five grades, exactly on the cut-offs."""

import pytest

from services.tiering.policies.document import Quality
from services.tiering.reports.figures import Cell
from services.tiering.reports.maintenance import ranked
from services.tiering.reports.quality import Records, grade_of, graded, mean, ratio, score


@pytest.mark.row("T-46")
@pytest.mark.parametrize(
    ("on_time", "complete", "grade"),
    [
        (100, 100, "excellent"),
        (100, 80, "excellent"),  # 90 exactly
        (99, 80, "good"),  # 89.5
        (75, 75, "good"),
        (74, 75, "fair"),
        (20, 100, "fair"),  # 60 exactly
        (60, 59, "poor"),
        (80, 0, "poor"),  # 40 exactly
        (79, 0, "very_poor"),
        (0, 0, "very_poor"),
    ],
)
def test_half_on_time_half_complete_in_five_grades(on_time, complete, grade):
    assert grade_of(Records(100, on_time, 100, complete), Quality()) == grade


@pytest.mark.row("T-46")
def test_the_score_is_compared_exactly_not_rounded():
    almost = Records(1000, 800, 1000, 999)  # 89.95, shown as 90.0
    assert (score(almost, 50), grade_of(almost, Quality())) == (90.0, "good")


@pytest.mark.row("T-46")
def test_without_a_record_there_is_no_grade_rather_than_the_worst():
    assert grade_of(Records(0, 0, 0, 0), Quality()) is None
    assert score(Records(0, 0, 0, 0), 50) is None


@pytest.mark.row("T-46")
def test_cut_offs_and_weight_are_the_policys():
    records = Records(10, 10, 10, 0)
    assert grade_of(records, Quality(on_time_weight=100)) == "excellent"
    assert grade_of(records, Quality(on_time_weight=0)) == "very_poor"
    assert grade_of(records, Quality(excellent_from=50, good_from=40, fair_from=30, poor_from=20)) == "excellent"


@pytest.mark.parametrize(("points", "grade"), [(90, "excellent"), (75, "good"), (60, "fair"), (40, "poor"), (39, "very_poor")])
def test_the_same_cut_offs_grade_the_whole(points, grade):
    assert graded(points, 1, Quality()) == grade


@pytest.mark.row("T-45")
def test_the_ratio_has_no_value_where_nobody_is_assigned():
    assert (ratio(0, 0), ratio(0, 3), ratio(1, 3), ratio(2, 2)) == (None, 0.0, 33.3, 100.0)
    assert (mean([]), mean([None]), mean([50.0, None, 100.0])) == (None, None, 75.0)


@pytest.mark.row("T-47")
def test_equal_values_share_a_place_and_no_data_has_none():
    cells = {
        "B1": Cell(assigned=4, touched=2),
        "B2": Cell(),
        "B3": Cell(assigned=2, touched=1),
        "B4": Cell(assigned=4, touched=1),
    }
    found = ranked(cells, lambda cell: ratio(cell.touched, cell.assigned))
    assert found == [[1, "B1", 50.0], [1, "B3", 50.0], [3, "B4", 25.0], [None, "B2", None]]
