"""A district's reports over HTTP and time: made at the close, gaps, frozen, signed, late, re-issued."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import freight
from services.tiering.main import app
from services.tiering.models import ReportRow
from services.tiering.policies import document
from services.tiering.policies.book import Place
from services.tiering.rendering.document import Column, Document, Section, Table
from services.tiering.reports import changes, clock
from services.tiering.reports.building import assemble
from services.tiering.reports.documents import digest_of, to_plain
from services.tiering.schedules import SCHEDULES
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Dispatcher
from shared.db import Database, Scope
from shared.events.envelope import Event
from shared.events.retention import TaskCancelled, TaskDone, TaskOpened, TaskOverdue, TaskState
from shared.events.tickets import TicketOpened, TicketRefuted, TicketResolved
from shared.ids import natural_id
from shared.months import parse_month
from shared.rounds import Rounds
from shared.scheduler import Schedule, Scheduler
from shared.settings import Settings
from tests.conftest import Server
from tests.deliveries import deliver
from tests.serving import bearer, serving, settings_of
from tests.tiering.conftest import Kept
from tests.tiering.make import World, account, at, charge, moved
from tests.tiering.test_facts import contact, ticket

BLOCKS = ("cause", "satisfaction", "other_needs", "competitor", "news_passed_on")
STATES = {TaskOpened: "open", TaskDone: "done", TaskOverdue: "overdue", TaskCancelled: "cancelled"}
MONTHLY = natural_id("report", "maintenance_monthly", "D1", "2018-04")
QUARTERLY = natural_id("report", "quarterly_district", "D1", "2018-Q2")
NETWORK = natural_id("report", "quarterly_network", "HQ", "2018-Q2")
ANALYSIS = natural_id("report", "monthly_analysis", "D1", "2018-04")


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    async def ask(self, method: str, path: str, as_: str = "analyst", of: str = "D1", **body: Any) -> Any:
        header = bearer(self.settings, as_, of)
        answer = await self.client.request(method, path, headers=header, **({"json": body} if body else {}))
        return answer.json() if answer.is_success else answer.status_code

    async def get(self, path: str, as_: str = "analyst", of: str = "D1") -> Any:
        return await self.ask("GET", path, as_, of)

    async def post(self, path: str, as_: str = "analyst", of: str = "D1", **body: Any) -> Any:
        return await self.ask("POST", path, as_, of, **body)

    async def document(self, report: Any, as_: str = "analyst", of: str = "D1") -> Any:
        return await self.get(f"/v1/reports/{report}/document.json", as_, of)


@pytest.fixture
async def desk(world: World, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


def task(event: type[TaskState], account_no: str, role: str, unit: str, changed_at: Any, **values: Any) -> TaskState:
    movement = natural_id("movement", account_no, "2018-03", 1)
    fields = {
        "task_id": natural_id("task", str(movement)), "kind": "movement", "account_no": account_no, "role": role,
        "unit_code": unit, "state": STATES[event], "due_at": at("2018-07-01", "00:00:00"), "movement_id": movement,
        "month": parse_month("2018-03"), "movement_kind": "fall_over_half", "changed_at": changed_at, "version": 1,
    }  # fmt: skip
    return event(**fields | values)


def talk(number: int, account_no: str, role: str, unit: str, day: str, **values: Any) -> Event:
    task_id = natural_id("task", str(natural_id("movement", account_no, "2018-03", 1)))
    given = {"task_id": task_id, "contacted_at": at(day), "entered_at": at(day, "13:00:00")}
    return contact(number, account_no=account_no, role=role, unit_code=unit, **(given | values))


async def happen(world: World, *events: Event) -> None:
    async with world.db.transaction() as session:
        assert await Dispatcher("tiering", SUBSCRIPTIONS).handle(session, [deliver(event) for event in events]) == []


OPENED = at("2018-04-01", "00:30:00")


async def make_april(world: World) -> None:
    """Ten VIPs of D1 fill its places; K1, K2 are key of B1, K3 of B2; G is general of outlet O1. K1, K2, K3 fell in March.

    In April K1 was visited (all five blocks, in time), K2 was called late with one block, K3 and the VIPs were not touched.
    """
    await world.open(
        *(account(f"V{n:02}", "B1" if n % 2 else "B2") for n in range(10)),
        account("K1", "B1"), account("K2", "B1"), account("K3", "B2"), account("G", "B1", outlet="O1"),
        *(account(f"F{n:02}", "B1") for n in range(10)),
    )  # fmt: skip
    charges = []
    for month in (1, 2, 3, 4):
        day = at(f"2018-{month:02}-10")
        charges += [charge(f"V{n:02}-{month}", f"V{n:02}", 2_000_000, day) for n in range(10)]
        fallen = 1 if month < 3 else 4
        charges += [charge(f"K{n}-{month}", f"K{n}", 800_000 // fallen, day) for n in (1, 2, 3)]
        charges += [charge(f"F{n:02}-{month}", f"F{n:02}", 100_000, day) for n in range(10)]
        if month == 1:
            charges.append(charge("G-1", "G", 50_000, day))
    await world.post(*charges)
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    await happen(
        world,
        task(TaskOpened, "K1", "branch_manager", "B1", OPENED),
        task(TaskOpened, "K2", "branch_manager", "B1", OPENED),
        task(TaskOpened, "K3", "branch_manager", "B2", OPENED),
        talk(1, "K1", "branch_manager", "B1", "2018-04-10", blocks=BLOCKS),
        task(TaskDone, "K1", "branch_manager", "B1", at("2018-04-10", "14:00:00"), version=2),
        talk(2, "K2", "branch_manager", "B1", "2018-04-11", late=True, entered_at=at("2018-04-25")),
        ticket(TicketOpened, "open", account_no="K1", opened_at=at("2018-04-05"), due_at=at("2018-04-06")),
        ticket(TicketOpened, "open", ticket_id=natural_id("t", 2), account_no="K3", opened_at=at("2018-04-07"),
               due_at=at("2018-04-20"), ticket_class="complaint", cause_hint="damaged"),
        ticket(TicketResolved, "resolved", at("2018-04-08"), ticket_id=natural_id("t", 2), account_no="K3",
               opened_at=at("2018-04-07"), due_at=at("2018-04-20"), ticket_class="complaint", cause_hint="damaged",
               cause_code="sorting", version=2),
    )  # fmt: skip
    await world.run("2018-05-01")


@pytest.fixture
async def april(world: World, kept: Kept) -> World:
    return await kept.lay(world, "april", make_april)


def section(made: dict[str, Any], heading: str) -> dict[str, Any]:
    (found,) = [one for one in made["sections"] if heading in one["heading"]]
    return found


def rows(made: dict[str, Any], heading: str, table: int = 0) -> list[Any]:
    return section(made, heading)["tables"][table]["rows"]


def names(table: dict[str, Any]) -> list[str]:
    return [one["name"] for one in table["columns"]]


async def set_clock(world: World, day: str, time: str) -> None:
    async with world.db.transaction() as session:
        await session.execute(text("UPDATE business_clock SET at = :at"), {"at": at(day, time)})


@pytest.mark.row("T-41", "X-10")
async def test_a_monthly_summary_is_made_at_the_close_for_each_district_with_recipients_from_the_tree(desk, april):
    listed = await desk.get("/v1/reports?type=maintenance_monthly&period=2018-04", "ops_hq", "HQ")
    assert [(one["unit_code"], one["due_on"], one["due_at"], one["state"]) for one in listed["items"]] == [
        (unit, "2018-05-04", "2018-05-05T00:00:00+08:00", "open") for unit in sorted(("D1", "D2"), key=unit_id)
    ]
    read = await desk.get(f"/v1/reports/{MONTHLY}")
    assert read["recipients"] == {
        "to": [{"role": "district_head", "unit_code": "D1"}, {"role": "ops_hq", "unit_code": "HQ"}],
        "cc": [{"role": "cust_mgmt_office", "unit_code": "HQ"}],
        "sign": ["analyst", "district_head"],
    }
    assert (read["title"], read["rest_day"], read["late"]) == ("月结客户分层管理维护实施总结(月度)", False, False)
    other = await desk.get(f"/v1/reports/{unit_id('D2')}", "ops_hq", "HQ")
    assert [one["unit_code"] for one in other["recipients"]["to"]] == ["D2", "HQ"]


def unit_id(unit: str) -> str:
    return str(natural_id("report", "maintenance_monthly", unit, "2018-04"))


@pytest.mark.row("T-45")
async def test_count_and_ratio_of_maintenance_per_responsible(desk, april):
    assert rows(await desk.document(MONTHLY), "Maintenance count") == [
        ["分部经理 branch manager", "B1", 12, 2, 2, 16.7, 2, 1, 0],
        ["分部经理 branch manager", "B2", 1, 0, 0, 0.0, 1, 0, 0],
        ["区总 district head", "D1", 10, 0, 0, 0.0, 0, 0, 0],
        ["点部 outlet", "O1", 1, 0, 0, 0.0, 0, 0, 0],
        ["合计 total", "D1", 24, 2, 2, 8.3, 3, 1, 0],
    ]


@pytest.mark.row("T-45")
async def test_a_monthly_summary_has_its_sections_and_judges_the_whole_by_branch(desk, april):
    said = await desk.document(MONTHLY)
    assert [one["heading"].partition(" ")[0] for one in said["sections"]] == [
        "维护次数与维护比例", "信息完成质量", "客户问题跟进与解决", "综合评价", "分部比较",
    ]  # fmt: skip
    # The mean of ratio, quality and problems solved; B2 has no record, so of two of them.
    assert rows(said, "综合评价") == [
        ["B2", 0.0, None, 100.0, 50.0, "较差 poor"],
        ["B1", 11.1, 50.0, 0.0, 20.4, "非常差 very poor"],
    ]


@pytest.mark.row("T-45")
async def test_assigned_are_the_accounts_of_the_tier_that_was_in_force_in_the_period(desk, april):
    """G becomes VIP at the close of the second quarter; in the quarter itself the outlet answered for it."""
    await april.post(charge("G-5", "G", 90_000_000, at("2018-05-10")))
    for day in ("2018-06-01", "2018-07-01"):
        await april.run(day)
    (decided,) = await april.rows("SELECT service_tier FROM decisions WHERE account_no = 'G' AND month = '2018-06-01'")
    assert decided == {"service_tier": "vip"}
    found = {(row[0], row[1]): row[2] for row in rows(await desk.document(QUARTERLY), "Maintenance count")}
    assert (found["点部 outlet", "O1"], found["区总 district head", "D1"]) == (1, 10)


@pytest.mark.row("T-45")
async def test_a_district_without_accounts_has_no_ratio_rather_than_0(desk, april):
    said = await desk.document(unit_id("D2"), "ops_hq", "HQ")
    assert rows(said, "Maintenance count") == [["合计 total", "D2", 0, 0, 0, None, 0, 0, 0]]


@pytest.mark.row("T-45")
async def test_a_contact_of_another_month_is_not_of_this_one(desk, april):
    await happen(
        april,
        talk(3, "K3", "branch_manager", "B2", "2018-05-01"),
        talk(4, "K3", "branch_manager", "B2", "2018-03-31"),
        talk(5, "V01", "district_head", "D1", "2018-04-30", contacted_at=at("2018-04-30", "23:59:59")),
        talk(6, "V02", "district_head", "D1", "2018-05-01", contacted_at=at("2018-05-01", "00:00:00")),
        talk(7, "V03", "district_head", "D1", "2018-04-01", contacted_at=at("2018-04-01", "00:00:00")),
        talk(8, "V03", "district_head", "D1", "2018-04-02"),
    )
    found = {(row[0], row[1]): row[3:6] for row in rows(await desk.document(MONTHLY), "Maintenance count")}
    assert (found["分部经理 branch manager", "B2"], found["区总 district head", "D1"]) == ([0, 0, 0.0], [2, 3, 20.0])


@pytest.mark.row("T-45")
async def test_problems_and_tasks_are_of_the_month_from_its_first_instant_to_its_last(desk, april):
    first, last, after = at("2018-04-01", "00:00:00"), at("2018-04-30", "23:59:59"), at("2018-05-01", "00:00:00")
    due, now = at("2018-04-10"), at("2018-05-01", "00:30:00")
    told = [  # opened, due, resolved: all of B2
        (at("2018-03-31", "23:59:59"), due, None), (first, due, due), (first, due, at("2018-04-10", "12:00:01")),
        (last, now, None), (last, at("2018-05-01", "00:30:01"), None), (after, now, None),
    ]  # fmt: skip
    for number, (opened, due_at, resolved) in enumerate(told, 10):
        of = {"ticket_id": natural_id("t", number), "account_no": "V02", "opened_at": opened, "due_at": due_at}
        await happen(april, ticket(TicketOpened, "open", **of))
        if resolved:
            await happen(april, ticket(TicketResolved, "resolved", resolved, version=2, **of))
    late, before = at("2018-05-01", "00:00:01"), at("2018-03-31", "23:59:59")
    owed = [  # opened, what came of it, when, due: all of the district head
        ("V01", after, None, None, now), ("V02", OPENED, TaskOverdue, late, late), ("V03", OPENED, TaskDone, first, now),
        ("V05", OPENED, TaskDone, before, now), ("V07", last, TaskDone, after, now), ("V09", OPENED, TaskOverdue, after, after),
    ]  # fmt: skip
    for name, opened, came, when, due_at in owed:
        await happen(april, task(TaskOpened, name, "district_head", "D1", opened, due_at=due_at))
        if came:
            await happen(april, task(came, name, "district_head", "D1", when, version=2, due_at=due_at))
    said = await desk.document(MONTHLY)
    assert rows(said, "Problems followed up")[1] == ["B2", 5, 3, 60.0, 40.0, 1]
    (head,) = [row for row in rows(said, "Maintenance count") if row[0].startswith("区总")]
    assert head[6:] == [4, 1, 1], "V02, V03, V07 and V09; one was done in it, one was overdue at its end"


@pytest.mark.row("T-45", "T-46")
async def test_quality_by_timeliness_and_completeness_with_a_grade_given_by_a_person(desk, april):
    before = rows(await desk.document(MONTHLY), "Information quality")
    assert before[0] == ["分部经理 branch manager", "B1", 2, 50.0, 50.0, 50.0, "较差 poor", "较差 poor", ""]
    assert before[1] == ["分部经理 branch manager", "B2", 0, None, None, None, None, None, ""]
    given = {"role": "branch_manager", "unit_code": "B1", "grade": "good", "reason": "the phone line was down"}
    note = await desk.post(f"/v1/reports/{MONTHLY}/quality", **given)
    assert (note["kind"], note["grade"]) == ("quality", "good")
    (row, *_) = rows(await desk.document(MONTHLY), "Information quality")
    assert row[6:] == ["较差 poor", "良好 good", "the phone line was down (local-analyst)"]
    assert await desk.post(f"/v1/reports/{MONTHLY}/quality", **(given | {"unit_code": "B9"})) == 422
    assert await desk.post(f"/v1/reports/{MONTHLY}/quality", **(given | {"grade": "splendid"})) == 422
    assert await desk.post(f"/v1/reports/{MONTHLY}/quality", **{k: v for k, v in given.items() if k != "reason"}) == 422
    assert await desk.post(f"/v1/reports/{MONTHLY}/quality", **(given | {"reason": ""})) == 422
    assert await desk.post(f"/v1/reports/{MONTHLY}/quality", "branch_manager", "B1", **given) == 403
    await happen(april, talk(8, "K3", "branch_manager", "B2", "2018-04-20", blocks=BLOCKS[:4]))
    (_, row, *_) = rows(await desk.document(MONTHLY), "Information quality")
    assert row[1:7] == ["B2", 1, 100.0, 0.0, 50.0, "较差 poor"]  # four blocks are not all five


@pytest.mark.row("T-45", "T-48")
async def test_problems_their_causes_and_the_analysts_advice(desk, april):
    await desk.post(f"/v1/reports/{ANALYSIS}/advice", text="Ask sorting for a second shift.")
    refuted = {"ticket_id": natural_id("t", 3), "account_no": "K2", "opened_at": at("2018-04-09"), "due_at": at("2018-04-10")}
    late = refuted | {"ticket_id": natural_id("t", 4)}
    await happen(
        april,
        ticket(TicketOpened, "open", **refuted),
        ticket(TicketRefuted, "refuted", at("2018-04-12"), version=2, **refuted),
        ticket(TicketOpened, "open", **late),
        ticket(TicketResolved, "resolved", at("2018-04-12"), version=2, cause_code="sorting", **late),
    )
    said = await desk.document(ANALYSIS)
    problems = "Problems followed up"
    assert rows(said, problems) == [
        ["B1", 2, 1, 50.0, 0.0, 1],
        ["B2", 1, 1, 100.0, 100.0, 0],
        ["D1 合计 total", 3, 2, 66.7, 33.3, 1],
    ]
    assert rows(said, problems, 1) == [["sorting", 2, 2, 0], ["late", 1, 0, 1]]
    assert [row[1] for row in rows(said, problems, 2)] == ["K1"]
    assert section(said, problems)["paragraphs"] == ["建议 Advice: Ask sorting for a second shift. (local-analyst)"]


@pytest.mark.row("T-47")
async def test_branches_are_compared_by_each_measure(desk, april):
    league = section(await desk.document(MONTHLY), "Branches compared")["tables"]
    assert [table["columns"][2]["name"] for table in league] == ["ratio", "frequency", "on_time", "complete", "solved", "amount"]
    assert league[0]["rows"] == [[1, "B1", 11.1], [2, "B2", 0.0]]
    assert league[1]["rows"] == [[1, "B1", 0.11], [2, "B2", 0.0]]
    assert league[2]["rows"] == league[3]["rows"] == [[1, "B1", 50.0], [None, "B2", None]]
    assert league[4]["rows"] == [[1, "B2", 100.0], [2, "B1", 0.0]]
    assert league[5]["rows"] == [[1, "B2", 17_000.0], [2, "B1", 6_705.88]]  # of B1's 18 accounts G had no freight


@pytest.mark.row("T-42")
async def test_the_movement_report_is_a_section_of_the_monthly_analysis(desk, april):
    said = await desk.document(ANALYSIS)
    assert (await desk.get(f"/v1/reports/{ANALYSIS}"))["due_on"] == "2018-05-12"
    assert rows(said, "异动客户", 0) == [["B1", "零发件 zero month", 1, 1, 0]]
    assert [row[0] for row in rows(said, "异动客户", 1)] == ["G"]
    await april.post(charge("G-4", "G", 50_000, at("2018-04-30")))
    await april.run("2018-05-02")
    after = await desk.document(ANALYSIS)
    assert rows(after, "异动客户", 0) == [["B1", "零发件 zero month", 1, 0, None]], "withdrawn: counted, but it stands no more"
    assert [(row[0], row[7]) for row in rows(after, "异动客户", 1)] == [("G", "withdrawn")]


@pytest.mark.row("T-50")
async def test_average_amount_and_churn_by_tier_with_both_formulas(desk, april):
    said = await desk.document(ANALYSIS)
    found = rows(said, "户均金额与流失率")
    assert found[0] == ["VIP", 20_000_000, 20_000_000, 0.0, 10, 2_000_000, 10, 0, 0.0]
    assert found[1] == ["重点 key", 1_600_000, 1_600_000, 0.0, 13, 123_077, 13, 0, 0.0]
    # G had freight in January alone: at the start of April it counted, at its end it has had none for three months.
    assert found[2] == ["一般 general", 0, 0, None, 0, None, 1, 1, 100.0]
    # Neither G nor E, who has never shipped, had any in the three months before May: nobody could be lost.
    await april.open(account("E", "B1"))
    await april.run("2018-06-01")
    may = await desk.document(natural_id("report", "monthly_analysis", "D1", "2018-05"))
    assert rows(may, "户均金额与流失率")[2][6:] == [0, 0, None]
    formulas = " ".join(section(said, "户均金额与流失率")["paragraphs"])
    assert "freight of the period ÷ accounts with freight in it" in formulas
    assert "accounts lost in the period ÷ accounts at its start" in formulas
    # At the end of March G had had none for two months only.
    march = await desk.document(natural_id("report", "monthly_analysis", "D1", "2018-03"))
    assert rows(march, "户均金额与流失率")[2] == ["一般 general", 0, 0, None, 0, None, 1, 0, 0.0]
    first = await desk.document(natural_id("report", "monthly_analysis", "D1", "2018-01"))
    assert [row[6:] for row in rows(first, "户均金额与流失率")] == [[None, None, None]] * 2


async def test_gaps_are_listed_before_the_day_comes(desk, april):
    gaps = await desk.get(f"/v1/reports/{MONTHLY}/gaps")
    assert (gaps["due_on"], gaps["days_left"]) == ("2018-05-04", 3)
    assert gaps["branches"] == [
        {"branch_code": "B1", "assigned": 18, "untouched": 16, "incomplete": 1, "overdue": 0},
        {"branch_code": "B2", "assigned": 6, "untouched": 6, "incomplete": 0, "overdue": 0},
    ]
    assert [(one["account_no"], one["role"]) for one in gaps["incomplete"]] == [("K2", "branch_manager")]
    assert [one["account_no"] for one in gaps["untouched"] if one["branch_code"] == "B2"][-1] == "K3"
    await set_clock(april, "2018-07-01", "00:00:00")
    late = await desk.get(f"/v1/reports/{MONTHLY}/gaps")
    assert [(one["branch_code"], one["overdue"]) for one in late["branches"]] == [("B1", 1), ("B2", 1)]


@pytest.mark.row("T-41")
async def test_a_report_freezes_by_itself_at_00_30_of_its_day_and_stays_as_it_was(desk, april):
    await april.run("2018-05-03")
    assert (await desk.get(f"/v1/reports/{MONTHLY}"))["state"] == "open"
    await april.run("2018-05-04")
    read = await desk.get(f"/v1/reports/{MONTHLY}")
    assert (read["state"], read["frozen_at"], read["snapshots"][0]["reason"]) == ("frozen", "2018-05-04T00:30:00+08:00", "due")
    frozen = await desk.document(MONTHLY)
    await happen(april, talk(9, "K3", "branch_manager", "B2", "2018-04-20"))
    assert await desk.document(MONTHLY) == frozen
    assert await desk.post(f"/v1/reports/{MONTHLY}/freeze") == 409
    assert await desk.post(f"/v1/reports/{MONTHLY}/advice", text="too late") == 409


@pytest.mark.row("T-41")
@pytest.mark.parametrize(("day", "time", "late"), [("2018-05-04", "23:59:59", False), ("2018-05-05", "00:00:00", True)])
async def test_signed_by_24_00_of_the_4th_is_in_time(desk, april, day, time, late):
    assert await desk.post(f"/v1/reports/{MONTHLY}/signature") == 409  # still open
    assert (await desk.post(f"/v1/reports/{MONTHLY}/freeze"))["state"] == "frozen"
    await set_clock(april, day, time)
    assert await desk.post(f"/v1/reports/{MONTHLY}/signature", "branch_manager", "D1") == 403
    signed = await desk.post(f"/v1/reports/{MONTHLY}/signature", "district_head", "D1")
    assert (signed["state"], signed["late"], signed["signed_role"]) == ("signed", late, "district_head")
    told = [one for one in await april.events("tiering.report-issued.v1") if one["report_id"] == str(MONTHLY)]
    assert [(one["state"], one["late"]) for one in told] == [("frozen", False), ("signed", late)]
    (snapshot,) = (await desk.get(f"/v1/reports/{MONTHLY}"))["snapshots"]
    for one in told:
        assert (one["report_type"], one["unit_code"], one["period"]) == ("maintenance_monthly", "D1", "2018-04")
        assert (one["due_on"], one["snapshot_id"], one["digest"]) == ("2018-05-04", snapshot["snapshot_id"], snapshot["digest"])
        assert one["to"] == [{"role": "district_head", "unit_code": "D1"}, {"role": "ops_hq", "unit_code": "HQ"}]
        assert one["cc"] == [{"role": "cust_mgmt_office", "unit_code": "HQ"}]
    assert await desk.post(f"/v1/reports/{MONTHLY}/signature") == 409
    await april.run("2018-05-06")
    assert (await desk.get(f"/v1/reports/{MONTHLY}"))["late"] is late


@pytest.mark.row("T-41")
async def test_a_report_that_nobody_signs_is_marked_late_and_stays_so(desk, april):
    await april.run_days("2018-05-02", "2018-05-04")
    assert (await desk.get(f"/v1/reports/{MONTHLY}"))["late"] is False
    await april.run("2018-05-05")
    assert (await desk.get(f"/v1/reports/{MONTHLY}"))["late"] is True
    assert (await desk.post(f"/v1/reports/{MONTHLY}/signature"))["late"] is True
    assert "逾期 LATE" not in (await desk.document(MONTHLY))["subtitle"]  # it was frozen in time


@pytest.mark.row("T-41")
async def test_what_was_signed_by_its_day_is_not_late_when_it_is_issued_and_signed_again(desk, april):
    await desk.post(f"/v1/reports/{MONTHLY}/freeze")
    await set_clock(april, "2018-05-04", "23:59:59")
    assert (await desk.post(f"/v1/reports/{MONTHLY}/signature"))["late"] is False
    await april.run("2018-06-01")
    assert (await desk.post(f"/v1/reports/{MONTHLY}/reissue"))["state"] == "frozen"
    await april.run("2018-06-02")
    signed = await desk.post(f"/v1/reports/{MONTHLY}/signature")
    assert (signed["state"], signed["snapshot_no"], signed["late"]) == ("signed", 2, False)
    told = [one for one in await april.events("tiering.report-issued.v1") if one["report_id"] == str(MONTHLY)]
    assert [(one["state"], one["late"]) for one in told] == [(state, False) for state in ("frozen", "signed") * 2]


@pytest.mark.row("T-43")
async def test_the_districts_quarter_is_due_on_the_15th_also_on_a_rest_day(desk, april):
    read = await desk.get(f"/v1/reports/{natural_id('report', 'quarterly_district', 'D1', '2018-Q1')}")
    assert (read["due_on"], read["rest_day"]) == ("2018-04-15", True)  # a Sunday
    assert [one["role"] for one in read["recipients"]["to"]] == ["district_head", "ops_hq"]
    listed = await desk.get("/v1/reports?type=quarterly_district")
    assert [one["period"] for one in listed["items"]] == ["2018-Q1"]
    said = await desk.document(read["report_id"])
    assert "休息日, 不顺延 rest day, not moved" in said["subtitle"]


@pytest.fixture
async def quarter(april: World) -> World:
    """The second quarter has ended: K1 and K3 were visited, K1 came back to 6,000 yuan in May. E ships nothing."""
    await april.open(account("E", "B3"))
    await happen(april, talk(7, "K3", "branch_manager", "B2", "2018-06-20", blocks=BLOCKS))
    await april.post(charge("K1-5", "K1", 600_000, at("2018-05-10")), charge("K2-5", "K2", 100_000, at("2018-05-10")))
    for day in ("2018-06-01", "2018-07-01"):
        await april.run(day)
    await happen(april, task(TaskOverdue, "K2", "branch_manager", "B1", at("2018-07-01", "00:00:00"), version=2))
    return april


@pytest.mark.row("T-36", "T-54")
async def test_the_effect_of_visits_per_responsible(desk, quarter):
    await happen(
        quarter,
        task(TaskOpened, "F00", "branch_manager", "B1", OPENED),
        task(TaskCancelled, "F00", "branch_manager", "B1", at("2018-04-20"), version=2),
        task(TaskOpened, "F01", "branch_manager", "B1", OPENED),
        talk(8, "F01", "branch_manager", "B1", "2018-07-01", contacted_at=at("2018-07-01", "00:00:00")),
    )
    found = rows(await desk.document(QUARTERLY), "Follow-up of movements")
    # B1: K1 2,000 -> 6,000 and K2 2,000 -> 1,000 in May; F00's movement was withdrawn, F01 was visited after the quarter.
    # B2: K3 was visited in June, and July is not closed yet.
    assert found == [
        [
            "B1",
            "分部经理 branch manager",
            "B1",
            "月度异动 monthly movement",
            3,
            1,
            1,
            2,
            66.7,
            2,
            1,
            400_000,
            700_000,
            300_000,
            75.0,
        ],
        ["B2", "分部经理 branch manager", "B2", "月度异动 monthly movement", 1, 0, 0, 1, 100.0, 0, None, None, None, None, None],
    ]


@pytest.mark.row("T-36")
async def test_the_effect_on_a_quarterly_movement_is_held_against_a_third_of_its_quarter(desk, quarter):
    """K1 fell to 8,000 yuan in the second quarter, was visited in July and shipped for 3,000 in August."""
    movement = natural_id("quarter-movement", "K1", "2018-Q2")
    task_id = natural_id("task", str(movement))
    values = {"task_id": task_id, "movement_id": movement, "kind": "quarter_movement", "month": parse_month("2018-06")}
    await happen(
        quarter,
        task(TaskOpened, "K1", "branch_manager", "B1", at("2018-07-01", "00:30:00"), **values),
        talk(8, "K1", "branch_manager", "B1", "2018-07-10", task_id=task_id, contacted_at=at("2018-07-01", "07:00:00")),
    )
    await quarter.post(charge("K1-8", "K1", 300_000, at("2018-08-10")))
    for day in ("2018-08-01", "2018-09-01"):
        await quarter.run(day)
    july = await desk.document(natural_id("report", "monthly_analysis", "D1", "2018-07"))
    (found,) = [row for row in rows(july, "Follow-up of movements") if row[3].startswith("季度异动")]
    assert (found[2], found[9:14]) == ("B1", [1, 1, 266_666, 300_000, 33_334])


@pytest.mark.row("T-49")
async def test_three_rankings_per_tier(desk, quarter):
    tables = section(await desk.document(QUARTERLY), "各层级维护排名")["tables"]
    assert len(tables) == 9
    frequency = next(table for table in tables if table["title"].startswith("重点 key: 户均维护次数"))
    # Of Q2: 12 key accounts of B1 had two contacts, the one of B2 had one.
    assert frequency["rows"] == [[1, "B2", 1.0], [2, "B1", 0.17]]
    on_time = next(table for table in tables if table["title"].startswith("重点 key: 及时率"))
    assert on_time["rows"] == [[1, "B2", 100.0], [2, "B1", 50.0]]
    complete = next(table for table in tables if table["title"].startswith("重点 key: 完整率"))
    assert complete["rows"] == [[1, "B2", 100.0], [2, "B1", 50.0]]
    vip = next(table for table in tables if table["title"].startswith("VIP: 及时率"))
    assert vip["rows"] == [[None, "B1", None], [None, "B2", None]]


def rectification(due_on):
    return {
        "unit_code": "B1",
        "role": "branch_manager",
        "weakness": "incomplete",
        "measure": "Fill all blocks.",
        "due_on": due_on,
    }


@pytest.mark.row("T-42", "T-43", "T-44", "T-49", "T-50", "T-53", "T-54")
async def test_each_type_of_report_has_its_sections(desk, quarter):
    await desk.post(f"/v1/reports/{QUARTERLY}/rectifications", **rectification("2018-07-31"))
    whole = ["维护次数与维护比例", "信息完成质量", "客户问题跟进与解决", "综合评价", "分部比较", "各层级维护排名",
             "户均金额与流失率", "户均金额走势", "异动客户", "异动跟进与效果", "整改"]  # fmt: skip
    sections = {
        ANALYSIS: ["异动客户", "异动跟进与效果", "维护次数与维护比例", "客户问题跟进与解决", "户均金额与流失率", "户均金额走势"],
        QUARTERLY: whole,
        NETWORK: whole,
    }
    for report, headings in sections.items():
        said = await desk.document(report, "ops_hq", "HQ")
        assert [one["heading"].partition(" ")[0] for one in said["sections"]] == headings
    mended = rows(await desk.document(QUARTERLY), "整改")
    assert mended == [["branch_manager", "B1", "incomplete", "Fill all blocks.", "2018-07-31", "open", 1]]


async def published(world: World, unit: str) -> list[Any]:
    """The reports whose snapshots row-level security shows to a unit."""
    database = Database("tiering", world.db.url, "web", 1)
    try:
        async with database.transaction(Scope(unit)) as session:
            return list((await session.execute(text("SELECT DISTINCT report_id FROM report_snapshots"))).scalars())
    finally:
        await database.close()


@pytest.mark.row("T-44", "X-10")
async def test_the_networks_quarter_is_read_by_every_branch_once_it_is_signed(desk, quarter):
    read = await desk.get(f"/v1/reports/{NETWORK}", "cust_mgmt_office", "HQ")
    assert (read["due_on"], read["visible_to"], read["unit_code"]) == ("2018-07-20", "all", "HQ")
    assert await desk.get(f"/v1/reports/{NETWORK}", "branch_manager", "B3") == 404
    await quarter.run("2018-07-20")
    assert await desk.get(f"/v1/reports/{NETWORK}", "branch_manager", "B3") == 404  # frozen, not signed
    assert (await desk.post(f"/v1/reports/{NETWORK}/signature", "cust_mgmt_office", "HQ"))["state"] == "signed"
    ours, theirs = await desk.document(NETWORK, "ops_hq", "HQ"), await desk.document(NETWORK, "branch_manager", "B3")
    assert ours == theirs
    assert {row[1] for row in rows(ours, "Maintenance count")} == {"B1", "B2", "B3", "D1", "O1", "HQ"}, "both districts are in it"
    listed = (await desk.get("/v1/reports", "outlet_staff", "O1"))["items"]
    assert [one["report_type"] for one in listed] == ["quarterly_network"]
    assert (await desk.post(f"/v1/reports/{QUARTERLY}/signature"))["state"] == "signed"
    for role, unit in (("district_head", "D2"), ("branch_manager", "B3"), ("branch_manager", "B1")):
        assert await desk.get(f"/v1/reports/{QUARTERLY}", role, unit) == 404, "a district's own is not for all"
        seen = await published(quarter, unit)
        assert NETWORK in seen
        assert QUARTERLY not in seen
    for action in ("freeze", "signature", "reissue"):
        assert await desk.post(f"/v1/reports/{NETWORK}/{action}", "analyst", "B3") == 404
    assert await desk.get(f"/v1/reports/{NETWORK}/gaps", "branch_manager", "B3") == 404


@pytest.mark.row("T-52")
async def test_appraisals_rest_on_a_frozen_snapshot(desk, april):
    assert await desk.get(f"/v1/reports/{MONTHLY}/appraisal") == 409
    given = {"role": "branch_manager", "unit_code": "B1", "grade": "good", "reason": "the phone line was down"}
    await desk.post(f"/v1/reports/{MONTHLY}/quality", **given)
    await desk.post(f"/v1/reports/{MONTHLY}/freeze")
    found = await desk.get(f"/v1/reports/{MONTHLY}/appraisal")
    (snapshot,) = (await desk.get(f"/v1/reports/{MONTHLY}"))["snapshots"]
    assert (found["snapshot_id"], found["digest"]) == (snapshot["snapshot_id"], snapshot["digest"])
    (row, *_) = found["items"]
    assert (row["role"], row["unit_code"], row["assigned"], row["touched"]) == ("branch_manager", "B1", 12, 2)
    assert (row["quality_score"], row["quality_grade"]) == (50.0, "good"), "the grade that a person gave counts"
    await happen(april, talk(9, "K3", "branch_manager", "B2", "2018-04-20"))
    assert await desk.get(f"/v1/reports/{MONTHLY}/appraisal") == found


@pytest.mark.row("T-52", "T-36")
async def test_appraisals_say_what_came_of_the_visits_of_each_responsible(desk, quarter):
    await desk.post(f"/v1/reports/{QUARTERLY}/freeze")
    items = (await desk.get(f"/v1/reports/{QUARTERLY}/appraisal"))["items"]
    effects = {(one["role"], one["unit_code"]): one["effect_fen"] for one in items}
    assert effects["branch_manager", "B1"] == 300_000
    assert effects["branch_manager", "B2"] is None, "visited in June: July is not closed yet"


@pytest.mark.row("T-53")
async def test_rectification_is_a_closed_loop(desk, april):
    order = rectification("2018-05-31")
    made = await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **order)
    path = f"/v1/rectifications/{made['rectification_id']}"
    assert (made["state"], made["rounds"]) == ("open", 1)
    assert await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **(order | {"unit_code": "B3"})) == 404
    assert await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **(order | {"due_on": "2018-04-30"})) == 422
    assert await desk.post(f"{path}/verification", accepted=True, note="?") == 409  # nobody has fixed it yet
    assert await desk.post(f"{path}/completion", "branch_manager", "B2", note="not mine") == 404
    assert (await desk.post(f"{path}/completion", "branch_manager", "B1", note="trained"))["state"] == "fixed"
    assert await desk.post(f"{path}/verification", "branch_manager", "B1", accepted=True, note="my own") == 403
    again = await desk.post(f"{path}/verification", accepted=False, note="two blocks missing", due_on="2018-06-15")
    assert (again["state"], again["rounds"], again["due_on"]) == ("open", 2, "2018-06-15")
    await desk.post(f"{path}/completion", "branch_manager", "B1", note="filled")
    assert (await desk.post(f"{path}/verification", accepted=True, note="holds"))["state"] == "verified"
    assert [one["state"] for one in (await desk.get("/v1/rectifications"))["items"]] == ["verified"]
    today = await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **(order | {"due_on": "2018-05-01"}))
    assert (today["state"], today["due_on"]) == ("open", "2018-05-01")
    for weakness in ("low_frequency", "weak_fix"):
        made = await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **(order | {"weakness": weakness}))
        assert made["weakness"] == weakness
    assert await desk.post(f"/v1/reports/{MONTHLY}/rectifications", **(order | {"weakness": "laziness"})) == 422


@pytest.mark.row("T-52")
async def test_a_late_charge_of_13_months_ago_leaves_the_report_frozen_and_is_listed(desk, april):
    report = natural_id("report", "monthly_analysis", "D1", "2018-03")
    await april.run("2019-04-20")
    frozen = await desk.document(report)
    assert (await desk.get(f"/v1/reports/{report}/changes"))["items"] == []
    await april.open(account("X", "B3"))
    await april.post(charge("other", "K1", 1, at("2019-03-10")), charge("of another district", "X", 9, at("2018-03-10")))
    await april.post(charge("late", "K1", 70_000, at("2018-03-10")), charge("late-2", "V01", 5, at("2018-03-31")))
    changes = await desk.get(f"/v1/reports/{report}/changes")
    assert changes["items"] == [
        {"month": "2018-03", "account_no": "K1", "branch_code": "B1", "charges": 1, "change_fen": 70_000},
        {"month": "2018-03", "account_no": "V01", "branch_code": "B1", "charges": 1, "change_fen": 5},
    ]
    assert changes["change_fen"] == 70_005
    assert await desk.document(report) == frozen
    assert (await desk.post(f"/v1/reports/{report}/reissue"))["snapshot_no"] == 2
    again = await desk.document(report)
    assert rows(again, "Changed since") == [["2018-03", "K1", "B1", 1, 70_000], ["2018-03", "V01", "B1", 1, 5]]
    changed = {(row[1], row[2]): row[3:] for row in rows(again, "Changed since", 1) if "按层级" in row[0]}
    assert changed["重点 key", "运费 freight"] == ["16,000.00", "16,700.00"]
    assert rows(again, "户均金额与流失率")[1][1] == 1_670_000
    assert (await desk.get(f"/v1/reports/{report}/changes"))["items"] == []
    kept = await april.rows(
        "SELECT number, digest, content FROM report_snapshots WHERE report_id = :id ORDER BY number", id=report
    )
    assert [row["number"] for row in kept] == [1, 2]


def test_only_what_differs_is_listed_where_an_account_stands_in_a_table_twice():
    def document(*rows):
        columns = (Column("account_no", "account"), Column("kind", "kind"), Column("fen", "yuan", "fen"))
        return Document("t", sections=[Section("h", (), [Table("moves", columns, rows)])])

    monthly, quarterly = ("A", "zero month", 5_00), ("A", "decliner", 9_00)
    same = changes.section(document(monthly, quarterly), document(quarterly, monthly), [])
    assert list(same.tables[1].rows) == []
    moved = changes.section(document(monthly, monthly, quarterly), document(quarterly, monthly, ("A", "zero month", 7_00)), [])
    assert [row[1:] for row in moved.tables[1].rows] == [["A zero month", "yuan", "5.00", "7.00"]]


async def test_the_digest_is_that_of_the_content(april):
    kept = await april.rows("SELECT digest, content FROM report_snapshots")
    assert kept
    assert [row["digest"] for row in kept] == [digest_of(row["content"]) for row in kept]


@pytest.mark.row("T-37", "X-09")
async def test_each_branch_gets_its_extract_after_the_close(desk, april):
    listed = (await desk.get("/v1/extracts?month=2018-03"))["items"]
    assert [one["unit_code"] for one in listed] == ["B1", "B2"]
    assert [(one["role"], one["unit_code"]) for one in listed[0]["recipients"]] == [
        ("branch_manager", "B1"), ("district_head", "D1"), ("care_rep", "D1"),
    ]  # fmt: skip
    read = await desk.get(f"/v1/extracts/{listed[0]['extract_id']}", "branch_manager", "B1")
    held = read["content"]["held"]
    assert held["tiers"] == {"vip": 5, "key": 12, "general": 1}
    assert held["named"][0] == {"account_no": "V01", "service_tier": "vip", "rank": 2}
    assert {one["account_no"] for one in read["content"]["movements"] if one["kind"] == "fall_over_half"} == {"K1", "K2"}
    assert await desk.get(f"/v1/extracts/{listed[1]['extract_id']}", "branch_manager", "B1") == 404
    told = [one for one in await april.events("tiering.report-issued.v1") if one["report_type"] == "tier_extract"]
    sent = {(one["unit_code"], one["period"]): one["to"] for one in told}
    assert sent["B1", "2018-03"] == listed[0]["recipients"]


@pytest.mark.row("T-37")
async def test_an_extract_says_whose_tier_or_grade_moved_and_what_the_quarter_showed(desk, quarter):
    async def extract(month: str) -> Any:
        (listed,) = (await desk.get(f"/v1/extracts?month={month}&unit=B1"))["items"]
        return (await desk.get(f"/v1/extracts/{listed['extract_id']}"))["content"]

    february = await extract("2018-02")
    assert february["held"]["grades"] == {"diamond": 5, "gold": 2, "silver": 11}
    assert february["held"]["moved"] == [
        {"account_no": f"V0{n}", "tier_before": None, "service_tier": None, "grade_before": "gold", "grade": "diamond"}
        for n in (1, 3, 5, 7, 9)
    ]
    june = (await extract("2018-06"))["movements"]
    assert {(one["account_no"], one["kind"]) for one in june if one["period"] == "2018-Q2"} >= {
        ("V01", "decliner"), ("K1", "fall"), ("K2", "fall"),
    }  # fmt: skip


@pytest.mark.row("T-37")
async def test_an_extract_leaves_out_what_was_withdrawn_since_the_close(desk, world):
    """A charge that comes between the close and the day's re-judging takes one movement back and turns another into a fall."""
    await world.open(*(account(name) for name in ("BACK", "FALLS", "ZERO")))
    await world.post(*(charge(f"{name}-2", name, 100_000, at("2018-02-10")) for name in ("BACK", "FALLS", "ZERO")))
    await world.run("2018-03-01")

    async def come_late(session: AsyncSession, instant: datetime) -> None:
        late = (charge("BACK-3", "BACK", 90_000, at("2018-03-31")), charge("FALLS-3", "FALLS", 10_000, at("2018-03-31")))
        await freight.post(session, [deliver(one) for one in late])

    close, scores, *others = SCHEDULES
    await set_clock(world, "2018-04-01", "00:30:00")
    await Scheduler(world.db, (close, scores, Schedule("late", come_late), *others), Rounds()).run_due()
    assert await world.movements(("account_no", "revision", "kind", "state")) == [
        ("BACK", 1, "zero_month", "withdrawn"),
        ("FALLS", 1, "zero_month", "withdrawn"), ("FALLS", 2, "fall_over_half", "open"),
        ("ZERO", 1, "zero_month", "open"),
    ]  # fmt: skip
    (listed,) = (await desk.get("/v1/extracts?month=2018-03&unit=B1"))["items"]
    told = (await desk.get(f"/v1/extracts/{listed['extract_id']}"))["content"]["movements"]
    assert [(one["account_no"], one["kind"]) for one in told if one["period"] == "2018-03"] == [
        ("FALLS", "fall_over_half"), ("ZERO", "zero_month"),
    ]  # fmt: skip


@pytest.mark.row("T-37", "X-09")
async def test_a_distribution_list_counts_from_the_next_close_on(desk, april):
    to = [{"role": "outlet_staff", "unit_code": "O1"}]
    assert await desk.ask("PUT", "/v1/distribution-lists/B1", recipients=to) == {"unit_code": "B1", "recipients": to}
    assert await desk.ask("PUT", "/v1/distribution-lists/B3", recipients=to) == 404
    assert await desk.ask("PUT", "/v1/distribution-lists/B1", "branch_manager", "B1", recipients=to) == 403
    await april.run("2018-06-01")
    listed = (await desk.get("/v1/extracts?unit=B1"))["items"]
    assert [(one["month"], one["recipients"] == to) for one in listed][-2:] == [("2018-04", False), ("2018-05", True)]


@pytest.mark.row("X-09")
async def test_only_who_reports_may_freeze_advise_and_verify(desk, april):
    for role, unit in (("branch_manager", "B1"), ("ops_hq", "HQ"), ("planning", "D1"), ("care_rep", "D1")):
        for action, body in (("freeze", {}), ("reissue", {}), ("advice", {"text": "x"})):
            assert await desk.post(f"/v1/reports/{MONTHLY}/{action}", role, unit, **body) == 403
    assert await desk.post(f"/v1/reports/{MONTHLY}/freeze", "analyst", "D2") == 404
    assert (await desk.post(f"/v1/reports/{MONTHLY}/freeze", "cust_mgmt_office", "HQ"))["state"] == "frozen"


@pytest.mark.row("X-10")
async def test_operations_hq_the_office_and_planning_read_what_is_theirs(desk, april):
    for role, unit in (("ops_hq", "HQ"), ("cust_mgmt_office", "HQ"), ("planning", "D1")):
        assert (await desk.get(f"/v1/reports/{MONTHLY}", role, unit))["report_id"] == str(MONTHLY)
    assert await desk.get(f"/v1/reports/{MONTHLY}", "planning", "D2") == 404


@pytest.mark.row("X-10")
def test_each_role_has_its_place_in_the_organisation():
    """Operations HQ and the customer management office sit at the root, planning and analysts in each district."""
    paths = {"HQ": ("hq", ("HQ",)), "D1": ("district", ("HQ", "D1")), "D2": ("district", ("HQ", "D2"))}
    units = {unit: Place(unit, kind, path) for unit, (kind, path) in paths.items()}
    roles = ("ops_hq", "cust_mgmt_office", "planning", "analyst")
    of_d1 = clock.recipients_of(roles, units["D1"], units)
    assert [(one["role"], one["unit_code"]) for one in of_d1] == [
        ("ops_hq", "HQ"), ("cust_mgmt_office", "HQ"), ("planning", "D1"), ("analyst", "D1"),
    ]  # fmt: skip
    of_hq = clock.recipients_of(("planning",), units["HQ"], units)
    assert [one["unit_code"] for one in of_hq] == ["D1", "D2"]


async def test_a_report_outside_the_callers_unit_does_not_exist(desk, april):
    for path in ("", "/gaps", "/changes", "/appraisal", "/document", "/document.pdf"):
        for unit in ("B1", "D2"):
            assert await desk.get(f"/v1/reports/{MONTHLY}{path}", "branch_manager", unit) == 404
        assert await desk.get(f"/v1/reports/{natural_id('no', 'report')}{path}", "ops_hq", "HQ") == 404


async def test_an_account_that_moved_away_stays_in_the_report_of_its_period(desk, april):
    before = await desk.document(MONTHLY)
    await april.open(moved("K1", ("B1", None, "2017-01-01"), ("B3", None, "2018-05-01")))
    assert rows(await desk.document(MONTHLY), "Maintenance count") == rows(before, "Maintenance count")


async def test_a_report_comes_in_every_format(desk, april):
    head = bearer(desk.settings, "analyst", "D1")
    for wanted, begins in (
        ("html", b"<!doctype html"),
        ("pdf", b"%PDF-"),
        ("xlsx", b"PK"),
        ("csv", b"\xef\xbb\xbf"),
        ("json", b"{"),
    ):
        answer = await desk.client.get(f"/v1/reports/{MONTHLY}/document.{wanted}", headers=head)
        assert answer.content[: len(begins)].lower() == begins.lower(), wanted
        media = answer.headers["content-type"].partition(";")[0]
        by_header = await desk.client.get(f"/v1/reports/{MONTHLY}/document", headers=head | {"Accept": media})
        assert by_header.headers["content-type"] == answer.headers["content-type"]
    assert (await desk.client.get(f"/v1/reports/{MONTHLY}/document.docx", headers=head)).status_code == 422


async def test_a_second_run_of_a_close_makes_no_second_report(april):
    before = await april.rows("SELECT report_id, state, created_at FROM reports ORDER BY report_id")
    async with april.db.transaction() as session:
        await clock.run(session, at("2018-05-01", "00:30:00"))
    assert await april.rows("SELECT report_id, state, created_at FROM reports ORDER BY report_id") == before


@pytest.mark.row("T-38", "T-39", "T-40")
async def test_under_the_old_policy_the_old_reports_are_made_with_their_days(desk, april):
    old = document.plain(document.shipped("2007-old"))
    await april.publish("old", "2018-04-01", reports=old["reports"])
    for day in ("2018-06-01", "2018-07-01"):
        await april.run(day)
    found = {
        (one["report_type"], one["unit_code"], one["period"]): (one["due_on"], one["title"])
        for one in (await desk.get("/v1/reports?limit=200", "ops_hq", "HQ"))["items"]
        if one["policy_version"] == "old"
    }
    assert found["movement_monthly", "D1", "2018-05"] == ("2018-06-12", "异动客户分析报告")
    assert found["movement_monthly", "D1", "2018-06"] == ("2018-07-12", "异动客户分析报告")
    assert found["quarterly_analysis", "D1", "2018-Q2"] == ("2018-07-15", "月结客户季度分析报告")
    assert found["quarterly_network", "HQ", "2018-Q2"] == ("2018-07-15", "全网月结客户季度分析报告")
    assert {name for name, _, _ in found} == {"movement_monthly", "quarterly_analysis", "quarterly_network"}
    monthly = await desk.document(natural_id("report", "movement_monthly", "D1", "2018-05"))
    assert [one["heading"].partition(" ")[0] for one in monthly["sections"]] == [
        "异动客户",
        "异动跟进与效果",
        "客户问题跟进与解决",
    ]
    quarterly = await desk.document(natural_id("report", "quarterly_analysis", "D1", "2018-Q2"))
    assert [one["heading"].partition(" ")[0] for one in quarterly["sections"]] == [
        "户均金额与流失率", "户均金额走势", "维护次数与维护比例", "各层级维护排名",
        "异动客户", "异动跟进与效果", "客户问题跟进与解决",
    ]  # fmt: skip


@pytest.mark.row("T-54")
async def test_the_districts_quarter_shows_monthly_and_quarterly_movements(desk, quarter):
    first = await desk.document(natural_id("report", "quarterly_district", "D1", "2018-Q1"))
    assert {"跌幅过半", "零发件"} <= {row[1].partition(" ")[0] for row in rows(first, "异动客户")}
    kinds = {row[1].partition(" ")[0] for row in rows(await desk.document(QUARTERLY), "异动客户")}
    told = {one["kind"] for one in await quarter.rows("SELECT kind FROM quarter_movements WHERE quarter = '2018-04-01'")}
    assert {"decliner", "fall"} <= told
    names_of = {"riser": "上升最大", "decliner": "下滑最大", "rise": "上升", "fall": "下滑", "resumed": "恢复"}
    assert {names_of[kind] for kind in told} <= kinds


@pytest.mark.row("T-42", "T-43", "T-44", "T-51", "T-54")
async def test_a_district_shows_what_is_its_own_and_the_network_shows_all(desk, world):
    """A of B1 and X of B3 both fall by more than half in April, and so their quarters do."""
    await world.open(account("A", "B1"), account("X", "B3"))
    for name, before, after in (("A", 90_000, 40_000), ("X", 80_000, 20_000)):
        fen = {month: before if month < 4 else after for month in range(1, 7)}
        await world.post(*(charge(f"{name}-{month}", name, fen[month], at(f"2018-{month:02}-10")) for month in fen))
    for month in range(2, 8):
        await world.run(f"2018-{month:02}-01")
    half, decliner = "跌幅过半 fall over half", "下滑最大 decliner"
    for district, branch, name, fell, now in (("D1", "B1", "A", 50_000, 40_000), ("D2", "B3", "X", 60_000, 20_000)):
        said = await desk.document(natural_id("report", "monthly_analysis", district, "2018-04"), of=district)
        assert rows(said, "异动客户") == [[branch, half, 1, 1, fell]]
        assert [row[0] for row in rows(said, "异动客户", 1)] == [name]
        assert rows(said, "户均金额走势")[-1] == ["2018-04", now, None, None]
        assert rows(said, "户均金额走势", 1) == [[branch, now, None, None]]
        june = await desk.document(natural_id("report", "monthly_analysis", district, "2018-06"), of=district)
        assert rows(june, "异动客户") == [], "what fell with the quarter is in the report of the quarter"
        said = await desk.document(natural_id("report", "quarterly_district", district, "2018-Q2"), of=district)
        assert rows(said, "异动客户") == [[branch, decliner, 1, 1, 3 * fell], [branch, half, 1, 1, fell]]
    said = await desk.document(NETWORK, "ops_hq", "HQ")
    assert [row[:2] for row in rows(said, "异动客户")] == [["B1", decliner], ["B1", half], ["B3", decliner], ["B3", half]]
    assert [row[:4:3] for row in rows(said, "异动客户", 1)] == [["X", decliner], ["A", decliner], ["X", half], ["A", half]]
    assert rows(said, "户均金额走势")[-1] == ["2018-06", 30_000, None, None]
    assert rows(said, "户均金额走势", 1) == [["B1", 40_000, None, None], ["B3", 20_000, None, None]]


@pytest.mark.row("T-51")
async def test_the_average_amount_is_shown_against_the_year_before(world):
    await world.open(account("A", "B1"), account("B", "B2"))
    for year, amount in ((2018, 100_000), (2019, 150_000)):
        await world.post(
            charge(f"A-{year}", "A", amount, at(f"{year}-03-10")), charge(f"B-{year}", "B", 50_000, at(f"{year}-03-10"))
        )
    await world.run("2019-04-01")
    report = natural_id("report", "monthly_analysis", "D1", "2019-03")
    async with world.db.transaction() as session:
        row = await session.get_one(ReportRow, report)
        made = to_plain((await assemble(session, row, at("2019-04-01"))).document)
    assert rows(made, "户均金额走势")[-1] == ["2019-03", 100_000, 75_000, 33.3]
    assert rows(made, "户均金额走势")[-2] == ["2019-02", None, None, None]
    assert rows(made, "户均金额走势", 1) == [["B1", 150_000, 100_000, 50.0], ["B2", 50_000, 50_000, 0.0]]
    (chart,) = section(made, "户均金额走势")["charts"]
    assert (chart["kind"], chart["series"]["本年 now"][-1]) == ("line", 100_000)
