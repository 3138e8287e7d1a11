"""A write is answered after its commit, or it is a 5xx."""

import asyncio
import random

import pytest

from tests.http.conftest import Toy


async def test_a_write_is_there_when_it_is_answered(toy: Toy) -> None:
    answer = await toy.client.post("/v1/rows", json={"name": "plain"}, headers=toy.bearer())
    assert answer.status_code == 201
    assert await toy.rows("plain") == 1


@pytest.mark.parametrize(
    ("then", "status", "type_"), [("fail-commit", 500, "internal"), ("cut", 503, "unavailable"), ("crash", 500, "internal")]
)
async def test_a_commit_that_fails_is_never_answered_2xx(toy: Toy, then: str, status: int, type_: str) -> None:
    answer = await toy.client.post("/v1/rows", json={"name": then, "then": then}, headers=toy.bearer())
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{type_}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert await toy.rows(then) == 0
    assert "Error" not in answer.text
    assert "13812345678" not in answer.text


async def test_a_refusal_undoes_what_was_written_before_it(toy: Toy) -> None:
    answer = await toy.client.post("/v1/rows", json={"name": "refused", "then": "refuse"}, headers=toy.bearer())
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/row-is-closed")
    assert await toy.rows("refused") == 0


async def test_no_2xx_for_an_absent_write_while_connections_are_cut_at_random(toy: Toy) -> None:
    rng = random.Random(6)
    done = asyncio.Event()

    async def cut() -> int:
        cuts = 0
        while not done.is_set():
            await asyncio.sleep(rng.uniform(0.002, 0.03))
            cuts += await toy.owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
                "WHERE application_name = 'tickets_web' AND datname = current_database() ORDER BY random() LIMIT 1) AS victim"
            )
        return cuts

    async def write(name: str) -> tuple[str, int]:
        answer = await toy.client.post("/v1/rows", json={"name": name}, headers=headers)
        return name, answer.status_code

    headers = toy.bearer()
    cutter = asyncio.create_task(cut())
    answers: dict[str, int] = {}
    for batch in range(50):
        answers |= dict(await asyncio.gather(*(write(f"cut-{batch}-{i}") for i in range(8))))
    done.set()
    cuts = await cutter
    there = {row["source"] for row in await toy.owner.fetch("SELECT source FROM inbox WHERE source LIKE 'cut-%'")}
    good = {name for name, status in answers.items() if status < 300}
    assert good <= there
    assert set(answers.values()) <= {201, 503}
    assert cuts > 20
    assert len(good) > 50
    assert 503 in answers.values()
