"""Tiering over HTTP: freight, tiers, grades, movements and why, in the shapes that callers rely on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.tiering.main import app
from services.tiering.reasons import explain
from shared.db import Scope
from shared.ids import natural_id
from shared.problems import NotFound
from shared.settings import Settings
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of
from tests.tiering.make import World, account, at, charge, moved


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    async def get(self, path: str, role: str = "ops_hq", unit: str | None = "HQ", shipper: str | None = None) -> Any:
        header = bearer(self.settings, role, None if shipper else unit, account=shipper)
        answer = await self.client.get(path, headers=header)
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def items(self, path: str, role: str = "ops_hq", unit: str = "HQ") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(path, role, unit))["items"]
        return found


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


@pytest.fixture
async def quarter(world: World) -> World:
    """The first quarter of 2018 is closed: V is VIP and fell in March, K stopped in March, M moved to B3 afterwards."""
    await world.open(
        account("V", "B1"),
        account("K", "B1", outlet="O1"),
        account("B", "B2"),
        moved("M", ("B2", None, "2017-01-01"), ("B3", None, "2018-04-01")),
    )
    await world.post(
        charge("1", "V", 3_000_001, at("2018-01-10")), charge("2", "V", 1000, at("2018-03-10")),
        charge("8", "V", 5000, at("2018-02-10")),
        charge("3", "K", 700, at("2018-02-10")), charge("4", "B", 500, at("2018-03-10")), charge("5", "M", 400, at("2018-03-10")),
    )  # fmt: skip
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    return world


async def test_before_the_first_close_there_is_nothing(desk: Desk, world: World) -> None:
    await world.open(account("V"))
    assert await desk.get("/v1/accounts/V/tiers") == {"service_tier": None, "contribution_grade": None, "history": []}
    for path in ("/v1/tiers", "/v1/grades", "/v1/movements", "/v1/tiers?quarter=2018-Q1"):
        assert await desk.get(path) == {"items": [], "next_cursor": None}


async def test_freight_by_month_with_what_is_closed(desk: Desk, quarter: World) -> None:
    await quarter.post(charge("9", "V", 7, at("2018-04-02")), charge("1", "V", 0, at("2018-01-10"), version=2))
    found = await desk.get("/v1/accounts/V/freight?from=2017-12&to=2018-04")
    assert found == {
        "months": [
            {"month": "2017-12", "amount_fen": 0, "charges": 0, "closed": True},
            {"month": "2018-01", "amount_fen": 0, "charges": 1, "closed": True},
            {"month": "2018-02", "amount_fen": 5000, "charges": 1, "closed": True},
            {"month": "2018-03", "amount_fen": 1000, "charges": 1, "closed": True},
            {"month": "2018-04", "amount_fen": 7, "charges": 1, "closed": False},
        ]
    }
    assert await desk.get("/v1/accounts/V/freight?from=2018-02&to=2018-01") == 422
    assert await desk.get("/v1/accounts/V/freight?from=2008-01&to=2018-01") == 422
    assert len((await desk.get("/v1/accounts/V/freight?from=2008-02&to=2018-01"))["months"]) == 120
    assert await desk.get("/v1/accounts/V/freight?from=2018-13&to=2018-01") == 422
    assert await desk.get("/v1/accounts/V/freight") == 422
    assert await desk.get("/v1/accounts/unknown/freight?from=2018-01&to=2018-01") == 404


@pytest.mark.row("T-01", "T-02", "T-17")
async def test_the_tiers_of_a_quarter(desk: Desk, quarter: World) -> None:
    items = await desk.items("/v1/tiers")
    assert items == await desk.items("/v1/tiers?quarter=2018-Q1")
    assert items[3] == {
        "account_no": "V",
        "branch_code": "B1",
        "district_code": "D1",
        "service_tier": "vip",
        "rank": 1,
        "amount_fen": 3_006_001,
        "decision_id": str(natural_id("decision", "V", "2018-03")),
    }
    assert [(item["account_no"], item["rank"], item["branch_code"]) for item in items] == [
        ("B", 3, "B2"), ("K", 2, "B1"), ("M", 4, "B2"), ("V", 1, "B1"),
    ]  # fmt: skip
    assert [item["account_no"] for item in await desk.items("/v1/tiers?unit=B1")] == ["K", "V"]
    assert [item["account_no"] for item in await desk.items("/v1/tiers", "branch_manager", "B1")] == ["K", "V"]
    assert [item["account_no"] for item in await desk.items("/v1/tiers", "outlet_staff", "O1")] == ["K"]
    assert await desk.items("/v1/tiers?tier=key") == []
    assert await desk.items("/v1/tiers?quarter=2017-Q4") == []
    assert await desk.get("/v1/tiers?unit=B2", "branch_manager", "B1") == 404
    assert await desk.get("/v1/tiers?quarter=2018-Q5") == 422


@pytest.mark.row("T-07")
async def test_grades_by_pages(desk: Desk, quarter: World) -> None:
    first = await desk.get("/v1/grades?limit=3")
    assert [item["account_no"] for item in first["items"]] == ["B", "K", "M"]
    second = await desk.get(f"/v1/grades?limit=3&cursor={first['next_cursor']}")
    assert second["next_cursor"] is None
    assert second["items"] == [
        {
            "account_no": "V",
            "grade": "diamond",
            "average_fen": 1_002_000,
            "decision_id": str(natural_id("decision", "V", "2018-03")),
        }
    ]
    assert [item["average_fen"] for item in await desk.items("/v1/grades?month=2018-01&unit=B1")] == [0, 1_000_000]
    assert [item["grade"] for item in await desk.items("/v1/grades?month=2018-01&unit=B1")] == ["silver", "diamond"]


@pytest.mark.row("T-01", "T-07")
async def test_what_an_account_holds_since_when_and_before(desk: Desk, quarter: World) -> None:
    found = await desk.get("/v1/accounts/V/tiers", "branch_manager", "B1")
    assert found["service_tier"] == {
        "service_tier": "vip",
        "rank": 1,
        "amount_fen": 3_006_001,
        "quarter": "2018-Q1",
        "since": "2018-04-01T00:30:00+08:00",
        "decision_id": str(natural_id("decision", "V", "2018-03")),
        "band": "A",
        "focus_general": False,
        "green_channel": True,
        "special_claims": True,
        "points_plan": "vip",
    }
    assert found["contribution_grade"] == {
        "grade": "diamond",
        "month": "2018-03",
        "average_fen": 1_002_000,
        "since": "2018-02-01T00:30:00+08:00",
        "decision_id": str(natural_id("decision", "V", "2018-03")),
        "end": "high",
    }
    assert [(item["month"], item["service_tier"] is None) for item in found["history"]] == [
        ("2018-03", False), ("2018-02", True), ("2018-01", True),
    ]  # fmt: skip
    assert await desk.get("/v1/accounts/V/tiers", "branch_manager", "B2") == 404
    assert await desk.get("/v1/accounts/nobody/tiers") == 404
    assert (await desk.get("/v1/accounts/V/tiers", "shipper", shipper="V"))["service_tier"]["rank"] == 1
    assert await desk.get("/v1/accounts/V/tiers", "shipper", shipper="K") == 404


async def test_who_answers_for_an_account_today_sees_what_was_decided_before_it_came(desk: Desk, quarter: World) -> None:
    assert (await desk.get("/v1/accounts/M/tiers", "branch_manager", "B3"))["service_tier"]["rank"] == 4
    assert await desk.get("/v1/accounts/M/tiers", "branch_manager", "B2") == 404


@pytest.mark.row("T-22", "T-23")
async def test_movements_by_unit_month_kind_and_state(desk: Desk, quarter: World) -> None:
    items = await desk.items("/v1/movements")
    assert [(item["account_no"], item["month"], item["kind"], item["zero_months"]) for item in items] == [
        ("K", "2018-03", "zero_month", 1), ("V", "2018-02", "fall_over_half", None), ("V", "2018-03", "fall_over_half", None),
    ]  # fmt: skip
    assert {name: value for name, value in items[0].items() if not name.startswith("season_")} == {
        "movement_id": str(natural_id("movement", "K", "2018-03", 1)),
        "account_no": "K",
        "branch_code": "B1",
        "month": "2018-03",
        "kind": "zero_month",
        "zero_months": 1,
        "previous_fen": 700,
        "current_fen": 0,
        "state": "open",
        "detected_at": "2018-04-01T00:30:00+08:00",
        "decision_id": str(natural_id("movement-decision", "K", "2018-03", 1)),
        "priority": False,
        "responsible_role": "district_head",
        "responsible_unit": "D1",
        "in_person": False,
        "assist": [],
    }
    assert [i["account_no"] for i in await desk.items("/v1/movements?month=2018-03&kind=fall_over_half")] == ["V"]
    assert [i["account_no"] for i in await desk.items("/v1/movements?state=withdrawn")] == []
    assert [i["account_no"] for i in await desk.items("/v1/movements", "outlet_staff", "O1")] == ["K"]
    page = await desk.get("/v1/movements?limit=1")
    rest = await desk.get(f"/v1/movements?cursor={page['next_cursor']}")
    assert page["items"] + rest["items"] == items


@pytest.mark.row("T-11", "T-16", "T-64")
async def test_bands_and_entitlements_of_a_quarter(desk: Desk, quarter: World) -> None:
    items = await desk.items("/v1/bands?quarter=2018-Q1")
    assert [(item["account_no"], item["band"], item["place"], item["of"]) for item in items] == [
        ("B", "C", 3, 4), ("K", "C", 2, 4), ("M", "C", 4, 4), ("V", "A", 1, 4),
    ]  # fmt: skip
    assert items[3]["decision_id"] == str(natural_id("decision", "V", "2018-03"))
    assert [item["account_no"] for item in await desk.items("/v1/bands?band=A")] == ["V"]
    assert await desk.items("/v1/bands?quarter=2017-Q4") == []
    assert [i["account_no"] for i in await desk.items("/v1/entitlements?unit=B1", "branch_manager", "B1")] == ["K", "V"]
    entitled = await desk.get("/v1/entitlements?limit=1")
    assert entitled["quarter"] == "2018-Q1"
    assert entitled["items"] == [
        {
            "account_no": "B",
            "green_channel": True,
            "special_claims": True,
            "points_plan": "vip",
            "service_tier": "vip",
            "decision_id": str(natural_id("decision", "B", "2018-03")),
        }
    ]
    assert await desk.get("/v1/bands?unit=B2", "branch_manager", "B1") == 404


@pytest.mark.row("T-11")
async def test_a_band_that_a_late_charge_would_have_changed_says_so_beside_the_decided_one(desk: Desk, quarter: World) -> None:
    await quarter.post(charge("late", "B", 3_005_500, at("2018-03-30")))
    assert {item["restated"] for item in await desk.items("/v1/bands")} == {None}, "a fen below V in the whole quarter"
    await quarter.post(charge("later", "B", 2, at("2018-03-30")))
    items = {item["account_no"]: (item["band"], item["restated"]) for item in await desk.items("/v1/bands")}
    assert items == {"B": ("C", "A"), "K": ("C", None), "M": ("C", None), "V": ("A", "C")}


@pytest.mark.row("T-24", "T-25", "T-26")
async def test_quarterly_movements_stay_as_decided_with_todays_beside_them(desk: Desk, quarter: World) -> None:
    await quarter.post(*(charge(f"q2{name}", name, 800, at("2018-05-10")) for name in ("V", "K", "B", "M")))
    await quarter.run("2018-07-01")
    items = await desk.items("/v1/quarter-movements?quarter=2018-Q2&unit=B1")
    assert [(i["account_no"], i["kind"], i["place"], i["restated"]) for i in items] == [
        ("K", "riser", 1, None), ("V", "decliner", 1, None),
    ]  # fmt: skip
    assert items[1] == {
        "movement_id": str(natural_id("quarter-movement", "V", "2018-Q2")),
        "account_no": "V",
        "branch_code": "B1",
        "quarter": "2018-Q2",
        "kind": "decliner",
        "place": 1,
        "previous_fen": 3_006_001,
        "current_fen": 800,
        "state": "open",
        "decision_id": str(natural_id("quarter-movement-decision", "V", "2018-Q2")),
        "priority": False,
        "service_tier": "vip",
        "responsible_role": "branch_manager",
        "responsible_unit": "B1",
        "in_person": False,
        "assist": [],
        "detected_at": "2018-07-01T00:30:00+08:00",
        "restated": None,
    }
    assert [i["account_no"] for i in await desk.items("/v1/quarter-movements?kind=decliner", "branch_manager", "B1")] == ["V"]
    await quarter.post(charge("lateV", "V", 9_000_000, at("2018-06-10")))
    items = await desk.items("/v1/quarter-movements?unit=B1")
    assert [(i["account_no"], i["kind"], i["restated"]) for i in items] == [
        ("K", "riser", {"kind": None, "place": None, "previous_fen": 700, "current_fen": 800}),
        ("V", "decliner", {"kind": "riser", "place": 1, "previous_fen": 3_006_001, "current_fen": 9_000_800}),
    ]
    page = await desk.get("/v1/quarter-movements?limit=1")
    rest = await desk.get(f"/v1/quarter-movements?cursor={page['next_cursor']}")
    assert len(page["items"] + rest["items"]) == 4


@pytest.mark.row("T-02", "T-04", "T-17")
async def test_a_decision_says_why(desk: Desk, quarter: World) -> None:
    decision_id = natural_id("decision", "K", "2018-03")
    found = await desk.get(f"/v1/decisions/{decision_id}")
    assert (found["kind"], found["policy_version"], found["quarter"]) == ("tiers", "2008-new", "2018-Q1")
    assert found["inputs"] == {
        "opened_on": "2017-01-01",
        "months": [
            {"month": "2018-01", "amount_fen": 0}, {"month": "2018-02", "amount_fen": 700}, {"month": "2018-03", "amount_fen": 0},
        ],
        "sum_fen": 700,
        "zero_months": 1,
        "previous_quarter_fen": 0,
        "non_insured": False,
    }  # fmt: skip
    assert found["thresholds"] == {
        "vip_top_n": 10, "key_top_n": 12, "diamond_from_fen": 1_000_000, "gold_from_fen": 200_000, "a_percent": 5,
        "b_percent": 20, "focus_from_fen": 300_000, "claims_from_fen": 500_000,
    }  # fmt: skip
    assert found["band"] == {"band": "C", "place": 2, "of": 4}
    assert found["entitlements"] == {
        "focus_general": False, "green_channel": True, "special_claims": True, "points_plan": "vip",
    }  # fmt: skip
    assert (len(found["digest"]), found["late_charges"]) == (64, [])
    assert len(found["explanation_zh"]) == len(found["explanation"]) == 6
    assert found["explanation_zh"][1].startswith("账户K自2018-04-01起为VIP客户:2018-Q1运费7.00元,在D1区排名第2")
    assert found["neighbours"] == {
        "above": {"account_no": "V", "rank": 1, "amount_fen": 3_006_001, "service_tier": "vip", "between_fen": 3_005_301},
        "below": {"account_no": "B", "rank": 3, "amount_fen": 500, "service_tier": "vip", "between_fen": 200},
    }
    assert found["explanation"][1:3] == [
        "Account K is vip since 2018-04-01: rank 2 in district D1 in 2018-Q1 with 7.00 yuan (VIP are the first 10 of a district, "
        "key the first 12 of a branch among the rest).",
        "Next above: account V, rank 1, 30060.01 yuan, vip; 30053.01 yuan more.",
    ]
    own = await desk.get(f"/v1/decisions/{decision_id}", "branch_manager", "B1")
    assert own["neighbours"]["above"]["account_no"] == "V"
    assert own["neighbours"]["below"] is None
    assert "account B" not in " ".join(own["explanation"])
    assert await desk.get(f"/v1/decisions/{decision_id}", "branch_manager", "B2") == 404
    assert await desk.get(f"/v1/decisions/{natural_id('decision', 'X', '2018-03')}") == 404
    assert await desk.get("/v1/decisions/not-an-id") == 422


@pytest.mark.row("T-17")
async def test_the_charges_behind_a_decision_are_listed_page_by_page(desk: Desk, quarter: World) -> None:
    decision_id = natural_id("decision", "V", "2018-03")
    await quarter.post(charge("8", "V", 9000, at("2018-02-10"), version=2))
    first = await desk.get(f"/v1/decisions/{decision_id}/charges?limit=2")
    assert {name: first[name] for name in ("input_fen", "sum_fen", "charges")} == {
        "input_fen": 3_006_001, "sum_fen": 3_006_001, "charges": 3,
    }  # fmt: skip
    rest = await desk.get(f"/v1/decisions/{decision_id}/charges?limit=2&cursor={first['next_cursor']}")
    shown = [(one["charge_no"], one["version"], one["month"], one["amount_fen"]) for one in first["items"] + rest["items"]]
    assert shown == [("1", 1, "2018-01", 3_000_001), ("8", 1, "2018-02", 5000), ("2", 1, "2018-03", 1000)]
    assert rest["next_cursor"] is None
    assert first["items"][0]["event_id"] == str(charge("1", "V", 3_000_001, at("2018-01-10")).event_id)
    movement = await desk.get(f"/v1/decisions/{natural_id('movement-decision', 'V', '2018-03', 1)}/charges")
    assert [one["charge_no"] for one in movement["items"]] == ["8", "2"]
    assert await desk.get(f"/v1/decisions/{decision_id}/charges", "branch_manager", "B2") == 404
    assert await desk.get(f"/v1/decisions/{natural_id('decision', 'X', '2018-03')}/charges") == 404


@pytest.mark.row("T-25", "T-26", "T-34")
async def test_the_decision_of_a_quarterly_movement_says_why_beside_whom_and_who_answers(desk: Desk, quarter: World) -> None:
    await quarter.post(charge("q2V", "V", 800, at("2018-05-10")), charge("late", "V", 9, at("2018-03-30")))
    await quarter.run("2018-07-01")
    found = await desk.get(f"/v1/decisions/{natural_id('quarter-movement-decision', 'K', '2018-Q2')}")
    assert (found["kind"], found["quarter"], found["quarter_movement"]["place"]) == ("quarter_movement", "2018-Q2", 2)
    assert found["explanation"] == [
        "Account K, 2018-Q2: one of the largest falls of branch B1, place 2 of 4 (7.00 yuan in 2018-Q1, 0.00 in 2018-Q2; policy "
        "2008-new).",
        "Next above: account V moved by 30052.10 yuan, 30045.10 yuan apart.",
        "The branch_manager of B1 answers for it.",
    ]
    assert found["explanation_zh"][-1] == "由B1分部经理负责维护。"
    decided = await desk.get(f"/v1/decisions/{natural_id('decision', 'V', '2018-03')}")
    assert [(late["charge_no"], late["month"], late["change_fen"]) for late in decided["late_charges"]] == [
        ("late", "2018-03", 9)
    ]
    assert (
        await desk.get(f"/v1/decisions/{natural_id('quarter-movement-decision', 'K', '2018-Q2')}", "branch_manager", "B2") == 404
    )


async def test_the_decision_of_a_movement_keeps_what_it_was_taken_on(desk: Desk, quarter: World) -> None:
    await quarter.post(charge("7", "V", 300, at("2018-03-11")))
    await quarter.run("2018-04-03")
    found = await desk.get(f"/v1/decisions/{natural_id('movement-decision', 'V', '2018-03', 1)}")
    assert found["kind"] == "movement"
    assert (found["movement"]["decided_current_fen"], found["movement"]["current_fen"]) == (1000, 1300)
    assert found["explanation"] == [
        "Account V, 2018-03: freight fell by 80.0 % (50.00 yuan in 2018-02, 10.00 in 2018-03), found on 2018-04-01 "
        "(policy 2008-new).",
        "Restated since: 50.00 yuan in 2018-02, 13.00 in 2018-03.",
    ]


async def test_why_for_the_command_line(quarter: World) -> None:
    async with quarter.db.transaction(Scope(everything=True)) as session:
        found = await explain(session, "V")
        assert [decision["kind"] for decision in found["decisions"]] == ["tiers"]
        assert [row["month"] for row in found["movements"]] == ["2018-03", "2018-02"]
        assert found["text"].startswith("Account V is diamond since 2018-02-01: 30060.01 yuan in 2018-01 to 2018-03")
        with pytest.raises(NotFound):
            await explain(session, "nobody")
