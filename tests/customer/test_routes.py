"""Customer over HTTP: what headquarters enters, what people see of it, and the refusals they meet."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.customer.main import app
from services.customer.subscriptions import note_charges
from shared.db import Database
from shared.settings import Settings
from tests.conftest import Server
from tests.customer.make import UNITS, at, charge, set_clock
from tests.deliveries import deliver
from tests.serving import bearer, serving, settings_of

pytestmark = pytest.mark.row("C-42", "X-23")

ACCOUNTS = [
    {"account_no": "A1", "opened_on": "2017-05-04", "branch_code": "BR-1", "outlet_code": "OUT-1", "name": "Hua Trading"},
    {"account_no": "A2", "opened_on": "2017-06-01", "branch_code": "BR-3"},
]


@dataclass
class Desk:
    """The running service and the people who call it."""

    client: httpx2.AsyncClient
    settings: Settings

    async def get(
        self, path: str, role: str = "branch_manager", unit: str | None = "BR-1", account: str | None = None
    ) -> httpx2.Response:
        return await self.client.get(path, headers=bearer(self.settings, role, unit, account))

    async def put(self, path: str, items: list[Any], role: str = "ops_hq", unit: str = "HQ") -> httpx2.Response:
        return await self.client.put(path, json={"items": items}, headers=bearer(self.settings, role, unit))


@pytest.fixture
async def desk(bare: Database, postgres: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    await set_clock(bare, at("2018-03-15"))
    vars(app.state).get("_state", {}).pop("seal", None)
    settings = settings_of("customer", postgres, bare.url.rpartition("/")[2], tmp_path)
    async with serving(app, settings) as client:
        yield Desk(client, settings)


@pytest.fixture
async def staffed(desk: Desk) -> Desk:
    """A desk whose organisation and accounts are entered."""
    answer = await desk.put("/v1/units", [unit._asdict() for unit in UNITS])
    assert answer.json() == {"changed": [unit.unit_code for unit in UNITS]}, answer.text
    assert (await desk.put("/v1/accounts", ACCOUNTS)).json() == {"changed": ["A1", "A2"]}
    return desk


async def test_headquarters_enters_the_organisation_and_repeats_it(staffed: Desk) -> None:
    assert (await staffed.put("/v1/units", [unit._asdict() for unit in UNITS])).json() == {"changed": []}
    assert (await staffed.put("/v1/accounts", ACCOUNTS)).json() == {"changed": []}
    units = (await staffed.get("/v1/units")).json()
    assert units == {
        "items": [
            {"unit_code": "BR-1", "kind": "branch", "parent_code": "D1", "name": "Harbour", "version": 1},
            {"unit_code": "OUT-1", "kind": "outlet", "parent_code": "BR-1", "name": "Pier 3", "version": 1},
        ],
        "next_cursor": None,
    }
    below = await staffed.get("/v1/units?kind=branch&limit=1", unit="D1", role="district_head")
    assert [item["unit_code"] for item in below.json()["items"]] == ["BR-1"]
    cursor = below.json()["next_cursor"]
    after = await staffed.get(f"/v1/units?kind=branch&limit=1&cursor={cursor}", unit="D1", role="district_head")
    assert ([item["unit_code"] for item in after.json()["items"]], after.json()["next_cursor"]) == (["BR-2"], None)


async def test_an_account_is_read_with_its_name_masked(staffed: Desk) -> None:
    answer = (await staffed.get("/v1/accounts/A1")).json()
    assert answer["name"] == "H***"
    assert answer["memberships"] == [
        {"unit_code": "OUT-1", "branch_code": "BR-1", "outlet_code": "OUT-1", "from_on": "2017-05-04", "to_on": None}
    ]
    listed = (await staffed.get("/v1/accounts?provisional=false")).json()
    assert [(item["account_no"], item["name"], item["district_code"]) for item in listed["items"]] == [("A1", "H***", "D1")]


async def test_the_page_of_an_account_over_http(staffed: Desk, bare: Database) -> None:
    async with bare.transaction() as session:
        await note_charges(session, [deliver(charge(amount_fen=4200))])
    for caller in (
        {"role": "outlet_staff", "unit": "OUT-1"},
        {"role": "branch_manager", "unit": "BR-1"},
        {"role": "ops_hq", "unit": "HQ"},
        {"role": "shipper", "unit": None, "account": "A1"},
    ):
        answer = await staffed.get("/v1/accounts/A1/360", **caller)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body["unit_path"] == ["HQ", "D1", "BR-1", "OUT-1"]
        assert body["account"]["outlet_code"] == "OUT-1"
        assert body["freight"]["months"][-1] == {"month": "2018-03", "amount_fen": 4200}


@pytest.mark.parametrize(
    "path", ["/v1/accounts/A2/360", "/v1/accounts/A2", "/v1/accounts/A9/360", "/v1/accounts?unit=BR-3", "/v1/units?unit=D1"]
)
async def test_what_lies_outside_the_unit_answers_404(staffed: Desk, path: str) -> None:
    answer = await staffed.get(path)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_a_shipper_sees_its_own_account_only(staffed: Desk) -> None:
    assert (await staffed.get("/v1/accounts/A1/360", "shipper", None, "A2")).status_code == 404
    assert (await staffed.get("/v1/accounts/A1", "shipper", None, "A2")).status_code == 404
    assert (await staffed.get("/v1/accounts/A1", "shipper", None, "A1")).status_code == 200


@pytest.mark.parametrize(("role", "unit"), [("branch_manager", "BR-1"), ("ops_hq", "BR-1"), ("analyst", "HQ")])
async def test_only_headquarters_opens_units_and_accounts(staffed: Desk, role: str, unit: str) -> None:
    assert (await staffed.put("/v1/units", [UNITS[0]._asdict()], role, unit)).status_code == 403
    assert (await staffed.put("/v1/accounts", ACCOUNTS, role, unit)).status_code == 403


async def test_a_refused_row_is_named(staffed: Desk) -> None:
    wrong = {"unit_code": "BR-9", "kind": "branch", "parent_code": "D9", "name": None}
    answer = await staffed.put("/v1/units", [UNITS[1]._asdict(), wrong])
    assert (answer.status_code, answer.json()["row"]) == (422, 1)
    assert answer.json()["detail"] == "items.1 (BR-9): the parent D9 is not known."
    answer = await staffed.put("/v1/accounts", [ACCOUNTS[0], {**ACCOUNTS[1], "branch_code": "D1"}])
    assert (answer.status_code, answer.json()["row"], answer.json()["type"]) == (422, 1, "/problems/account-refused")
    assert (await staffed.put("/v1/accounts", [{**ACCOUNTS[0], "surprise": 1}])).status_code == 422
    assert (await staffed.put("/v1/accounts", [{**ACCOUNTS[0], "account_no": f"B{n}"} for n in range(1001)])).status_code == 422


async def test_a_name_left_out_stays_and_null_removes_it(staffed: Desk) -> None:
    row = {key: value for key, value in ACCOUNTS[0].items() if key != "name"}
    await staffed.put("/v1/accounts", [row])
    assert (await staffed.get("/v1/accounts/A1")).json()["name"] == "H***"
    await staffed.put("/v1/accounts", [{**row, "name": None}])
    assert (await staffed.get("/v1/accounts/A1")).json()["name"] is None


async def test_the_page_refuses_as_every_other_operation_does(desk: Desk) -> None:
    """It is answered directly: token first, then the number's form, then whether the caller may see it."""
    for path in ("/v1/accounts/A%201/360", "/v1/accounts/A1/360"):
        assert (await desk.client.get(path)).status_code == 401
    refused = await desk.get("/v1/accounts/A%201/360")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "invalid-request")
    assert refused.json()["errors"][0]["where"] == "path.account_no"
    assert (await desk.client.post("/v1/accounts/A1/360")).status_code == 405
    missing = await desk.get("/v1/accounts/A9/360")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert missing.headers["cache-control"] == "no-store"
