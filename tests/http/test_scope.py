"""Who sees what: roles, units, accounts, pages; and that row-level security holds where a route forgets."""

import pytest
from fastapi import APIRouter

from shared.access import POLICY, Reach, Role, Rule, check_policy
from shared.http import Caller, Idempotent, Router, Session, create_app
from shared.paging import PageRequest, decode_cursor, encode_cursor, paged
from shared.problems import Invalid
from tests.http.conftest import ACCOUNTS, Toy
from tests.http.test_edge import assert_problem

BELOW = {
    "HQ": {"A-B1", "A-O1", "A-B2", "A-B3", "A-HQ"},
    "D1": {"A-B1", "A-O1", "A-B2"},
    "D2": {"A-B3"},
    "B1": {"A-B1", "A-O1"},
    "O1": {"A-O1"},
    None: set(),
    "NOWHERE": set(),
}


@pytest.mark.parametrize("unit", list(BELOW))
async def test_each_wall_alone_shows_the_subtree(toy: Toy, unit: str | None) -> None:
    headers = toy.bearer("analyst", unit)
    listed = (await toy.client.get("/v1/rows", headers=headers)).json()["items"]
    assert {item["account_no"] for item in listed} == BELOW[unit]
    assert set((await toy.client.get("/v1/wall", headers=headers)).json()) == BELOW[unit]
    for account in ACCOUNTS:
        answer = await toy.client.get(f"/v1/rows/{account}", headers=headers)
        assert answer.status_code == (200 if account in BELOW[unit] else 404)


async def test_what_is_outside_reads_like_what_does_not_exist(toy: Toy) -> None:
    headers = toy.bearer("branch_manager", "B1")
    outside = assert_problem(await toy.client.get("/v1/rows/A-B2", headers=headers), 404, "not-found")
    missing = assert_problem(await toy.client.get("/v1/rows/A-99", headers=headers), 404, "not-found")
    assert outside["detail"].replace("A-B2", "A-99") == missing["detail"]


@pytest.mark.parametrize(
    ("own", "asked", "status"),
    [
        ("HQ", "B3", 200),
        ("D1", "O1", 200),
        ("B1", "B1", 200),
        ("B1", "B2", 404),
        ("B1", "D1", 404),
        ("O1", "B1", 404),
        ("B1", "X", 404),
        (None, "B1", 404),
    ],
)
async def test_unit_filter(toy: Toy, own: str | None, asked: str, status: int) -> None:
    answer = await toy.client.get("/v1/rows", params={"unit": asked}, headers=toy.bearer("analyst", own))
    assert answer.status_code == status
    if status == 200:
        assert {item["account_no"] for item in answer.json()["items"]} == BELOW.get(
            asked, BELOW["D2"] if asked == "B3" else set()
        )


async def test_a_shipper_sees_its_own_account(toy: Toy) -> None:
    headers = toy.bearer("shipper", None, "A-B1")
    assert (await toy.client.get("/v1/rows/A-B1", headers=headers)).status_code == 200
    assert_problem(await toy.client.get("/v1/rows/A-O1", headers=headers), 404, "not-found")
    assert_problem(await toy.client.get("/v1/rows?unit=B1", headers=headers), 404, "not-found")
    for path in ("/v1/wall", "/v1/rows"):
        assert "A-O1" not in (await toy.client.get(path, headers=headers)).text
    assert "A-B1" in (await toy.client.get("/v1/wall", headers=headers)).text


async def test_roles_and_the_root(toy: Toy) -> None:
    assert_problem(await toy.client.put("/v1/all", headers=toy.bearer("analyst", "HQ")), 403, "role-not-allowed")
    assert_problem(await toy.client.put("/v1/all", headers=toy.bearer("ops_hq", "D1")), 403, "root-unit-only")
    assert_problem(await toy.client.put("/v1/all", headers=toy.bearer("ops_hq", None)), 403, "root-unit-only")
    assert (await toy.client.put("/v1/all", headers=toy.bearer("ops_hq", "HQ"))).json() == {"everything": True}
    assert_problem(await toy.client.get("/v1/open"), 401, "not-authenticated")


async def test_a_route_that_asks_for_nothing_asks_for_a_token(toy: Toy) -> None:
    assert_problem(await toy.client.get("/v1/bare"), 401, "not-authenticated")
    assert_problem(await toy.client.get("/v1/bare", headers=toy.bearer("shipper", None, "A-B1")), 403, "role-not-allowed")
    assert (await toy.client.get("/v1/bare", headers=toy.bearer())).json() == {"bare": True}
    assert_problem(await toy.client.post("/v1/rows", json={"unknown": 1}), 401, "not-authenticated")


async def test_before_there_is_a_root_the_first_tree_can_be_written(toy: Toy) -> None:
    await toy.owner.execute("UPDATE units SET kind = 'district' WHERE unit_code = 'HQ'")
    toy.app.state.root_unit = None
    try:
        assert (await toy.client.put("/v1/all", headers=toy.bearer("ops_hq", "HQ"))).json() == {"everything": True}
    finally:
        await toy.owner.execute("UPDATE units SET kind = 'hq' WHERE unit_code = 'HQ'")


async def test_pages_go_through_a_list_once(toy: Toy) -> None:
    seen, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await toy.client.get("/v1/rows", params=params, headers=toy.bearer())).json()
        seen += [item["account_no"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(ACCOUNTS)


@pytest.mark.parametrize("cursor", ["x", "AAAA", "a" * 1000, "%F0%9F%92%A9", "W10"])
async def test_forged_cursors_are_422(toy: Toy, cursor: str) -> None:
    assert_problem(await toy.client.get(f"/v1/rows?cursor={cursor}", headers=toy.bearer()), 422, "bad-cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "x", "9" * 30])
async def test_limits_outside_1_to_200_are_422(toy: Toy, limit: str) -> None:
    assert_problem(await toy.client.get(f"/v1/rows?limit={limit}", headers=toy.bearer()), 422, "invalid-request")


def test_a_cursor_belongs_to_one_list_and_carries_types() -> None:
    from datetime import UTC, date, datetime
    from uuid import UUID

    key = ("a", 7, None, date(2018, 3, 1), datetime(2018, 3, 1, tzinfo=UTC), UUID(int=5))
    cursor = encode_cursor(key, b"seal of one")
    assert decode_cursor(cursor, b"seal of one") == key
    with pytest.raises(Invalid):
        decode_cursor(cursor, b"seal of another")
    full = paged([1, 2, 3], PageRequest(limit=2, seal=b"s"), lambda number: (number,))
    assert full["items"] == [1, 2]
    assert decode_cursor(full["next_cursor"], b"s") == (2,)
    assert paged([1, 2], PageRequest(limit=2), lambda number: (number,))["next_cursor"] is None


def test_start_refuses_what_the_policy_does_not_know() -> None:
    with pytest.raises(RuntimeError, match=r"routes without a row: customer\.erase_all"):
        check_policy("customer", [*(name for name in POLICY if name.startswith("customer.")), "customer.erase_all"])
    with pytest.raises(RuntimeError, match=r"rows without a route: .*customer\.list_units"):
        check_policy("customer", ["customer.read_account"])


def test_start_refuses_a_post_without_idempotency_and_one_that_cannot_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICY, "toy.make", Rule(frozenset({Role.ANALYST}), Reach.OPEN))

    async def bare(session: Session) -> None: ...

    async def keyed(session: Session, caller: Caller, idempotent: Idempotent) -> None: ...

    for endpoint, router, reason in (
        (bare, Router(), "does not declare"),
        (keyed, APIRouter(), "made with shared.http.Router"),
    ):
        router.add_api_route("/v1/x", endpoint, methods=["POST"], name="toy.make")
        with pytest.raises(RuntimeError, match=reason):
            create_app("toy", router, "Toy")
