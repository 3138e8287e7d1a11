"""What the edge refuses, and that every refusal is a problem with a stable type."""

import json
from typing import Any

import httpx2
import pytest

from shared.edge import MAX_BODY, check_json
from shared.problems import Invalid
from tests.http.conftest import Toy


def assert_problem(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["type"], body["status"]) == (status, f"/problems/{slug}", status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["title"]
    assert len(body["trace_id"]) == 32
    return body


@pytest.mark.parametrize("host", ["crm.example", "localhost.example", "", "127.0.0.1.example:8000", "[::1]:8000"])
async def test_other_hosts_are_refused(toy: Toy, host: str) -> None:
    assert_problem(await toy.client.get("/v1/open", headers={"Host": host}), 400, "host-not-allowed")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:8003"])
async def test_own_hosts_are_answered(toy: Toy, host: str) -> None:
    assert (await toy.client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/v1/rows?q=%00",
        "/v1/rows?q=a%00b",
        "/v1/rows?q=%ED%A0%80",
        "/v1/rows?q=%ff",
        "/v1/rows/%00",
        "/v1/rows/%ED%A0%80",
        "/v1/%c3%28",
    ],
)
async def test_nul_and_half_surrogates_in_addresses_are_422(toy: Toy, address: str) -> None:
    assert_problem(await toy.client.get(address, headers=toy.bearer()), 422, "bad-text")


async def test_text_in_addresses_that_is_well_formed_passes(toy: Toy) -> None:
    assert (await toy.client.get("/v1/rows?q=%E6%9C%88%E7%BB%93", headers=toy.bearer())).status_code == 200


HOSTILE = [
    (b'{"name":"a\\u0000b"}', "bad-text"),
    (b'{"name":"\\ud800"}', "bad-text"),
    (b'{"\\udfff":1}', "bad-text"),
    (b'{"name":"\xed\xa0\x80"}', "bad-json"),
    (b'{"name":"a","name":"b"}', "bad-json"),
    (b'{"name":"a","count":NaN}', "bad-json"),
    (b'{"name":"a","count":-Infinity}', "bad-json"),
    (b'{"name":"a","count":1e400}', "bad-json"),
    (b'{"name":"a","count":9223372036854775808}', "bad-json"),
    (b'{"name":"a","count":' + b"9" * 5000 + b"}", "bad-json"),
    (b"[" * 100_000, "bad-json"),
    (b"[" * 66 + b"]" * 66, "bad-json"),
    (b'{"a":' * 66 + b"1" + b"}" * 66, "bad-json"),
    (b"\xef\xbb\xbf{}", "bad-json"),
    (b"{", "bad-json"),
    (b"\xff", "bad-json"),
    (b'{"name":"a\nb"}', "bad-json"),
    (b'"text"', "invalid-request"),
    (b"[]", "invalid-request"),
    (b'{"name":"a","colour":"red"}', "invalid-request"),
    (b'{"name":1}', "invalid-request"),
    (b'{"name":"a","count":"1"}', "invalid-request"),
    (b'{"name":"a","count":1.0}', "invalid-request"),
    (b'{"name":"a","count":true}', "invalid-request"),
    (b'{"name":"a","at":1522513800}', "invalid-request"),
    (b'{"name":"a","at":"2018-04-01T00:30:00"}', "invalid-request"),
    (b"", "invalid-request"),
]


@pytest.mark.parametrize(("body", "slug"), HOSTILE)
async def test_hostile_bodies_are_422(toy: Toy, body: bytes, slug: str) -> None:
    headers = toy.bearer() | {"Content-Type": "application/json"}
    problem = assert_problem(await toy.client.post("/v1/rows", content=body, headers=headers), 422, slug)
    assert "13812345678" not in json.dumps(problem)


async def test_what_was_sent_is_not_sent_back(toy: Toy) -> None:
    answer = await toy.client.post("/v1/rows", json={"name": 13812345678}, headers=toy.bearer())
    problem = assert_problem(answer, 422, "invalid-request")
    assert problem["errors"][0]["where"] == "body.name"
    assert "13812345678" not in answer.text


def test_nested_json_up_to_the_limit_passes() -> None:
    check_json(b"[" * 64 + b'"\\u00e9"' + b"]" * 64)
    check_json(b"[" + b"{}," * 999 + b"{}]")
    with pytest.raises(Invalid):
        check_json(b"[" * 66 + b"]" * 66)


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]
)
async def test_only_json_is_read(toy: Toy, media: str) -> None:
    answer = await toy.client.post("/v1/rows", content=b"name=a", headers=toy.bearer() | {"Content-Type": media})
    assert_problem(answer, 415, "not-json")


async def test_a_body_over_a_mebibyte_is_413(toy: Toy) -> None:
    headers = toy.bearer() | {"Content-Type": "application/json"}
    big = b'{"name":"' + b"a" * MAX_BODY + b'"}'
    assert_problem(await toy.client.post("/v1/rows", content=big, headers=headers), 413, "body-too-large")

    async def in_parts() -> Any:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    assert_problem(await toy.client.post("/v1/rows", content=in_parts(), headers=headers), 413, "body-too-large")
    largest = b'{"name":"' + b"a" * (MAX_BODY - 11) + b'"}'
    assert len(largest) == MAX_BODY
    read = assert_problem(await toy.client.post("/v1/rows", content=largest, headers=headers), 422, "invalid-request")
    assert read["errors"][0]["where"] == "body.name"


async def test_unknown_addresses_and_methods(toy: Toy) -> None:
    assert_problem(await toy.client.get("/v1/nothing"), 404, "no-such-path")
    answer = await toy.client.delete("/v1/rows")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_answers_are_not_stored_by_anybody_between(toy: Toy) -> None:
    answer = await toy.client.get("/v1/open", headers=toy.bearer())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_trace_of_the_request_is_the_trace_of_the_answer(toy: Toy) -> None:
    answer = await toy.client.get("/v1/nothing", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.json()["trace_id"] == "ab" * 16
    other = await toy.client.get("/v1/nothing", headers={"traceparent": "00-zz"})
    assert len(other.json()["trace_id"]) == 32


async def test_probes(toy: Toy) -> None:
    assert (await toy.client.get("/healthz")).json() == {"status": "ok", "service": "tickets"}
    assert (await toy.client.get("/readyz")).json()["checks"] == {"database": "ok"}
    await toy.client.get("/v1/open", headers=toy.bearer())
    metrics = (await toy.client.get("/metrics")).text
    assert 'crm_http_requests_total{method="GET",route="tickets.read_open",service="tickets",status="200"}' in metrics


async def test_a_parameter_that_an_operation_does_not_have_is_refused_by_name(toy: Toy) -> None:
    """A filter with a slip in its name would show everything, and a write with one would do something else than was meant."""
    answer = await toy.client.get("/v1/rows?unti=B1&limit=3", headers=toy.bearer())
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-parameter")
    assert answer.json()["detail"] == "There is no parameter `unti` here; allowed: `cursor`, `limit`, `q`, `unit`."
    answer = await toy.client.get("/v1/bare?x=1", headers=toy.bearer())
    assert (answer.status_code, answer.json()["detail"]) == (422, "There is no parameter `x` here; allowed: none.")
    answer = await toy.client.post("/v1/rows?name=a", json={"name": "a"}, headers=toy.bearer())
    assert (answer.status_code, await toy.rows("a")) == (422, 0)
