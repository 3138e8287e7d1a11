"""Poison on the inbound topics of a running suite: parked with its reason by each reader, its neighbours at once in.

Runs after the recount of the same suite, whose parked lists it fills.
"""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shared.clock import SHANGHAI
from shared.events import FreightCharged, ShipmentStatusChanged
from shared.events.envelope import headers_for
from shared.kafka import Message, Publisher
from tests.suite.conftest import Replayed

AT = datetime(2017, 7, 3, 10, tzinfo=SHANGHAI)
PLACE = {"city": "city", "region": "D1-B1"}


def scan(waybill_no: str) -> ShipmentStatusChanged:
    return ShipmentStatusChanged.model_validate(
        {
            "waybill_no": waybill_no, "account_no": "H001", "status": "CREATED", "occurred_at": AT, "pieces": 1,
            "origin": {"branch": "D1-B1", **PLACE}, "destination": PLACE,
        }
    )  # fmt: skip


def charge(charge_no: str, amount_fen: int) -> FreightCharged:
    return FreightCharged.model_validate(
        {
            "charge_no": charge_no, "version": 1, "waybill_no": charge_no, "account_no": "H001", "amount_fen": amount_fen,
            "charged_at": AT,
        }
    )  # fmt: skip


def message(event: ShipmentStatusChanged | FreightCharged, value: bytes | None = None, kind: str | None = None) -> Message:
    headers = headers_for(
        event_id=event.event_id, source="/a-partner", type=kind or event.TYPE, time=AT, key=event.key(), sequence=0
    )
    return Message(event.TOPIC, event.key().encode(), event.to_bytes() if value is None else value, headers)


def poison() -> dict[str, Message]:
    good, paid = scan("P-0"), charge("P-CH-0", 100)
    data = good.to_bytes()
    return {
        "empty": message(good, b""),
        "not UTF-8": message(good, b"\xff\xfe{}"),
        "not JSON": message(good, b"{'a': 1}"),
        "unknown type": message(good, kind="shipment.vanished.v1"),
        "unknown major version": message(good, kind="shipment.status-changed.v2"),
        "wrong types": message(good, data.replace(b'"pieces":1', b'"pieces":"one"')),
        "negative pieces": message(good, data.replace(b'"pieces":1', b'"pieces":-1')),
        "300 kB": message(good, data.replace(b'"city"', b'"city","x":"' + b"x" * 300_000 + b'"', 1)),
        "negative amount": message(paid, paid.to_bytes().replace(b'"amount_fen":100', b'"amount_fen":-100')),
        "year 9999": message(paid, paid.to_bytes().replace(b"2017-07-03", b"9999-07-02")),
        "a tombstone": Message(paid.TOPIC, b"k", None, message(paid).headers),  # type: ignore[arg-type]
    }


READERS = {ShipmentStatusChanged.TOPIC: {"customer", "tickets"}, FreightCharged.TOPIC: {"customer", "tiering"}}


async def parked(hostile: Replayed) -> list[dict[str, Any]]:
    return list(json.loads(await asyncio.to_thread(hostile.suite.crm, "parked", "list", "--json")))


async def test_poison_is_parked_by_each_reader_and_delays_nobody(hostile: Replayed) -> None:
    bad = poison()
    publisher = Publisher(hostile.suite.state()["kafka_bootstrap"])
    for number, one in enumerate(bad.values()):
        await publisher.send([one, message(scan(f"P-N{number}")), message(charge(f"P-CH-N{number}", 1_00))])
    await publisher.send([message(charge("P-CH-N0", 9_99))])  # the same version with other content
    await publisher.close()
    wanted = sum(len(READERS[one.topic]) for one in bad.values()) + 1
    async with asyncio.timeout(30):
        while len(rows := await parked(hostile)) < wanted:  # noqa: ASYNC110 - another process parks
            await asyncio.sleep(0.2)
    assert len(rows) == wanted
    assert set(rows[0]) == {"parked_id", "service", "topic", "partition", "offset", "reason", "parked_at"}
    assert all({row["service"]} <= READERS[row["topic"]] and row["reason"] for row in rows)
    for number in range(len(bad)):
        parcel = await hostile.suite.get(f"/tickets/v1/parcels/P-N{number}")
        assert parcel["events"] == [{"status": "CREATED", "occurred_at": AT.isoformat()}]
    freight = await hostile.suite.get("/tiering/v1/accounts/H001/freight", **{"from": "2017-07", "to": "2017-07"})
    known = hostile.expected.totals["H001"].get("2017-07", (0, 0))
    assert freight["months"][0]["amount_fen"] == known[0] + len(bad) * 1_00, "the first content of a version stays"


async def test_a_parked_event_is_shown_retried_in_vain_and_discarded(hostile: Replayed) -> None:
    rows = [row for row in await parked(hostile) if row["service"] == "tickets"]
    number = str(rows[0]["parked_id"])
    shown = json.loads(hostile.suite.crm("parked", "show", number, "--service", "tickets", "--json"))
    assert shown["reason"] == rows[0]["reason"]
    hostile.suite.crm("parked", "retry", number, "--service", "tickets", code=3)
    hostile.suite.crm("parked", "discard", number, "--service", "tickets", "--reason", "a partner's test")
    assert number not in {str(row["parked_id"]) for row in await parked(hostile) if row["service"] == "tickets"}


async def test_a_late_charge_is_restated_at_once_and_judged_by_the_next_daily_run(hostile: Replayed) -> None:
    """A charge for a closed month changes its total when it arrives; nothing is judged on arrival."""
    account_no = next(a for a, months in hostile.expected.totals.items() if months)
    before = await hostile.suite.items("/tiering/v1/movements", month="2017-03")
    at = datetime(2017, 3, 6, 9, tzinfo=SHANGHAI)
    late = charge("P-LATE", 77_00).model_copy(update={"account_no": account_no, "charged_at": at})
    publisher = Publisher(hostile.suite.state()["kafka_bootstrap"])
    await publisher.send([message(late), message(late)])
    await publisher.close()
    known = hostile.expected.totals[account_no].get("2017-03", (0, 0))
    params = {"from": "2017-03", "to": "2017-03"}
    async with asyncio.timeout(20):
        while True:
            month = (await hostile.suite.get(f"/tiering/v1/accounts/{account_no}/freight", **params))["months"][0]
            if month["amount_fen"] == known[0] + 77_00:
                break
            await asyncio.sleep(0.1)
    assert month == {"month": "2017-03", "amount_fen": known[0] + 77_00, "charges": known[1] + 1, "closed": True}
    assert await hostile.suite.items("/tiering/v1/movements", month="2017-03") == before


async def test_an_import_of_a_csv_goes_through_the_same_contract_and_may_be_repeated(hostile: Replayed, tmp_path: Path) -> None:
    file = tmp_path / "parcels.csv"
    good = "P-CSV,H002,city,D1-B1,town,SP,1,10.00,23.45,{0},{0},,{1},shipped"
    bad = good.replace("P-CSV", "P-CSV-BAD").replace("23.45", "23.456")
    header = (
        "waybill_no,account_no,origin_city,origin_state,destination_city,destination_state,pieces,goods_value,freight,"
        "ordered_at,handed_over_at,delivered_at,promised_at,status"
    )
    instants = (AT.isoformat(), (AT + timedelta(days=90)).isoformat())
    file.write_text("\n".join([header, good.format(*instants), bad.format(*instants)]) + "\n")
    for _ in range(2):
        hostile.suite.crm("import", "shipments", str(file), code=3)
    assert "P-CSV-BAD" in (tmp_path / "parcels.csv.rejected.csv").read_text()
    async with asyncio.timeout(20):
        while (await hostile.suite.ask("GET", "/tickets/v1/parcels/P-CSV")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    parcel = await hostile.suite.get("/tickets/v1/parcels/P-CSV")
    assert [event["status"] for event in parcel["events"]] == ["CREATED", "PICKED_UP"]
    assert (await hostile.suite.ask("GET", "/tickets/v1/parcels/P-CSV-BAD")).status_code == 404
