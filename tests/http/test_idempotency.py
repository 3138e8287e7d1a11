"""A write that is sent again has its effect once."""

import asyncio
from datetime import datetime

import pytest

from shared.clock import SHANGHAI
from shared.db import Database
from shared.idempotency import forget, parse_key
from shared.problems import Invalid
from tests.http.conftest import Toy
from tests.http.test_edge import assert_problem


async def test_the_same_request_has_one_effect_and_the_same_answer(toy: Toy) -> None:
    headers = toy.bearer() | {"Idempotency-Key": '"one"'}
    first = await toy.client.post("/v1/rows", json={"name": "idem"}, headers=headers)
    again = await toy.client.post("/v1/rows", json={"name": "idem"}, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.headers["content-type"] == again.headers["content-type"]
    assert await toy.rows("idem") == 1


async def test_without_a_key_a_request_is_a_new_one(toy: Toy) -> None:
    for _ in range(2):
        await toy.client.post("/v1/rows", json={"name": "unkeyed"}, headers=toy.bearer())
    assert await toy.rows("unkeyed") == 2


async def test_the_key_of_another_request_is_422(toy: Toy) -> None:
    headers = toy.bearer() | {"Idempotency-Key": "two"}
    await toy.client.post("/v1/rows", json={"name": "two"}, headers=headers)
    answer = await toy.client.post("/v1/rows", json={"name": "two", "count": 2}, headers=headers)
    assert_problem(answer, 422, "idempotency-key-reused")
    assert await toy.rows("two") == 1


async def test_a_key_in_use_is_409_and_the_effect_comes_once(toy: Toy) -> None:
    headers = toy.bearer() | {"Idempotency-Key": "three"}
    first = asyncio.create_task(toy.client.post("/v1/rows", json={"name": "three", "then": "wait"}, headers=headers))
    await toy.halt.reached.wait()
    answer = await toy.client.post("/v1/rows", json={"name": "three", "then": "wait"}, headers=headers)
    assert_problem(answer, 409, "idempotency-key-in-use")
    assert answer.headers["retry-after"] == "1"
    toy.halt.go_on.set()
    assert (await first).status_code == 201
    assert await toy.rows("three") == 1


async def test_twenty_at_once_have_one_effect(toy: Toy) -> None:
    headers = toy.bearer() | {"Idempotency-Key": "crowd"}
    answers = await asyncio.gather(*(toy.client.post("/v1/rows", json={"name": "crowd"}, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await toy.rows("crowd") == 1


@pytest.mark.parametrize("then", ["refuse", "crash", "fail-commit", "cut"])
async def test_a_request_that_failed_stored_nothing(toy: Toy, then: str) -> None:
    headers = toy.bearer() | {"Idempotency-Key": f"failed-{then}"}
    for _ in range(2):
        answer = await toy.client.post("/v1/rows", json={"name": "failed", "then": then}, headers=headers)
        assert answer.status_code >= 400
        assert "idempotency-replayed" not in answer.headers
    assert await toy.owner.fetchval("SELECT count(*) FROM idempotency_keys WHERE key LIKE 'failed-%'") == 0


async def test_another_persons_key_is_another_key(toy: Toy) -> None:
    key = {"Idempotency-Key": "shared"}
    one = await toy.client.post("/v1/rows", json={"name": "mine"}, headers=toy.bearer(person="ann") | key)
    two = await toy.client.post("/v1/rows", json={"name": "mine"}, headers=toy.bearer(person="bob") | key)
    assert one.content != two.content
    assert await toy.rows("mine") == 2


async def test_an_answer_is_not_replayed_to_the_same_person_with_lesser_rights(toy: Toy) -> None:
    key = {"Idempotency-Key": "moved"}
    await toy.client.post("/v1/rows", json={"name": "moved"}, headers=toy.bearer("branch_manager", "B1", person="eve") | key)
    answer = await toy.client.post(
        "/v1/rows", json={"name": "moved"}, headers=toy.bearer("branch_manager", "B2", person="eve") | key
    )
    assert_problem(answer, 422, "idempotency-key-reused")
    shipper = await toy.client.post("/v1/rows", json={"name": "moved"}, headers=toy.bearer("shipper", None, "A-B1", "eve") | key)
    assert_problem(shipper, 403, "role-not-allowed")


@pytest.mark.parametrize("key", ['"', '""', '"a', 'a"', "", "a b", "a" * 201, '"' + "a" * 201 + '"', "k\u00e9y"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(Invalid):
        parse_key(key)


@pytest.mark.parametrize(
    ("header", "key"), [('"a"', "a"), ("a", "a"), ('"' + "x" * 200 + '"', "x" * 200), ("8e03978e-40d5", "8e03978e-40d5")]
)
def test_keys(header: str, key: str) -> None:
    assert parse_key(header) == key


async def test_a_key_is_forgotten_after_seven_days_and_no_sooner(toy: Toy) -> None:
    headers = [toy.bearer() | {"Idempotency-Key": key} for key in ("older", "younger")]
    for name, header in zip(("older", "younger"), headers, strict=True):
        await toy.client.post("/v1/rows", json={"name": name}, headers=header)
    for key, age in (("older", "7 days 1 second"), ("younger", "6 days 23 hours")):
        await toy.owner.execute(
            "UPDATE idempotency_keys SET created_at = clock_timestamp() - $2::text::interval WHERE key = $1", key, age
        )
    database = Database("tickets", toy.settings.database_url("tickets"), "worker")
    await database.open()
    async with database.transaction() as session:
        await forget(session, datetime(2018, 4, 1, tzinfo=SHANGHAI))
    await database.close()
    for name, header in zip(("older", "younger"), headers, strict=True):
        await toy.client.post("/v1/rows", json={"name": name}, headers=header)
    assert (await toy.rows("older"), await toy.rows("younger")) == (2, 1)
