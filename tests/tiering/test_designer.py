"""The report designer: what can be composed, what is refused, what comes out, for whom, and as which file."""

import csv
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader

from services.tiering.designer import datasets, making, running
from services.tiering.designer.compile import compiled
from services.tiering.designer.definition import Definition
from services.tiering.main import app
from shared.db import Database
from shared.events.tickets import TicketOpened
from shared.ids import natural_id
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of
from tests.tiering.make import World, account, at, charge
from tests.tiering.test_facts import happen, ticket

MONTHLY = {
    "dataset": "freight",
    "group": ["month"],
    "measures": [{"kind": "sum", "field": "amount_fen"}, {"kind": "distinct", "field": "account_no"}],
    "period": {"first": "2018-01", "last": "2018-03"},
    "chart": "line",
}


class Desk:
    """People at the designer."""

    def __init__(self, client: Any, settings: Any, world: World, web: Database) -> None:
        self.client, self.settings, self.world, self.web = client, settings, world, web

    async def ask(
        self, method: str, path: str, body: Any = None, role: str = "ops_hq", unit: str = "HQ", person: str = "ann"
    ) -> Any:
        headers = bearer(self.settings, role, unit, person=person)
        return await self.client.request(method, path, json=body, headers=headers)

    async def save(self, definition: dict[str, Any], unit: str = "HQ", person: str = "ann", **more: Any) -> dict[str, Any]:
        answer = await self.ask(
            "POST", "/v1/report-definitions", {"name": "报表", "definition": definition, **more}, unit=unit, person=person
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def run(self, definition: dict[str, Any], unit: str = "HQ", about: str | None = None) -> list[list[Any]]:
        saved = await self.save(definition, unit)
        path = f"/v1/report-definitions/{saved['definition_id']}/run" + (f"?unit={about}" if about else "")
        answer = await self.ask("POST", path, unit=unit)
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "done"
        rows: list[list[Any]] = answer.json()["document"]["sections"][0]["tables"][0]["rows"]
        return rows

    async def refused(self, **change: Any) -> str:
        answer = await self.ask("POST", "/v1/report-definitions", {"name": "x", "definition": {**MONTHLY, **change}})
        assert answer.status_code == 422, answer.text
        slug: str = answer.json()["type"]
        return slug.removeprefix("/problems/")

    async def export(self, definition_id: str, file_format: str, unit: str = "HQ", about: str | None = None) -> dict[str, Any]:
        path = "/v1/exports" + (f"?unit={about}" if about else "")
        answer = await self.ask("POST", path, {"definition_id": definition_id, "format": file_format}, unit=unit)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "waiting"
        while await making.make_next(self.world.db, self.web):
            pass
        found: dict[str, Any] = (await self.ask("GET", f"/v1/exports/{answer.json()['export_id']}", unit=unit)).json()
        return found

    async def download(self, export_id: str, unit: str = "HQ") -> Any:
        return await self.ask("GET", f"/v1/exports/{export_id}/file", unit=unit)


@pytest.fixture
async def desk(world: World, web: Database, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    app.state.root_unit = None
    settings = settings_of("tiering", postgres, world.db.url.rpartition("/")[2], tmp_path)
    await world.open(account("V", "B1"), account("K", "B1", outlet="O1"), account("B", "B2"), account("X", "B3"))
    await world.post(
        charge("1", "V", 3_000_000, at("2018-01-10")), charge("2", "V", 1_000, at("2018-03-10")),
        charge("3", "K", 700, at("2018-02-10")), charge("4", "B", 500, at("2018-03-10")), charge("5", "X", 400, at("2018-03-10")),
    )  # fmt: skip
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)
    async with serving(app, settings) as client:
        yield Desk(client, settings, world, web)


@pytest.mark.row("T-56")
async def test_datasets_are_a_closed_list_with_type_and_source(desk: Desk) -> None:
    found = (await desk.ask("GET", "/v1/datasets")).json()["items"]
    assert {one["name"] for one in found} >= {
        "freight",
        "tiers",
        "grades",
        "movements",
        "quarter_movements",
        "tasks",
        "contacts",
        "tickets",
    }
    freight = {one["name"]: one for one in found[0]["fields"]}
    assert freight["amount_fen"] == {"name": "amount_fen", "label": "运费", "kind": "fen", "source": "month_totals.amount_fen"}


@pytest.mark.row("T-56")
async def test_groups_measures_filters_order_and_top(desk: Desk) -> None:
    assert await desk.run(MONTHLY) == [["2018-01", 3_000_000, 1], ["2018-02", 700, 1], ["2018-03", 1_900, 3]]
    by_branch = {**MONTHLY, "group": ["branch_code"], "period": {"last_months": 3}}
    measures = [
        {"kind": "sum", "field": "charges"}, {"kind": "count"}, {"kind": "average", "field": "amount_fen"},
        {"kind": "share", "field": "amount_fen"}, {"kind": "min", "field": "month"}, {"kind": "max", "field": "amount_fen"},
    ]  # fmt: skip
    assert await desk.run({**by_branch, "measures": measures}) == [
        ["B1", 3, 3, 1000566.6667, 99.97, "2018-01", 3_000_000],
        ["B2", 1, 1, 500, 0.0167, "2018-03", 500],
        ["B3", 1, 1, 400, 0.0133, "2018-03", 400],
    ]
    march = {**by_branch, "period": {"first": "2018-03", "last": "2018-03"}, "measures": [{"kind": "sum", "field": "amount_fen"}]}
    assert await desk.run({**march, "sort": {"by": "sum_amount_fen", "descending": False}, "top": 2}) == [
        ["B3", 400],
        ["B2", 500],
    ]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"field": "amount_fen", "op": "ge", "value": 500}, ["B1", "B2"]),
        ({"field": "amount_fen", "op": "gt", "value": 500}, ["B1"]),
        ({"field": "amount_fen", "op": "lt", "value": 500}, ["B3"]),
        ({"field": "charges", "op": "gt", "value": 10**15}, []),
        ({"field": "amount_fen", "op": "between", "value": [400, 500]}, ["B2", "B3"]),
        ({"field": "account_no", "op": "in", "value": ["B", "X"]}, ["B2", "B3"]),
        ({"field": "account_no", "op": "ne", "value": "V"}, ["B2", "B3"]),
        ({"field": "amount_fen", "op": "le", "value": 500}, ["B2", "B3"]),
        ({"field": "amount_fen", "op": "eq", "value": 500}, ["B2"]),
        ({"field": "outlet_code", "op": "known"}, []),
        ({"field": "outlet_code", "op": "unknown"}, ["B1", "B2", "B3"]),
        ({"field": "outlet_code", "op": "ne", "value": "O1"}, ["B1", "B2", "B3"]),
        ({"field": "opened_on", "op": "le", "value": "2016-12-31"}, []),
        ({"field": "month", "op": "eq", "value": "2018-03"}, ["B1", "B2", "B3"]),
    ]
    for one, branches in cases:
        assert sorted(row[0] for row in await desk.run({**march, "filters": [one]})) == branches, one


@pytest.mark.row("T-56")
async def test_every_dataset_answers_with_every_field(desk: Desk) -> None:
    """Each field is grouped by or measured, and filtered where it can be: the statement is one that PostgreSQL takes."""
    async with desk.world.db.transaction() as session:
        for one in datasets.DATASETS.values():
            for name, field in one.fields.items():
                measures: list[dict[str, Any]] = [{"kind": "distinct", "field": name}]
                base = {"dataset": one.name, "period": {"last_months": 3}, "measures": measures}
                if field.kind in ("text", "month", "quarter", "day", "flag"):
                    base |= {"group": [name], "filters": [{"field": name, "op": "known"}]}
                else:
                    measures += [{"kind": kind, "field": name} for kind in ("sum", "average", "share", "min", "max")]
                report = compiled(Definition.model_validate(base), "HQ", date(2018, 4, 1))
                await session.execute(report.statement)
    tiers = {
        "dataset": "tiers",
        "group": ["quarter", "service_tier"],
        "measures": [{"kind": "count"}],
        "period": MONTHLY["period"],
    }
    filters = [{"field": "quarter", "op": "eq", "value": "2018-Q1"}]
    assert await desk.run({**tiers, "filters": filters}) == [["2018-Q1", "vip", 4]]
    assert await desk.run({**tiers, "filters": [{"field": "rank", "op": "lt", "value": 10**15}]}) == [["2018-Q1", "vip", 4]]
    falls = {"dataset": "quarter_movements", "group": ["quarter", "kind"], "measures": [{"kind": "sum", "field": "change_fen"}]}
    assert await desk.run({**falls, "period": {"first": "2018-02", "last": "2018-03"}, "filters": filters}) == []


@pytest.mark.row("T-56")
async def test_what_is_refused_and_why(desk: Desk) -> None:
    assert await desk.refused(period=None) == "unbounded-report"
    assert await desk.refused(period={}) == "unbounded-report"
    assert await desk.refused(period={"first": "2018-01"}) == "unbounded-report"
    assert await desk.refused(period={"first": "2018-02", "last": "2018-01"}) == "bad-report-period"
    assert await desk.refused(period={"first": "2008-01", "last": "2018-01"}) == "bad-report-period"
    assert await desk.refused(period={"last_months": 3, "last": "2018-01"}) == "bad-report-period"
    assert await desk.refused(period={"last_months": 121}) == "invalid-request"
    assert await desk.refused(dataset="accounts") == "unknown-dataset"
    assert await desk.refused(dataset="freight; DROP TABLE charges") == "invalid-request"
    assert await desk.refused(group=["name"]) == "unknown-field"
    assert await desk.refused(group=["amount_fen"]) == "bad-report-group"
    assert await desk.refused(group=["month", "month"]) == "bad-report-group"
    assert await desk.refused(measures=[]) == "invalid-request"
    assert await desk.refused(measures=[{"kind": "sum"}]) == "bad-report-measure"
    assert await desk.refused(measures=[{"kind": "sum", "field": "account_no"}]) == "bad-report-measure"
    assert await desk.refused(measures=[{"kind": "sum", "field": "month"}]) == "bad-report-measure"
    assert await desk.refused(measures=[{"kind": "count", "field": "month"}]) == "bad-report-measure"
    assert await desk.refused(measures=[{"kind": "median", "field": "amount_fen"}]) == "invalid-request"
    assert await desk.refused(sort={"by": "amount_fen"}) == "bad-report-sort"
    assert await desk.refused(sql="SELECT 1") == "invalid-request"
    for field, op, value in (
        ("amount_fen", "eq", "1"), ("amount_fen", "gt", True), ("account_no", "lt", "a"), ("account_no", "eq", 1),
        ("account_no", "in", []),
        ("amount_fen", "between", [1]), ("month", "eq", "2018-13"), ("opened_on", "eq", "2018-02-30"),
        ("account_no", "known", "x"),
        ("account_no", "eq", None), ("opened_on", "ge", "0001-01-01"),
    ):  # fmt: skip
        assert await desk.refused(filters=[{"field": field, "op": op, "value": value}]) == "bad-report-filter", (field, op, value)


async def test_hostile_values_are_values(desk: Desk) -> None:
    for value in ("' OR 1=1 --", "'; DROP TABLE charges; --", "%", "_", "\\", "$1", ":unit", "运费"):
        assert await desk.run({**MONTHLY, "filters": [{"field": "account_no", "op": "eq", "value": value}]}) == []
    assert len(await desk.run(MONTHLY)) == 3


@pytest.mark.row("T-56")
async def test_answers_are_scoped_by_security_and_by_the_unit_asked_for(desk: Desk) -> None:
    total = {**MONTHLY, "group": [], "measures": [{"kind": "sum", "field": "amount_fen"}], "period": {"last_months": 12}}
    assert await desk.run(total) == [[3_002_600]]
    assert await desk.run(total, about="D2") == [[400]]
    assert await desk.run(total, about="B1") == [[3_001_700]]
    assert await desk.run(total, "B2") == [[500]]
    assert await desk.run(total, "O1") == [[700]]
    saved = await desk.save(total, "B2")
    answer = await desk.ask("POST", f"/v1/report-definitions/{saved['definition_id']}/run?unit=B1", unit="B2")
    assert answer.status_code == 404


@pytest.mark.row("T-56")
async def test_a_report_is_shared_by_unit(desk: Desk) -> None:
    private = await desk.save(MONTHLY, "D1", shared="private")
    unit = await desk.save(MONTHLY, "D1", shared="unit")
    down = await desk.save(MONTHLY, "D1", shared="subtree")
    seen = {
        ("ann", "D1"): [private, unit, down], ("bob", "D1"): [unit, down], ("bob", "HQ"): [unit, down], ("bob", "B1"): [down],
        ("bob", "O1"): [down], ("bob", "D2"): [],
    }  # fmt: skip
    for (person, place), wanted in seen.items():
        listed = (await desk.ask("GET", "/v1/report-definitions", unit=place, person=person)).json()["items"]
        assert {one["definition_id"] for one in listed} == {one["definition_id"] for one in wanted}, (person, place)
        for one in (private, unit, down):
            path = f"/v1/report-definitions/{one['definition_id']}"
            assert (await desk.ask("GET", path, unit=place, person=person)).status_code == (200 if one in wanted else 404)
            ran = await desk.ask("POST", f"{path}/run", unit=place, person=person)
            assert ran.status_code == (200 if one in wanted else 404), (person, place)
            asked = await desk.ask("POST", "/v1/exports", {"definition_id": one["definition_id"]}, unit=place, person=person)
            assert asked.status_code == (202 if one in wanted else 404), (person, place)
    path = f"/v1/report-definitions/{down['definition_id']}"
    change = {"version": 1, "name": "新", "shared": "subtree", "schedule": None, "format": "pdf", "definition": MONTHLY}
    assert (await desk.ask("PUT", path, change, unit="B1", person="bob")).status_code == 404, (
        "seen from below, changed from within"
    )
    for place, one in (("HQ", private), ("D1", private), ("D2", unit), ("D2", down), ("O1", down), ("B1", unit)):
        foreign = f"/v1/report-definitions/{one['definition_id']}"
        assert (await desk.ask("PUT", foreign, change, unit=place, person="bob")).status_code == 404, place
        assert (await desk.ask("DELETE", foreign, unit=place, person="bob")).status_code == 404, place
    above = (await desk.ask("PUT", path, change, unit="HQ", person="bob")).json()
    assert (above["version"], above["unit_code"]) == (2, "D1")
    within = await desk.ask("PUT", f"/v1/report-definitions/{unit['definition_id']}", change, unit="D1", person="bob")
    assert (within.json()["version"], within.json()["name"], within.json()["unit_code"]) == (2, "新", "D1")
    stale = await desk.ask("PUT", path, change, unit="D1")
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/report-changed-meanwhile")
    assert (await desk.ask("DELETE", path, unit="D1")).json()["state"] == "archived"
    assert (await desk.ask("GET", path, unit="D1")).status_code == 404
    assert (await desk.ask("POST", f"{path}/run", unit="D1")).status_code == 404
    outside = await desk.ask("POST", "/v1/report-definitions", {"name": "x", "unit_code": "B3", "definition": MONTHLY}, unit="D1")
    assert outside.status_code == 404


@pytest.mark.row("T-56")
async def test_the_chart_shows_the_groups_and_the_second_one_as_series(desk: Desk) -> None:
    saved = await desk.save({**MONTHLY, "chart": "bar", "group": ["month", "branch_code"], "measures": MONTHLY["measures"][:1]})  # type: ignore[index]
    answer = (await desk.ask("POST", f"/v1/report-definitions/{saved['definition_id']}/run")).json()
    (chart,) = answer["document"]["sections"][0]["charts"]
    assert chart == {
        "kind": "bar",
        "title": "报表",
        "labels": ["2018-01", "2018-02", "2018-03"],
        "series": {"B1": [3_000_000, 700, 1_000], "B2": [None, None, 500], "B3": [None, None, 400]},
        "unit": "fen",
    }
    for kind in ("bar", "line", "pie", "table"):
        saved = await desk.save({**MONTHLY, "chart": kind, "group": ["branch_code"]})
        answer = (await desk.ask("POST", f"/v1/report-definitions/{saved['definition_id']}/run")).json()
        charts = answer["document"]["sections"][0]["charts"]
        assert [one["kind"] for one in charts] == [kind for _ in range(kind != "table")]


@pytest.mark.row("T-56")
async def test_a_period_reaches_from_the_first_instant_of_its_months_to_their_last(desk: Desk) -> None:
    for day, time in (("02-28", "23:59:59"), ("03-01", "00:00:00"), ("03-31", "23:59:59"), ("04-01", "00:00:00")):
        opened = {"ticket_id": natural_id("ticket", day, time), "opened_at": at(f"2018-{day}", time)}
        await happen(desk.world, ticket(TicketOpened, "open", account_no="V", **opened))
    march = {"dataset": "tickets", "group": ["month"], "measures": [{"kind": "count"}]}
    assert await desk.run({**march, "period": {"first": "2018-03", "last": "2018-03"}}) == [["2018-03", 2]]


@pytest.mark.row("T-56")
async def test_a_report_that_reads_too_much_becomes_an_export(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = await desk.save(MONTHLY)
    monkeypatch.setattr(running, "MOST_READ", 0)
    answer = (await desk.ask("POST", f"/v1/report-definitions/{saved['definition_id']}/run")).json()
    assert (answer["state"], answer["document"], answer["export"]["state"]) == ("waiting", None, "waiting")
    assert await making.make_next(desk.world.db, desk.web)
    made = (await desk.ask("GET", f"/v1/exports/{answer['export']['export_id']}")).json()
    assert (made["state"], made["rows_done"], made["progress"]) == ("done", 3, 100)


@pytest.mark.row("T-56")
async def test_an_export_is_a_file_with_its_checksum_in_each_format(desk: Desk) -> None:
    saved = await desk.save(MONTHLY, name="=运费走势")
    for file_format in ("csv", "xlsx", "pdf", "html", "json"):
        made = await desk.export(saved["definition_id"], file_format)
        assert made["state"] == "done", made
        answer = await desk.download(made["export_id"])
        assert answer.headers["Content-Disposition"].endswith(f'.{file_format}"')
        assert hashlib.sha256(answer.content).hexdigest() == made["sha256"] == answer.headers["X-Content-SHA256"]
        assert len(answer.content) == made["size"]
        if file_format == "csv":
            rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
            assert rows[1:] == [["2018-01", "30000.00", "1"], ["2018-02", "7.00", "1"], ["2018-03", "19.00", "3"]]
        elif file_format == "xlsx":
            sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[-1]
            assert [cell.value for cell in sheet[2]] == ["2018-01", 30_000, 1]
        elif file_format == "pdf":
            assert "30,000.00" in PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
        elif file_format == "json":
            assert json.loads(answer.content)["sections"][0]["tables"][0]["rows"][0] == ["2018-01", 3_000_000, 1]
        else:
            assert "<svg" in answer.text


@pytest.mark.row("T-56")
async def test_a_file_has_all_rows_in_their_order_numbers_as_numbers_and_no_formula(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every format, in however many pieces it is made; the number of an account may begin with a minus."""
    monkeypatch.setattr(making, "CHUNK_ROWS", 2)
    monkeypatch.setattr(making, "PART_BYTES", 16)
    await desk.world.open(account("-2-3", "B2"))
    await desk.world.post(charge("6", "-2-3", 300, at("2018-03-11")))
    measures = [MONTHLY["measures"][0], {"kind": "count"}]  # type: ignore[index]
    saved = await desk.save({**MONTHLY, "group": ["account_no", "branch_code"], "measures": measures, "chart": "table"})
    files = {}
    for kind in ("csv", "xlsx", "pdf", "html", "json"):
        made = await desk.export(saved["definition_id"], kind)
        files[kind] = (await desk.download(made["export_id"])).content
        assert hashlib.sha256(files[kind]).hexdigest() == made["sha256"], kind
    rows = [("V", "B1", 30_010, 2), ("K", "B1", 7, 1), ("B", "B2", 5, 1), ("X", "B3", 4, 1), ("-2-3", "B2", 3, 1)]
    found = list(csv.reader(io.StringIO(files["csv"].decode("utf-8-sig"), newline="")))
    assert found[0] == ["月结账号", "分部", "运费 合计", "行数"]
    assert found[1:] == [[f"'{no}" if no == "-2-3" else no, unit, f"{yuan}.00", str(n)] for no, unit, yuan, n in rows]
    sheet = openpyxl.load_workbook(io.BytesIO(files["xlsx"])).worksheets[-1]
    assert list(sheet.iter_rows(values_only=True)) == [("月结账号", "分部", "运费 合计 (元)", "行数"), *rows]
    assert [[cell.data_type == "n" for cell in row] for row in sheet.iter_rows(min_row=2)] == [[False, False, True, True]] * 5
    shown = [cell for no, unit, yuan, n in rows for cell in (no, unit, f"{yuan:,}.00", str(n))]
    assert re.findall("<td[^>]*>([^<]*)</td>", files["html"].decode()) == shown
    said = "".join(page.extract_text() for page in PdfReader(io.BytesIO(files["pdf"])).pages).split()
    assert [word for word in said if word.endswith(".00")] == [f"{yuan:,}.00" for _, _, yuan, _ in rows]
    (section,) = json.loads(files["json"])["sections"]
    assert section["tables"][0]["rows"] == [[no, unit, yuan * 100, n] for no, unit, yuan, n in rows]
    assert [one["name"] for one in section["tables"][0]["columns"]] == ["account_no", "branch_code", "sum_amount_fen", "count"]


@pytest.mark.row("T-56")
async def test_an_export_says_how_far_it_is(desk: Desk) -> None:
    saved = await desk.save(MONTHLY)
    asked = (await desk.ask("POST", "/v1/exports", {"definition_id": saved["definition_id"]})).json()
    stages = (
        ("waiting", 0, None, 0), ("running", 0, None, None), ("running", 0, 200, 0), ("running", 51, 200, 25),
        ("running", 198, 200, 99), ("running", 200, 200, 99), ("done", 200, 200, 100), ("expired", 200, 200, 100),
    )  # fmt: skip
    for state, done, expected, progress in stages:
        values = {"state": state, "done": done, "expected": expected}
        async with desk.world.db.transaction() as session:
            await session.execute(
                making.text("UPDATE exports SET state = :state, rows_done = :done, rows_expected = :expected"), values
            )
        read = (await desk.ask("GET", f"/v1/exports/{asked['export_id']}")).json()
        assert (read["state"], read["rows_done"], read["progress"]) == (state, done, progress)


@pytest.mark.row("T-56")
async def test_exports_of_a_private_report_are_seen_by_who_asked_alone(desk: Desk) -> None:
    private, unit = await desk.save(MONTHLY, shared="private"), await desk.save(MONTHLY, shared="unit")
    made = [(await desk.export(one["definition_id"], "csv"))["export_id"] for one in (private, unit)]
    for person, wanted in (("ann", made), ("bob", made[1:])):
        listed = (await desk.ask("GET", "/v1/exports", person=person)).json()["items"]
        assert {one["export_id"] for one in listed} == set(wanted), person
        for one in made:
            for path in (f"/v1/exports/{one}", f"/v1/exports/{one}/file"):
                assert (await desk.ask("GET", path, person=person)).status_code == (200 if one in wanted else 404), person
    assert (await desk.ask("GET", "/v1/exports?unit=D1")).json()["items"] == [], "they were made for the root"


@pytest.mark.row("T-56")
async def test_the_worker_makes_an_export_in_the_scope_of_whoever_asked(desk: Desk) -> None:
    total = {
        **MONTHLY,
        "group": ["account_no"],
        "measures": [{"kind": "sum", "field": "amount_fen"}],
        "period": {"last_months": 12},
    }
    saved = await desk.save(total, shared="subtree")
    made = await desk.export(saved["definition_id"], "csv", unit="B2")
    answer = await desk.download(made["export_id"], "B2")
    assert answer.content.decode("utf-8-sig").splitlines()[1:] == ["B,5.00"]
    assert (await desk.download(made["export_id"], "B1")).status_code == 404
    wide = await desk.export(saved["definition_id"], "csv", about="B2")
    assert (await desk.download(wide["export_id"], "B2")).status_code == 404, "made in the scope of the root"
    listed = (await desk.ask("GET", "/v1/exports", unit="B2")).json()["items"]
    assert [one["export_id"] for one in listed] == [made["export_id"]]


async def test_an_export_that_its_worker_left_is_taken_up_again_three_times(desk: Desk) -> None:
    saved = await desk.save(MONTHLY)
    asked = (await desk.ask("POST", "/v1/exports", {"definition_id": saved["definition_id"]})).json()
    left = "UPDATE exports SET state = 'running', lease_until = clock_timestamp() + interval '{}', attempts = {}"
    async with desk.world.db.transaction() as session:
        await session.execute(making.text(left.format("1 minute", 1)))
    assert not await making.make_next(desk.world.db, desk.web), "it is still being made"
    for attempts, state in ((1, "done"), (3, "failed")):
        async with desk.world.db.transaction() as session:
            await session.execute(making.text(left.format("-1 second", attempts)))
        assert await making.make_next(desk.world.db, desk.web)
        assert (await desk.ask("GET", f"/v1/exports/{asked['export_id']}")).json()["state"] == state
    answer = await desk.download(asked["export_id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/export-not-ready")


async def test_a_file_with_too_many_rows_fails_and_says_what_to_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(making.MOST_ROWS, "xlsx", 2)
    saved = await desk.save(MONTHLY)
    made = await desk.export(saved["definition_id"], "xlsx")
    assert made["state"] == "failed"
    assert "ask for CSV" in made["problem"]


@pytest.mark.row("T-56")
async def test_scheduled_reports_come_after_a_close_and_each_week_once_and_expire(desk: Desk) -> None:
    relative = {**MONTHLY, "period": {"last_months": 1}}
    for schedule in ("monthly", "quarterly", "weekly"):
        await desk.save(relative, schedule=schedule, format="csv", name=schedule)
    asked = (
        "SELECT name, to_char(requested_at AT TIME ZONE 'Asia/Shanghai', 'MM-DD') AS day FROM exports ORDER BY requested_at, name"
    )

    async def found() -> list[tuple[str, str]]:
        return [(row["name"], row["day"]) for row in await desk.world.rows(asked)]

    await desk.world.run("2018-04-02")
    first = [("monthly", "04-02"), ("quarterly", "04-02"), ("weekly", "04-02")]
    assert await found() == first, "the first one is of the last period there is"
    await desk.world.run_days("2018-04-03", "2018-04-08")
    assert await found() == first
    await desk.world.run("2018-04-09")
    assert await found() == [*first, ("weekly", "04-09")]
    await desk.world.run("2018-05-01")
    assert (await found())[4:] == [("monthly", "05-01"), ("weekly", "05-01")]
    while await making.make_next(desk.world.db, desk.web):
        pass
    listed = (await desk.ask("GET", "/v1/exports")).json()["items"]
    assert {one["state"] for one in listed} == {"done"}
    await desk.world.run("2018-06-15")
    states = await desk.world.rows("SELECT state, count(*) AS n FROM exports GROUP BY state ORDER BY state")
    assert [(row["state"], row["n"]) for row in states] == [("expired", 6), ("waiting", 2)]
    assert await desk.world.rows("SELECT 1 FROM export_parts") == []


@pytest.mark.row("T-56")
async def test_a_scheduled_report_is_about_its_own_unit_until_it_is_archived_and_its_file_stays_thirty_days(desk: Desk) -> None:
    total = {**MONTHLY, "group": [], "measures": [{"kind": "sum", "field": "amount_fen"}], "period": {"last_months": 12}}
    kept = await desk.save(total, "D2", schedule="weekly", format="csv")
    gone = await desk.save(total, "D1", schedule="weekly", format="csv")
    assert (await desk.ask("DELETE", f"/v1/report-definitions/{gone['definition_id']}", unit="D1")).status_code == 200
    await desk.world.run("2018-04-09")
    while await making.make_next(desk.world.db, desk.web):
        pass
    (made,) = (await desk.ask("GET", "/v1/exports")).json()["items"]
    names = ("definition_id", "unit_code", "about_unit", "requested_by", "format", "state", "expires_at")
    assert [made[name] for name in names] == [
        kept["definition_id"], "D2", "D2", kept["owner"], "csv", "done", "2018-05-09T00:30:00+08:00",
    ]  # fmt: skip
    assert (await desk.download(made["export_id"], "D2")).content.decode("utf-8-sig").splitlines()[1:] == ["4.00"]
    assert (await desk.download(made["export_id"], "D1")).status_code == 404
    for day, weeks in (("2018-04-15", 1), ("2018-04-18", 2), ("2018-04-22", 2), ("2018-04-23", 3), ("2018-05-08", 4)):
        await desk.world.run(day)
        listed = (await desk.ask("GET", "/v1/exports", unit="D2")).json()["items"]
        assert (len(listed), listed[-1]["state"]) == (weeks, "done"), "once a week, on its first run"
    await desk.world.run("2018-05-09")
    assert (await desk.download(made["export_id"], "D2")).status_code == 409


async def test_twenty_exports_under_way_are_enough(desk: Desk) -> None:
    saved = await desk.save(MONTHLY)
    answers = [await desk.ask("POST", "/v1/exports", {"definition_id": saved["definition_id"]}) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [202] * 20 + [409]
    assert answers[-1].json()["type"] == "/problems/too-many-exports"
