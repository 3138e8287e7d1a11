"""The way of a policy over HTTP: drafted, tried on history, approved by a second person, published for a day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.cli import policies
from services.cli.client import Door
from services.cli.common import CommandError
from services.tiering.main import app
from services.tiering.trials import requests as trials
from shared.settings import Settings
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of
from tests.tiering.make import World, account, at, charge

B1 = 'policy_version = "B1.1"\nunit = "B1"\n\n[tiers]\nkey_top_n = 1\n'


@dataclass
class Desk:
    """The running service, its worker's trials, and people of a name, a role and a unit."""

    client: httpx2.AsyncClient
    settings: Settings
    world: World

    async def call(self, method: str, path: str, body: Any = None, who: str = "ann/branch_manager/B1") -> tuple[int, Any]:
        person, role, unit = who.split("/")
        answer = await self.client.request(method, path, json=body, headers=bearer(self.settings, role, unit, person=person))
        return answer.status_code, answer.json()

    async def refused(self, method: str, path: str, body: Any = None, who: str = "ann/branch_manager/B1") -> tuple[int, str]:
        status, problem = await self.call(method, path, body, who)
        return status, problem["type"].removeprefix("/problems/")

    async def tried(self, version: str, first: str = "2018-01", last: str = "2018-03", who: str = "ann/branch_manager/B1") -> Any:
        status, asked = await self.call("POST", f"/v1/policies/{version}/trials", {"from": first, "to": last}, who)
        assert (status, asked["state"]) == (202, "waiting"), asked
        while await trials.run_next(self.world.db):
            pass
        return (await self.call("GET", f"/v1/policy-trials/{asked['trial_id']}", who=who))[1]


BOSS = "bob/district_head/D1"
HQ = "hal/ops_hq/HQ"


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    await world.open(account("A", "B1"), account("B", "B1"), account("C", "B2"), account("D", "B3"))
    amounts = {"A": (900, 900, 900), "B": (800, 800, 300), "C": (700, 700, 700)}
    await world.post(
        *(
            charge(f"{n}{m}", n, fen, at(f"2018-0{m}-10"))
            for n, months in amounts.items()
            for m, fen in enumerate(months, start=1)
        )
    )
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings, world)


@pytest.mark.row("X-14")
async def test_a_version_is_drafted_tried_approved_by_a_second_person_and_published(desk: Desk) -> None:
    status, drafted = await desk.call("POST", "/v1/policies", {"document": B1})
    assert (status, drafted["state"], drafted["author"], drafted["unit_code"], drafted["sets"]) == (
        201, "draft", "ann", "B1", ["tiers.key_top_n"],
    )  # fmt: skip
    publication = ("POST", "/v1/policies/B1.1/publication", {"effective_from": "2018-04-01"}, BOSS)
    assert await desk.refused("POST", "/v1/policies/B1.1/approval", None, BOSS) == (409, "policy-not-tried")
    assert await desk.refused(*publication) == (409, "policy-not-approved")
    await desk.tried("B1.1")
    assert (await desk.call("GET", "/v1/policies/B1.1"))[1]["state"] == "tried"
    assert await desk.refused(*publication) == (409, "policy-not-approved")
    assert await desk.refused("POST", "/v1/policies/B1.1/approval", None, "ann/district_head/D1") == (403, "policy-own-approval")
    assert await desk.refused("POST", "/v1/policies/B1.1/approval", None, "ann/branch_manager/B1") == (403, "role-not-allowed")
    status, approved = await desk.call("POST", "/v1/policies/B1.1/approval", None, BOSS)
    assert (status, approved["state"], approved["approver"]) == (200, "approved", "bob")
    closed = {"effective_from": "2018-03-31"}
    status, problem = await desk.call("POST", "/v1/policies/B1.1/publication", closed, BOSS)
    assert (status, problem["type"], problem["errors"][0]["key"]) == (422, "/problems/policy-invalid", "effective_from")
    assert await desk.refused("POST", "/v1/policies/B1.1/publication", {}, BOSS) == (422, "policy-invalid")
    status, published = await desk.call(*publication)
    assert (status, published["state"], published["effective_from"]) == (200, "published", "2018-04-01")
    assert await desk.refused(*publication) == (409, "policy-published")
    assert await desk.refused("POST", "/v1/policies", {"document": B1}) == (409, "policy-published")
    with pytest.raises(IntegrityError, match="nobody edits it"):
        await desk.world.rows("UPDATE policy_versions SET content = '{}' WHERE policy_version = 'B1.1' RETURNING 1")
    await desk.world.run("2018-05-01")
    versions = await desk.world.rows(
        "SELECT DISTINCT branch_code, policy_version FROM decisions WHERE month = '2018-04-01' ORDER BY 1"
    )
    assert [tuple(row.values()) for row in versions] == [("B1", "2008-new+B1.1"), ("B2", "2008-new"), ("B3", "2008-new")]


@pytest.mark.row("X-14")
async def test_a_draft_that_changes_is_tried_and_approved_anew(desk: Desk) -> None:
    await desk.call("POST", "/v1/policies", {"document": B1})
    await desk.tried("B1.1")
    await desk.call("POST", "/v1/policies/B1.1/approval", None, BOSS)
    status, again = await desk.call("POST", "/v1/policies", {"document": B1.replace("= 1", "= 2")})
    assert (status, again["state"], again["approver"], again["trial_id"]) == (201, "draft", None, None)
    assert await desk.refused("POST", "/v1/policies/B1.1/publication", {"effective_from": "2018-05-01"}, BOSS) == (
        409,
        "policy-not-approved",
    )


@pytest.mark.row("X-14")
async def test_two_versions_of_a_unit_never_begin_on_one_day_and_a_name_stays_with_its_unit(desk: Desk) -> None:
    await desk.world.publish("B1.0", "2018-06-01", "B1")
    await desk.call("POST", "/v1/policies", {"document": B1})
    await desk.tried("B1.1")
    await desk.call("POST", "/v1/policies/B1.1/approval", None, BOSS)
    taken = ("POST", "/v1/policies/B1.1/publication", {"effective_from": "2018-06-01"}, BOSS)
    assert await desk.refused(*taken) == (409, "policy-date-taken")
    other = {"document": B1.replace('"B1"', '"B2"')}
    assert await desk.refused("POST", "/v1/policies", other, "eve/branch_manager/B2") == (409, "policy-version-taken")


@pytest.mark.row("X-14")
async def test_what_was_locked_meanwhile_is_refused_at_the_publication(desk: Desk) -> None:
    await desk.call("POST", "/v1/policies", {"document": B1})
    await desk.tried("B1.1")
    await desk.call("POST", "/v1/policies/B1.1/approval", None, BOSS)
    await desk.world.publish("D1.1", "2018-04-02", "D1", locks=["tiers.key_top_n"])
    status, problem = await desk.call("POST", "/v1/policies/B1.1/publication", {"effective_from": "2018-04-02"}, BOSS)
    assert (status, problem["errors"]) == (
        422,
        [{"line": 5, "key": "tiers.key_top_n", "reason": "it is locked by D1 (D1.1)"}],
    )


@pytest.mark.row("X-14")
async def test_a_unit_sees_what_it_inherits_from_whom_and_what_it_may_change(desk: Desk) -> None:
    await desk.world.publish("D1.1", "2018-04-01", "D1", locks=["quarter"], tiers={"vip_top_n": 5}, quarter={"riser_n": 2})
    await desk.world.publish("B1.1", "2018-05-01", "B1", tiers={"key_top_n": 8})

    async def effective(query: str = "", who: str = "ann/branch_manager/B1") -> dict[str, tuple[Any, ...]]:
        status, found = await desk.call("GET", f"/v1/policies/effective{query}", who=who)
        assert status == 200, found
        values = {
            row["key"]: (
                row["value"],
                row["unit_code"],
                row["policy_version"],
                row["locked"],
                row["locked_by"],
                row["may_change"],
            )
            for row in found["values"]
        }
        return values | {"version": (found["policy_version"],)}

    april, may = await effective("?day=2018-04-30"), await effective("?day=2018-05-01")
    assert april["tiers.key_top_n"] == (12, None, "2008-new", False, None, True)
    assert may["tiers.key_top_n"] == (8, "B1", "B1.1", False, None, True)
    assert may["tiers.vip_top_n"] == (5, "D1", "D1.1", False, None, False)
    assert may["quarter.riser_n"] == (2, "D1", "D1.1", True, "D1", False)
    assert may["focus.focus_from_fen"] == (300_000, None, None, False, None, True)
    assert (april["version"], may["version"]) == (("2008-new+D1.1",), ("2008-new+D1.1+B1.1",))
    district = await effective("?day=2018-05-01", BOSS)
    assert (district["quarter.riser_n"], district["tiers.key_top_n"]) == (
        (2, "D1", "D1.1", True, "D1", True),
        (12, None, "2008-new", False, None, True),
    )
    assert (await effective(who="eve/branch_manager/B3"))["tiers.vip_top_n"][:2] == (10, None)
    assert await desk.refused("GET", "/v1/policies/effective?unit=B2") == (404, "not-found")


@pytest.mark.row("X-14")
async def test_versions_are_listed_by_key_and_drafted_within_ones_unit(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.world.publish(f"B1.{number}", f"2018-05-0{number}", "B1")
    await desk.world.publish("B3.1", "2018-05-01", "B3")
    first = (await desk.call("GET", "/v1/policies?limit=2"))[1]
    second = (await desk.call("GET", f"/v1/policies?limit=2&cursor={first['next_cursor']}"))[1]
    assert [item["policy_version"] for item in first["items"] + second["items"]] == ["B1.1", "B1.2", "B1.3"]
    everything = (await desk.call("GET", "/v1/policies", who=HQ))[1]["items"]
    assert [item["policy_version"] for item in everything] == ["2007-old", "2008-new", "B1.1", "B1.2", "B1.3", "B3.1"]
    drafts = (await desk.call("GET", "/v1/policies?state=draft", who=HQ))[1]["items"]
    assert [item["policy_version"] for item in drafts] == ["2007-old"]
    for document in (B1.replace('"B1"', '"B3"'), 'policy_version = "2018-x"', 'policy_version = "2018-x"\nunit = "D1"'):
        assert await desk.refused("POST", "/v1/policies", {"document": document}) == (404, "not-found")
        assert await desk.refused("POST", "/v1/policy-checks", {"document": document}) == (404, "not-found")
    status, checked = await desk.call("POST", "/v1/policy-checks", {"document": B1})
    assert (status, checked["policy_version"], checked["sets"]) == (200, "B1.1", ["tiers.key_top_n"])


async def test_a_trial_shows_who_moves_and_what_it_would_bring(desk: Desk) -> None:
    """With no VIP, one key account and falls from 90 %: A is key instead of VIP, B general, and B's fall of March is none."""
    document = (
        'policy_version = "2018-x"\n[tiers]\nvip_top_n = 0\nkey_top_n = 1\n[movements]\nfall_over_percent = 90\n'
        "[[reports]]\ntype = 'monthly_analysis'\ndue_day = 10\nperiod = 'month'\nlevel = 'district'\n"
    )
    before = await _everything(desk.world)
    assert (await desk.call("POST", "/v1/policies", {"document": document}, HQ))[0] == 201
    trial = await desk.tried("2018-x", who=HQ)
    assert (trial["state"], trial["done_steps"], trial["steps"], trial["compared_with"]) == ("done", 4, 4, ["2008-new", "2018-x"])
    tiers = trial["total"]["service_tier"]
    assert tiers["today"] == {"vip": 3, "general": 1}
    assert tiers["tried"] == {"key": 2, "general": 2}
    assert tiers["changes"] == {"vip>key": 2, "vip>general": 1}
    assert tiers["down"] == 3
    assert "up" not in tiers
    assert trial["months"]["2018-03"]["movements"]["monthly"]["fall_over_half"] == {
        "today": 1,
        "tried": 0,
        "gained": 0,
        "lost": 1,
    }
    assert trial["total"]["tasks"] == {"district_head": {"today": 1, "tried": 0}}
    reports = {
        row["type"]: (row["today_due_day"], row["tried_due_day"], row["becomes"], row["issues"]) for row in trial["reports"]
    }
    assert reports["monthly_analysis"] == (12, 10, "changed", 1)
    assert reports["quarterly_network"] == (20, None, "gone", 1)
    own = (await desk.call("GET", f"/v1/policy-trials/{trial['trial_id']}", who="eve/branch_manager/B2"))[1]
    assert own["total"]["service_tier"]["changes"] == {"vip>key": 1}
    branches = (await desk.call("GET", f"/v1/policy-trials/{trial['trial_id']}/branches", who=BOSS))[1]["items"]
    assert [(item["unit_code"], item["total"]["service_tier"]["down"]) for item in branches] == [("B1", 2), ("B2", 1)]
    moved = (await desk.call("GET", f"/v1/policy-trials/{trial['trial_id']}/accounts", who=BOSS))[1]["items"]
    assert {item["axis"] for item in moved} == {"service_tier", "green_channel", "special_claims", "points_plan"}
    assert [
        (item["account_no"], item["month"], item["today"], item["tried"]) for item in moved if item["axis"] == "service_tier"
    ] == [
        ("A", "2018-03", "vip", "key"),
        ("B", "2018-03", "vip", "general"),
        ("C", "2018-03", "vip", "key"),
    ]
    assert trial["total"]["green_channel"]["changes"] == {"true>false": 3}
    assert trial["total"]["points_plan"]["changes"] == {"vip>key": 2, "vip>general": 1}
    assert await _everything(desk.world) == before


async def _everything(world: World) -> list[Any]:
    """What a trial may not touch."""
    tables = ("decisions", "movements", "month_closes", "outbox")
    return [await world.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]


@pytest.mark.row("T-27")
async def test_without_the_quarterly_rules_their_movements_and_tasks_are_lost(desk: Desk) -> None:
    await desk.world.post(charge("A4", "A", 900, at("2018-04-10")), charge("C5", "C", 9000, at("2018-05-10")))
    await desk.world.run("2018-07-01")
    await desk.call("POST", "/v1/policies", {"document": 'policy_version = "monthly"\n[quarter]\njudged = false'}, HQ)
    trial = await desk.tried("monthly", "2018-04", "2018-06", who=HQ)
    found = await desk.world.rows("SELECT kind, count(*) AS n FROM quarter_movements GROUP BY kind ORDER BY kind")
    assert {row["kind"]: row["n"] for row in found} == {"decliner": 2, "riser": 1}
    assert trial["months"]["2018-06"]["movements"]["quarterly"] == {
        row["kind"]: {"today": row["n"], "tried": 0, "gained": 0, "lost": row["n"]} for row in found
    }
    tasks = trial["months"]["2018-06"]["tasks"]
    assert tasks["branch_manager"]["today"] - tasks["branch_manager"]["tried"] == 3


async def test_the_same_policy_tried_shows_no_difference_and_what_the_closes_decided(desk: Desk) -> None:
    await desk.call("POST", "/v1/policies", {"document": 'policy_version = "same"'}, HQ)
    trial = await desk.tried("same", who=HQ)
    assert all("changes" not in counts for counts in trial["total"].values())
    decided = await desk.world.rows("SELECT service_tier, count(*) AS n FROM decisions WHERE month = '2018-03-01' GROUP BY 1")
    assert trial["total"]["service_tier"]["today"] == {row["service_tier"]: row["n"] for row in decided}
    found = await desk.world.rows("SELECT count(*) AS n FROM movements WHERE state = 'open'")
    assert sum(kind["today"] for kind in trial["total"]["movements"]["monthly"].values()) == found[0]["n"]


async def test_a_trial_cut_short_is_begun_again_and_one_that_cannot_be_done_says_why(desk: Desk) -> None:
    await desk.call("POST", "/v1/policies", {"document": B1})
    body = {"from": "2018-01", "to": "2018-01"}
    asked = (await desk.call("POST", "/v1/policies/B1.1/trials", body))[1]
    async with desk.world.db.transaction() as session:
        await session.execute(text("UPDATE policy_trials SET state = 'running', done_steps = 1"))
    assert await trials.run_next(desk.world.db)
    assert (await desk.call("GET", f"/v1/policy-trials/{asked['trial_id']}"))[1]["state"] == "done"
    asked = (await desk.call("POST", "/v1/policies/B1.1/trials", body))[1]
    await desk.call("POST", "/v1/policies", {"document": B1.replace("= 1", "= 2")})
    assert await trials.run_next(desk.world.db)
    failed = (await desk.call("GET", f"/v1/policy-trials/{asked['trial_id']}"))[1]
    assert (failed["state"], "drafted anew" in failed["error"]) == ("failed", True)
    assert not await trials.run_next(desk.world.db)


@pytest.mark.parametrize(("first", "last"), [("2018-03", "2018-02"), ("2015-01", "2018-01"), ("2018-01", "2018-04")])
async def test_a_trial_is_of_up_to_36_closed_months(desk: Desk, first: str, last: str) -> None:
    await desk.call("POST", "/v1/policies", {"document": B1})
    assert await desk.refused("POST", "/v1/policies/B1.1/trials", {"from": first, "to": last}) == (422, "trial-months")


async def test_a_trial_of_months_before_the_service_knows_anybody_is_empty(desk: Desk) -> None:
    await desk.call("POST", "/v1/policies", {"document": B1})
    trial = await desk.tried("B1.1", "2016-01", "2016-01")
    assert (trial["state"], trial["total"]) == ("done", {})


async def test_the_command_names_the_lines_and_shows_a_trial(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def door(_service: str, role: str, unit: str | None = None, person: str | None = None) -> AsyncIterator[Door]:
        desk.client.headers.update(bearer(desk.settings, role, unit or "HQ", person=person))
        yield Door(desk.client)

    async def worker() -> None:
        while not await trials.run_next(desk.world.db):  # noqa: ASYNC110 - it asks the database
            await asyncio.sleep(0.05)

    monkeypatch.setattr(policies, "door", door)
    file = tmp_path / "new.toml"
    file.write_text('policy_version = "2018-x"\n[tiers]\nvip_top_n = -1\nkey = 1\n', encoding="utf-8")
    with pytest.raises(CommandError) as refused:
        await policies._send("/v1/policy-checks", str(file), "ops_hq", None, None)
    assert str(refused.value).splitlines() == [f"{file}:4: tiers.key: there is no such key"]
    file.write_text('policy_version = "2018-x"\n[tiers]\nvip_top_n = 0\n', encoding="utf-8")
    months = {"from": "2018-02", "to": "2018-03"}
    (found, branches), _ = await asyncio.gather(
        policies._try(str(file), file.read_text(encoding="utf-8"), months, "ops_hq", None, "ann"), worker()
    )
    policies._show_trial(found, branches, as_json=False)
    said = capsys.readouterr().out
    assert "2018-x beside 2008-new, 2018-02 to 2018-03" in said
    assert ("0/2" in said, "true>false" in said, f"crm policy trial {found['trial_id']}" in said) == (True, True, True)
    with pytest.raises(CommandError, match="a second person"):
        await policies._ask("POST", "/v1/policies/2018-x/approval", None, "ops_hq", None, "ann")
