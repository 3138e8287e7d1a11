"""Logs that carry the trace and nothing personal; an outage does not flood them; metrics and readiness."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared import observability
from shared.observability import (
    CONSUMER_LAG,
    CONSUMER_STOPPED,
    OutageFilter,
    begin_trace,
    bus_check,
    configure_logging,
    lag_check,
    log,
    readiness,
    trace_id,
    trace_parent,
    traced,
)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging("INFO", "json", "tiering")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_is_json_with_trace_and_service(lines: Any) -> None:
    with traced(f"00-{'ab' * 16}-{'cd' * 8}-01"):
        log("crm.x").info("closed", month="2018-03")
        logging.getLogger("aiokafka").warning("broker %s", "away")
    log("crm.x").debug("not shown")
    mine, library = lines()
    assert (mine["event"], mine["month"], mine["trace_id"], mine["service"]) == ("closed", "2018-03", "ab" * 16, "tiering")
    assert (library["event"], library["level"], library["trace_id"]) == ("broker away", "warning", "ab" * 16)


def test_nothing_personal_is_logged(lines: Any) -> None:
    planted = "13812345678"
    log("crm.x").info(
        "called 13812345678", phone=planted, name="Li Lei", url="postgresql://a:geheim@b/c", other="tel 13812345678!"
    )
    try:
        secret = planted  # noqa: F841 - a local variable, which a stack must not show
        raise ValueError(
            "duplicate key\nDETAIL: Key (phone)=(13812345678) exists.\n[parameters: ('Li Lei',)]\npostgresql://a:geheim@b/c"
        )
    except ValueError:
        log("crm.x").exception("failed")
        logging.getLogger("sqlalchemy").exception("failed")
    text = json.dumps(lines())
    assert len(lines()) == 3
    assert all(word not in text for word in (planted, "Li Lei", "geheim"))
    assert "duplicate key" in lines()[1]["exception"]
    assert lines()[2]["exception"].startswith("Traceback")


def test_an_outage_is_one_line_of_a_kind(lines: Any) -> None:
    for n in range(500):
        logging.getLogger("aiokafka.conn").error("connect to %s failed", n)
        log("crm.x").info("mine")
    assert len([line for line in lines() if line["event"].startswith("connect")]) == 1
    assert len([line for line in lines() if line["event"] == "mine"]) == 500


def test_the_next_line_says_how_many_were_held_back() -> None:
    limit = OutageFilter(seconds=0.05)
    records = [logging.LogRecord("aiokafka", logging.ERROR, "", 0, "away %s", (n,), None) for n in range(5)]
    assert [limit.filter(record) for record in records[:4]] == [True, False, False, False]
    import time

    time.sleep(0.06)
    assert limit.filter(records[4])
    assert records[4].getMessage() == "away 4 (3 like this held back)"


async def test_a_trace_goes_from_one_process_to_the_next() -> None:
    begin_trace()
    parent = trace_parent()
    mine = trace_id()
    assert parent is not None
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", parent)

    async def handler() -> str | None:
        with traced(parent):
            return trace_id()

    assert await asyncio.create_task(handler()) == mine
    with traced("garbage") as fresh:
        assert fresh != mine
    with traced(f"00-{'0' * 32}-{'cd' * 8}-01") as fresh:
        assert fresh.strip("0")
    assert trace_id() == mine


async def test_readiness_names_what_is_wrong() -> None:
    async def well() -> None: ...

    async def slow() -> None:
        await asyncio.sleep(5)

    async def broken() -> None:
        raise ConnectionRefusedError("password=geheim")

    assert await readiness({"a": well}) == (True, {"a": "ok"})
    ready, report = await readiness({"a": well, "b": slow, "c": broken}, seconds=0.05)
    assert (ready, report) == (False, {"a": "ok", "b": "no answer within 0.05 s", "c": "ConnectionRefusedError"})


async def test_bus_and_lag() -> None:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await bus_check(f"127.0.0.1:1,127.0.0.1:{port}")() is None
    server.close()
    await server.wait_closed()
    assert await bus_check(f"127.0.0.1:{port}")() == "no broker accepts connections"
    check = lag_check("toy", 10)
    CONSUMER_LAG.labels("toy", "freight.events", 0).set(10)
    CONSUMER_LAG.labels("other", "freight.events", 0).set(99)
    assert await check() is None
    CONSUMER_LAG.labels("toy", "freight.events", 0).set(11)
    assert await check() == "freight.events/0 is behind (11)"
    CONSUMER_STOPPED.labels("toy", "freight.events", 1).set(1)
    assert await check() == "freight.events/1 is stopped (1)"
    for metric in (CONSUMER_LAG, CONSUMER_STOPPED):
        metric.clear()


def test_the_table_of_metrics_is_complete() -> None:
    import_module("services.tickets.tracking")  # a service's own metrics stand in the same table
    documented = set(re.findall(r"^\| (crm_\w+) \|", observability.__doc__ or "", re.M))
    kinds = {"counter": "_total", "gauge": "", "histogram": ""}
    real = {family.name + kinds[family.type] for family in REGISTRY.collect() if family.name.startswith("crm_")}
    assert documented == real
