"""Key figures, service levels and average amounts: what they say where something is known, and that nothing is never 0."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from services.tiering import kpis
from services.tiering.main import app
from services.tiering.models import Score
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of
from tests.tiering.make import World, account, at, charge

TICKET = text(
    "INSERT INTO ticket_facts (ticket_id, account_no, branch_code, ticket_class, priority, state, opened_at, due_at, "
    "resolved_at, sequence) VALUES (gen_random_uuid(), :account, :branch, :class, 'P3', :state, :opened, :opened, :resolved, 1)"
)
CONTACT = text(
    "INSERT INTO contact_facts (contact_id, task_id, account_no, channel, contacted_at, entered_at, late, blocks_filled, blocks, "
    "actor_role, unit_code, sequence) VALUES (gen_random_uuid(), gen_random_uuid(), :account, :channel, :at, :at, false, 0, "
    "'{}', 'branch_manager', 'B1', 1)"
)

INTEGERS = (
    "version", "recency_score", "frequency_score", "money_score", "rule_risk", "base_risk", "jump", "risk", "at_risk_fen",
    "forecast_fen", "low_fen", "high_fen",
)  # fmt: skip


class Desk:
    """Somebody who reads figures."""

    def __init__(self, client: Any, settings: Any, world: World) -> None:
        self.client, self.settings, self.world = client, settings, world

    async def get(self, path: str, unit: str = "HQ", role: str = "ops_hq") -> Any:
        answer = await self.client.get(path, headers=bearer(self.settings, role, unit))
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def kpi(self, code: str, path: str = "/v1/kpis", unit: str = "HQ") -> dict[str, Any]:
        found = await self.get(path, unit)
        one: dict[str, Any] = next(one for one in found["kpis"] if one["code"] == code)
        return one

    async def ticket(
        self, account_no: str | None, opened: Any, resolved: Any = None, branch: str | None = None, **more: Any
    ) -> None:
        row = {
            "account": account_no,
            "branch": branch,
            "opened": opened,
            "resolved": resolved,
            "class": "complaint",
            "state": "open",
        }
        async with self.world.db.transaction() as session:
            await session.execute(TICKET, row | more)

    async def forget_scores(self) -> None:
        async with self.world.db.transaction() as session:
            await session.execute(text("DELETE FROM scores"))

    async def score(self, *rows: tuple[str, str, int]) -> None:
        numbers = dict.fromkeys((*INTEGERS, "expected_months", "silence"), 1)
        async with self.world.db.transaction() as session:
            for account_no, month, clv_fen in rows:
                row = {
                    "account_no": account_no,
                    "month": date.fromisoformat(month),
                    "by_model": False,
                    **numbers,
                    "clv_fen": clv_fen,
                }
                await session.execute(insert(Score), row)

    async def contact(self, account_no: str, channel: str, when: Any) -> None:
        async with self.world.db.transaction() as session:
            await session.execute(CONTACT, {"account": account_no, "channel": channel, "at": when})


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    await world.open(account("V", "B1"), account("K", "B1"), account("B", "B2"), account("X", "B3"))
    await world.post(
        charge("1", "V", 900_000, at("2017-11-10")), charge("7", "K", 20_000, at("2017-12-10")),
        charge("2", "V", 600_000, at("2018-01-10")), charge("3", "V", 600_000, at("2018-02-10")),
        charge("4", "K", 100_000, at("2018-02-10")), charge("5", "B", 50_000, at("2018-03-10")),
        charge("6", "X", 400, at("2018-03-10")),
    )  # fmt: skip
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    async with serving(app, settings) as client:
        yield Desk(client, settings, world)


@pytest.mark.row("T-57")
async def test_six_figures_with_formula_owner_target_and_trend(desk: Desk) -> None:
    found = await desk.get("/v1/kpis")
    assert (found["unit_code"], found["month"], found["policy_version"]) == ("HQ", "2018-03", "2008-new")
    assert [one["code"] for one in found["kpis"]] == [
        "clv", "cac", "csat", "complaint_resolution_rate", "complaint_resolution_duration", "nps",
    ]  # fmt: skip
    targets = {one["code"]: one["target"] for one in found["kpis"]}
    assert targets == {
        "clv": 1_000_000, "cac": 50_000, "csat": 90, "complaint_resolution_rate": 95, "complaint_resolution_duration": 48,
        "nps": 50,
    }  # fmt: skip
    assert {one["code"]: one["formula"] for one in found["kpis"]} == {
        "clv": "sum of the accounts' expected value (scores) / scored accounts",
        "cac": "cost of acquisition in the month / accounts opened in the month",
        "csat": "answers 4 and 5 of 5 / all answers of satisfaction surveys × 100",
        "complaint_resolution_rate": (
            "complaints opened in the month and resolved by now / complaints opened in the month × 100"
        ),
        "complaint_resolution_duration": "mean of the hours from opening to resolution of complaints resolved in the month",
        "nps": "(answers 9 and 10 − answers 0 to 6) / all answers × 100",
    }
    assert {one["code"] for one in found["kpis"] if one["better"] == "lower"} == {"cac", "complaint_resolution_duration"}
    for one in found["kpis"]:
        assert one["owner"] in ("planning", "cust_mgmt_office")
        assert [point["month"] for point in one["trend"]][:2] == ["2017-04", "2017-05"]
        assert len(one["trend"]) == 12


@pytest.mark.row("T-57")
async def test_what_nobody_publishes_is_no_data_and_never_0(desk: Desk) -> None:
    found = await desk.get("/v1/kpis")
    for one in found["kpis"]:
        if one["code"] != "clv":
            assert (one["value"], one["status"]) == (None, "no_data"), one["code"]
            assert one["reason"]
            assert {point["value"] for point in one["trend"]} == {None}
    assert "无数据" not in str(found["document"]["sections"][0]["tables"][0]["rows"]), "in the document it is null"


@pytest.mark.row("T-57")
async def test_complaints_resolved_and_how_long_it_took(desk: Desk) -> None:
    await desk.ticket("V", at("2018-03-05", "08:00:00"), at("2018-03-06", "08:00:00"))
    await desk.ticket("V", at("2018-03-31", "23:59:59"), at("2018-04-01", "23:59:59"))
    await desk.ticket("K", at("2018-03-05"))
    await desk.ticket(None, at("2018-03-05", "00:00:00"), at("2018-03-05", "12:00:00"), branch="B2")
    await desk.ticket("X", at("2018-02-28", "23:59:59"), at("2018-03-01", "23:59:59"))
    await desk.ticket("V", at("2018-03-05"), **{"class": "enquiry"})
    await desk.ticket("V", at("2018-03-05"), state="refuted")
    rate = await desk.kpi("complaint_resolution_rate")
    assert (rate["value"], rate["status"]) == (75, "missed"), "three of four opened in March"
    assert [point["value"] for point in rate["trend"]][-3:] == [None, 100, 75]
    duration = await desk.kpi("complaint_resolution_duration")
    assert (duration["value"], duration["status"]) == (20, "met"), "24, 12 and 24 hours were ended in March"
    assert (await desk.kpi("complaint_resolution_rate", "/v1/kpis?unit=B1"))["value"] == 66.67
    assert (await desk.kpi("complaint_resolution_rate", "/v1/kpis", "B2"))["value"] == 100
    assert (await desk.kpi("complaint_resolution_rate", "/v1/kpis?month=2018-02"))["value"] == 100
    assert (await desk.kpi("complaint_resolution_rate", "/v1/kpis?month=2018-01"))["status"] == "no_data"
    await desk.ticket("B", at("2018-01-01", "00:00:00"), at("2018-01-03", "00:00:00"))
    assert (await desk.kpi("complaint_resolution_duration", "/v1/kpis?month=2018-01"))["status"] == "met", "48 hours are enough"
    assert await desk.get("/v1/kpis?unit=B2", "B1") == 404
    assert (await desk.get("/v1/kpis?month=2000-01"))["kpis"][0]["trend"][0]["month"] == "1999-02"


@pytest.mark.row("T-57")
async def test_the_lifetime_value_is_the_mean_of_the_scored_accounts(desk: Desk) -> None:
    await desk.forget_scores()
    assert (await desk.kpi("clv"))["status"] == "no_data"
    await desk.score(
        ("V", "2018-03-01", 3_000_000), ("K", "2018-03-01", 1_000_000), ("X", "2018-03-01", 0), ("V", "2018-02-01", 500)
    )
    clv = await desk.kpi("clv")
    assert (clv["value"], clv["status"], clv["reason"]) == (1_333_333, "met", None)
    assert [point["value"] for point in clv["trend"]][-3:] == [None, 500, 1_333_333]
    assert (await desk.kpi("clv", "/v1/kpis", "D1"))["value"] == 2_000_000
    await desk.score(("B", "2018-03-01", 1_000_000))
    at_target = await desk.kpi("clv", "/v1/kpis", "B2")
    assert (at_target["value"], at_target["status"]) == (1_000_000, "met"), "exactly the target is met"
    missed = await desk.kpi("clv", "/v1/kpis", "B3")
    assert (missed["value"], missed["status"]) == (0, "missed"), "a value of 0 is known"
    table = (await desk.get("/v1/kpis"))["document"]["sections"][0]["tables"][0]
    assert table["rows"][0][2:5] == [12_500, 10_000, "元"]


@pytest.mark.row("T-59")
async def test_the_tree_has_value_satisfaction_and_loyalty_as_aims(desk: Desk) -> None:
    found = await desk.get("/v1/kpis")
    assert {aim["aim"]: aim["kpis"] for aim in found["aims"]} == {
        "value": ["clv", "cac"],
        "satisfaction": ["csat", "complaint_resolution_rate", "complaint_resolution_duration"],
        "loyalty": ["nps"],
    }
    assert sorted(code for aim in found["aims"] for code in aim["kpis"]) == sorted(one.code for one in kpis.KPIS)
    assert found["document"]["sections"][0]["paragraphs"][2] == "客户忠诚: 净推荐值 NPS"


@pytest.mark.row("T-58")
async def test_without_contacts_told_cost_is_no_data(desk: Desk) -> None:
    found = await desk.get("/v1/service-levels")
    assert (found["quarter"], found["levels"]) == ("2018-Q1", [])
    vip = found["tiers"][0]
    assert (vip["accounts"], vip["freight_fen"], vip["cost_fen"], vip["cost_percent"]) == (4, 1_350_400, None, None)


@pytest.mark.row("T-58")
async def test_cost_and_freight_by_tier_with_a_marginal_view(desk: Desk) -> None:
    for channel, day in (("visit", "2018-01-01"), ("phone", "2018-03-31"), ("visit", "2017-12-31"), ("visit", "2018-04-01")):
        await desk.contact("V", channel, at(day))
    await desk.contact("K", "sms", at("2018-02-01"))
    await desk.ticket("K", at("2018-02-01"))
    await desk.ticket("K", at("2018-02-01"), state="refuted")
    found = await desk.get("/v1/service-levels?quarter=2018-Q1")
    assert found["assumptions"]["visit_fen"] == 8_000
    vip = found["tiers"][0]
    assert (vip["contacts"], vip["tickets"], vip["cost_fen"]) == (3, 1, 8_000 + 800 + 10 + 2_000)
    assert (vip["cost_per_account_fen"], vip["freight_per_account_fen"]) == (2_702, 337_600)
    assert vip["cost_percent"] == 0.8
    levels = {level["level"]: level for level in found["levels"]}
    assert {name: level["accounts"] for name, level in levels.items()} == {"0 次": 2, "1 次": 1, "2 次": 1}
    assert levels["0 次"]["marginal_cost_fen"] is None
    assert levels["0 次"]["change_per_account_fen"] == 25_200
    assert (levels["1 次"]["cost_per_account_fen"], levels["1 次"]["change_per_account_fen"]) == (2_010, 80_000)
    assert (levels["2 次"]["marginal_cost_fen"], levels["2 次"]["marginal_margin_fen"]) == (6_790, (300_000 - 80_000) * 15 // 100)
    assert [name for name, level in levels.items() if level["best"]] == ["2 次"]
    assert any("不是核算结果" in note for note in found["document"]["notes"])
    assert await desk.get("/v1/service-levels?quarter=2018-Q2") == 404
    of_b2 = await desk.get("/v1/service-levels", "B2", "branch_manager")
    assert [(tier["accounts"], tier["freight_fen"]) for tier in of_b2["tiers"]] == [(1, 50_000), (0, 0), (0, 0)]
    for day in range(1, 7):
        await desk.contact("V", "visit", at(f"2018-02-0{day}"))
    levels = (await desk.get("/v1/service-levels?quarter=2018-Q1"))["levels"]
    # The largest rise of freight no longer pays: 45,000 of margin for 56,800 of visits.
    assert [(level["level"], level["best"]) for level in levels] == [
        ("0 次", False), ("1 次", True), ("3 次及以上", False),
    ]  # fmt: skip


@pytest.mark.row("T-51")
async def test_the_average_amount_per_account_of_a_year_of_the_unit_and_below(desk: Desk) -> None:
    await desk.world.post(charge("11", "V", 80_000, at("2017-10-10")))
    found = await desk.get("/v1/average-amounts", "D1", "district_head")
    assert (found["unit_code"], found["through"]) == ("D1", "2018-03")
    figures = [
        (one["unit_code"], one["year"], one["months"], one["accounts"], one["average_fen"], one["monthly_average_fen"])
        for one in found["items"]
    ]
    assert figures == [
        ("D1", "2017", 3, 2, 500_000, 333_333),
        ("D1", "2018", 3, 3, 450_000, 337_500),
        ("B1", "2017", 3, 2, 500_000, 333_333),
        ("B1", "2018", 2, 2, 650_000, 433_333),
        ("B2", "2018", 1, 1, 50_000, 50_000),
    ]
    assert [one["change_percent"] for one in found["items"]] == [None, 1.25, None, 30.0, None]
    (section,) = found["document"]["sections"]
    assert "当年有运费的账户数" in section["paragraphs"][0]
    assert section["charts"][0]["series"] == {"D1": [500_000, 450_000], "B1": [500_000, 650_000], "B2": [None, 50_000]}
    assert {one["unit_code"] for one in (await desk.get("/v1/average-amounts"))["items"]} == {"HQ", "D1", "D2"}
    assert await desk.get("/v1/average-amounts?unit=D2", "D1", "district_head") == 404
    await desk.world.post(charge("9", "V", 10_000_000, at("2018-04-02")), charge("10", "B", 0, at("2018-01-10")))
    after = (await desk.get("/v1/average-amounts", "D1", "district_head"))["items"]
    assert after == found["items"], "April is not closed, and a month without an amount is none with freight"
