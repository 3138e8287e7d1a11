"""Kill -9 of every kind of process at seeded business dates: the same rows, the same public ids, nothing missing on the bus."""

import asyncio
import csv
import os
import random
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from shared.events import INBOUND_TOPICS, TOPICS
from tests.kafka_log import read_topic
from tests.suite.running import RunningSuite, replayed_suite
from tests.suite.state import decided, written

SEED = 20181001
MONTHS = 6
VICTIMS = (
    "tiering-work", "customer-relay", "postgres", "tickets-work", "kafka", "web", "retention-work", "tiering-relay",
    "customer-work", "postgres", "retention-relay", "kafka", "tickets-relay",
)  # fmt: skip


def last_months(parcels: Path, folder: Path) -> Path:
    """Write a history of the last six months of the parcels, with corrections that come before their originals."""
    with (parcels / "shipments.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    last = max(datetime.fromisoformat(row["ordered_at"]) for row in rows)
    kept = [row for row in rows if datetime.fromisoformat(row["ordered_at"]) >= last - timedelta(days=30 * MONTHS)]
    folder.mkdir(parents=True)
    for name in ("org.csv", "accounts.csv"):
        if (parcels / name).exists():
            (folder / name).write_bytes((parcels / name).read_bytes())
    with (folder / "shipments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    choose = random.Random(SEED)
    with (folder / "charges.csv").open("w", encoding="utf-8", newline="") as file:
        writer_ = csv.writer(file)
        writer_.writerow(["charge_no", "version", "waybill_no", "account_no", "amount", "charged_at", "published_at"])
        for row in choose.sample([row for row in kept if row["handed_over_at"]], 60):
            charged_at = datetime.fromisoformat(row["handed_over_at"])
            early = (charged_at - timedelta(hours=choose.randrange(1, 30))).isoformat()
            amount = choose.choice(["0", "1.23", "88.00", "12000.00"])
            waybill_no, account_no = row["waybill_no"], row["account_no"]
            writer_.writerow([f"CH-{waybill_no}", 2, waybill_no, account_no, amount, row["handed_over_at"], early])
    return folder


class DisturbedSuite(RunningSuite):
    """The same suite with a publisher that repeats and moves events."""

    command = (sys.executable, "-m", "tests.suite.disturbed")

    def words(self) -> list[str]:
        return [*self.command, str(self.history), str(self.port), str(SEED)]


async def kill_on_dates(suite: RunningSuite, dates: list[date]) -> list[str]:
    """Kill one victim when the replay reaches each date; returns who was killed."""
    killed: list[str] = []
    for due, victim in zip(dates, VICTIMS, strict=True):
        while True:
            health = await suite.healthz()
            if health is not None and health["replay"]["state"] == "done":
                return killed
            if health is not None and date.fromisoformat(health["replay"]["business_date"]) >= due:
                break
            await asyncio.sleep(0.05)
        process = psutil.Process((await asyncio.to_thread(suite.state))["pids"][victim])
        with suppress(psutil.NoSuchProcess):
            family = process.children(recursive=True) if victim in {"postgres", "kafka"} else [process]
            for one in family:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            killed.append(victim)
    return killed


@pytest.fixture(scope="module")
def half_year(parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return last_months(parcels, tmp_path_factory.mktemp("half_year") / "history")


async def test_kills_repeats_and_disorder_change_no_business_column(
    half_year: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with replayed_suite(tmp_path_factory.mktemp("calm"), half_year) as calm:
        expected = await decided(calm)
    suite = DisturbedSuite(tmp_path_factory.mktemp("disturbed"), half_year)
    suite.start()
    try:
        begin, end = await first_and_last_day(half_year)
        choose = random.Random(SEED)
        days = sorted(choose.sample(range(5, (end - begin).days - 10), len(VICTIMS)))
        killing = asyncio.create_task(kill_on_dates(suite, [begin + timedelta(days=day) for day in days]))
        await suite.until_replayed(1200)
        killed = await killing
        assert len(killed) >= 10
        assert {"postgres", "kafka", "web"} <= set(killed)
        found = await decided(suite)
        assert found.keys() == expected.keys()
        differing = {table: sorted({*rows} ^ {*found[table]})[:4] for table, rows in expected.items() if found[table] != rows}
        assert differing == {}
        assert sum(map(len, expected.values())) > 1000
        await assert_the_bus_holds_every_outbox_row(suite)
    finally:
        await suite.stop()


async def assert_the_bus_holds_every_outbox_row(suite: RunningSuite) -> None:
    """Every committed row is on its topic with equal bytes, first deliveries in the order of the sequence, per key."""
    rows = await written(suite)
    sent: dict[str, bytes] = {}
    firsts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for topic in TOPICS.keys() - INBOUND_TOPICS:
        for record in await read_topic(suite.state()["kafka_bootstrap"], topic):
            event_id = record.headers["ce_id"]
            if event_id not in sent:
                firsts[topic, record.key or ""].append(int(record.headers["ce_sequence"]))
            sent[event_id] = record.value or b""
    assert {row.event_id for row in rows} == set(sent)
    assert all(sent[row.event_id] == row.data.encode() for row in rows)
    assert all(sequences == sorted(sequences) for sequences in firsts.values())


async def first_and_last_day(history: Path) -> tuple[date, date]:
    with (history / "shipments.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    instants = [datetime.fromisoformat(row[name]) for row in rows for name in ("ordered_at", "delivered_at") if row[name]]
    return min(instants).astimezone(UTC).date(), max(instants).astimezone(UTC).date()
