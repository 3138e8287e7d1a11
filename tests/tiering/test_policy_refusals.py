"""What a policy file is refused for, with the line and the reason, and what a good one is."""

from datetime import date

import pytest

from services.tiering.policies import checking, toml
from services.tiering.policies.book import Place, Version, content_of
from services.tiering.policies.document import plain, read_document, shipped
from services.tiering.policies.versions import PolicyHistory
from shared.problems import Invalid

TREE = {
    "HQ": Place("HQ", "hq", ("HQ",)),
    "D1": Place("D1", "district", ("HQ", "D1")),
    "D2": Place("D2", "district", ("HQ", "D2")),
    "B1": Place("B1", "branch", ("HQ", "D1", "B1")),
    "B2": Place("B2", "branch", ("HQ", "D1", "B2")),
    "O1": Place("O1", "outlet", ("HQ", "D1", "B1", "O1")),
}
NEW = Version("2008-new", None, date(2000, 1, 1), content_of(shipped("2008-new")))
PUBLISHED = PolicyHistory(
    (
        NEW,
        Version("D1.1", "D1", date(2018, 1, 1), {"tiers": {"vip_top_n": 5}}, ("quarter", "grades.gold_from_fen")),
        Version("B2.1", "B2", date(2018, 1, 1), {"grades": {"diamond_from_fen": 400_000}}),
    ),
    TREE,
)
CLOSED = date(2018, 3, 1)


def refused(*lines: str, published: PolicyHistory = PUBLISHED) -> list[tuple[int, str, str]]:
    with pytest.raises(Invalid) as problem:
        checking.check("\n".join(lines), published, date(2018, 4, 10), CLOSED)
    assert (problem.value.status, problem.value.type_slug) == (422, "policy-invalid")
    return [(one["line"], one["key"], one["reason"]) for one in problem.value.extra["errors"]]


HQ = 'policy_version = "2018-x"'
B1 = 'policy_version = "B1.1"\nunit = "B1"'
D2 = 'policy_version = "D2.1"\nunit = "D2"'
REPORT = ("[[reports]]", "type = 'a'", "due_day = 1", "period = 'month'", "level = 'hq'")


@pytest.mark.row("X-14")
@pytest.mark.parametrize(
    ("lines", "line", "key", "reason"),
    [
        ([HQ, "[bands]", "a_percent = 30", "b_percent = 20"], 4, "bands.b_percent", "the bands overlap"),
        ([HQ, "", "[bands]", "# A takes more than B ends at", "a_percent = 21"], 5, "bands.a_percent", "the bands overlap"),
        ([HQ, "[tiers]", "", "vip_top_n = -1"], 4, "tiers.vip_top_n", "greater than or equal to 0"),
        ([HQ, "[quarter]", "decliner_n = -4"], 3, "quarter.decliner_n", "greater than or equal to 0"),
        ([HQ, "[grades]", "gold_from_fen = 1_000_001"], 3, "grades.gold_from_fen", "lies above its neighbour diamond_from_fen"),
        ([HQ, "[quality]", "fair_from = 80"], 3, "quality.fair_from", "lies above its neighbour good_from"),
        ([HQ, "unit = 'B9'"], 2, "unit", "there is no unit B9"),
        ([HQ, "unit = 'O1'"], 2, "unit", "the lowest unit with a policy of its own is a branch"),
        ([HQ, "[entitlements]", "non_insured_units = ['B1', 'X9']"], 3, "entitlements.non_insured_units", "no unit X9"),
        ([HQ, "effective_from = 2018-03-31"], 2, "effective_from", "2018-03-31 lies in a closed month"),
        ([HQ, "effective_from = 1999-12-31"], 2, "effective_from", "a day is wanted"),
        ([HQ, "effective_from = 'soon'"], 2, "effective_from", "a day is wanted"),
        ([HQ, "[tiers]", "kei_top_n = 3"], 3, "tiers.kei_top_n", "there is no such key"),
        ([HQ, "[teirs]", "key_top_n = 3"], 2, "teirs", "there is no such key"),
        ([HQ, "tiers = 3"], 2, "tiers", "a section is wanted"),
        ([HQ, "[tiers]", "key_top_n = inf"], 3, "tiers.key_top_n", "finite"),
        ([HQ, "[tiers]", f"key_top_n = {'9' * 5000}"], 1, "", "digits"),
        ([HQ, "[tiers]", "key_top_n = 99999999999999999999"], 3, "tiers.key_top_n", "less than or equal"),
        ([HQ, "[tiers]", "key_top_n = '12'"], 3, "tiers.key_top_n", "valid integer"),
        ([HQ, "[tiers]", "key_top_n = 12.0"], 3, "tiers.key_top_n", "valid integer"),
        ([HQ, "[tiers]", "key_top_n = true"], 3, "tiers.key_top_n", "valid integer"),
        ([HQ, "[tiers]", "zero_freight_is_general = 1"], 3, "tiers.zero_freight_is_general", "valid boolean"),
        ([HQ, "[movements]", "fall_over_percent = 101"], 3, "movements.fall_over_percent", "less than or equal to 100"),
        (["[tiers]"], 1, "policy_version", "a version is wanted"),
        (['policy_version = "a+b"'], 1, "policy_version", "a version is wanted"),
        ([HQ, "locks = ['tiers.vip']"], 2, "locks", "there is no key tiers.vip"),
        ([HQ, "locks = 'tiers'"], 2, "locks", "a list"),
        ([B1, "locks = ['tiers']"], 3, "locks", "nobody below it"),
        ([B1, "[tiers]", "vip_top_n = 3"], 4, "tiers.vip_top_n", "decided per district: a branch has no value of its own"),
        ([B1, "[bands]", "a_percent = 6"], 4, "bands.a_percent", "decided per district: a branch has no value of its own"),
        ([B1, "[quality]", "good_from = 80"], 4, "quality.good_from", "decided per hq"),
        ([D2, "[quality]", "good_from = 80"], 4, "quality.good_from", "decided per hq"),
        ([D2, "[radar]", "from_probability_percent = 80"], 4, "radar.from_probability_percent", "decided per hq"),
        ([D2, "[scores]", "late_points = 11"], 4, "scores.late_points", "decided per hq"),
        ([D2, *REPORT], 3, "reports", "decided per hq"),
        ([B1, "[quarter]", "riser_n = 2"], 4, "quarter.riser_n", "it is locked by D1 (D1.1)"),
        ([B1, "[grades]", "gold_from_fen = 1"], 4, "grades.gold_from_fen", "it is locked by D1 (D1.1)"),
        ([B1, "[grades]", "diamond_from_fen = 199_999"], 4, "grades.diamond_from_fen", "gold_from_fen (200000) lies above"),
        ([HQ, "[grades]", "gold_from_fen = 400_001"], 3, "grades.gold_from_fen", "B2 (B2.1) would contradict it"),
        ([HQ, "[tiers]", "key_top_n ="], 3, "", "Invalid value"),
        ([HQ, "[tiers]", "[tiers]"], 3, "", "Cannot declare"),
        (
            [HQ, "[[reports]]", "type = 'a'", "due_day = 0", "period = 'month'", "level = 'hq'"],
            4,
            "reports.0.due_day",
            "greater than",
        ),
        (
            [HQ, *("[[reports]]\ntype = 'a'\ndue_day = 1\nperiod = 'month'\nlevel = 'hq'\n",) * 2],
            9,
            "reports.1.type",
            "report a is listed twice",
        ),
        ([HQ, "[[responsibility]]", "scope = 'tier'", "role = 'analyst'", "level = 'hq'"], 2, "responsibility.0", "names a tier"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_bad_file_is_refused_with_the_line_and_the_reason(lines: list[str], line: int, key: str, reason: str) -> None:
    found = refused(*lines)
    assert (found[0][:2]) == (line, key), found
    assert reason in found[0][2]


def test_every_fault_is_named_in_the_order_of_the_file() -> None:
    found = refused(HQ, "[tiers]", "vip_top_n = -1", "key_top_n = 'x'", "[grades]", "gold_from_fen = 2.5")
    assert [line for line, *_ in found] == [3, 4, 6]


def test_a_file_that_is_nested_without_end_or_too_long_is_refused() -> None:
    assert refused("a = " + "[" * 50_000)[0][0] == 1
    assert "at most" in refused("#" * 100_001)[0][2]


@pytest.mark.row("X-14")
def test_a_good_file_names_only_what_it_sets_and_an_empty_one_gives_everything_back() -> None:
    draft = checking.check(f"{B1}\n[tiers]\nkey_top_n = 8 # ours\n", PUBLISHED, date(2018, 4, 10), CLOSED)
    assert (draft.policy_version, draft.unit_code, draft.content, draft.effective_from) == (
        "B1.1",
        "B1",
        {"tiers": {"key_top_n": 8}},
        None,
    )
    assert checking.check(B1, PUBLISHED, date(2018, 4, 10), CLOSED).content == {}
    root = checking.check(f"{HQ}\nunit = 'HQ'\n", PUBLISHED, date(2018, 4, 10), CLOSED)
    assert root.unit_code is None


@pytest.mark.row("T-27")
@pytest.mark.parametrize("name", ["2007-old", "2008-new"])
def test_a_document_is_written_as_a_file_that_reads_back_as_the_same(name: str) -> None:
    document = shipped(name)
    written = toml.read(toml.write(plain(document) | {"effective_from": document.effective_from}))
    assert isinstance(written, toml.Written)
    assert read_document(written.content) == document


def test_the_line_of_a_key_is_found_in_tables_of_tables() -> None:
    lines = ["a = 1", "[b]", "c.d = 2", "[[e]]", "f = 3", "[[e]]", "[[e.g]]", "h = 4", '"i" = 5', "[e.j]", "k = 6"]
    written = toml.read("\n".join(lines))
    assert isinstance(written, toml.Written)
    wanted = {"a": 1, "b.c.d": 3, "e.0.f": 5, "e.1": 6, "e.1.g.0.h": 8, "e.1.g.0.i": 9, "e.1.j.k": 11, "e.1.missing": 6, "zz": 1}
    assert {key: written.line(key) for key in wanted} == wanted
