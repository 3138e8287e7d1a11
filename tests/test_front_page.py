"""The page at `/`: plain, safe to fill with what others wrote, and honest about where the parcels come from."""

import pytest

from services.suite import page
from services.suite.history import Choice, origin

CLOCK = {"clock": "2018-10-01T01:00:00+08:00", "replay": {"state": "done", "business_date": "2018-10-01"}}


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (Choice("/local/history", "d", simulated=True), "Simulated history has been replayed"),
        (Choice("/data/olist", "d", simulated=False), "History of /data/olist has been replayed"),
    ],
)
def test_simulated_history_is_called_so(chosen: Choice, sentence: str) -> None:
    assert sentence in page.render(CLOCK, origin(chosen), [], None, "http://127.0.0.1:8000")


def test_what_others_named_cannot_add_to_the_page() -> None:
    shown = page.render(CLOCK, "<b>", [("<i>", "<u>")], "token", "http://127.0.0.1:8000")
    assert not any(tag in shown for tag in ("<b> has", "<i>", "<u>"))
    assert "&lt;i&gt;" in shown
    assert "&lt;u&gt;" in shown


def test_without_keys_of_its_own_the_suite_shows_no_token() -> None:
    assert "Bearer" not in page.render(CLOCK, "History", [("A1", "B1")], None, "http://127.0.0.1:8000")
    assert "Bearer token" in page.render(CLOCK, "History", [("A1", "B1")], "token", "http://127.0.0.1:8000")
