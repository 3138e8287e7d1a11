"""The bench can fail: a total that is wrong by one fen, one row or one event voids the figure, a missed ratio does not."""

import json
from collections.abc import AsyncIterator
from datetime import date

import asyncpg
import pytest

from bench import __main__ as program
from bench import close, closing_by_hand, closing_data, overview_data
from bench.charges import TOPIC, Ledger, Segment, add_up, check_ledger, empty_ledger, make_charges
from bench.measuring import Figure, Run, WrongTotalError, alternate, cpu_between, cpu_of, cpu_seconds, ratios
from bench.read_360 import compare_page, zipf_requests
from services.customer.customer_360 import reading
from services.tiering import closing, freight
from shared.db import Database, Scope
from shared.scheduler import record_run
from tests.conftest import Server
from tests.deliveries import deliver


@pytest.fixture
async def owner(postgres: Server, tiering_db: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + "/" + tiering_db.url.rpartition("/")[2], ssl=False)
    yield connection
    await connection.close()


@pytest.fixture
async def ingested(tiering_db: Database, owner: asyncpg.Connection) -> Segment:
    charges = list(make_charges(300, 40, days=90, seed=5))
    ledger = Ledger()
    await empty_ledger(owner)
    for charge in charges:
        add_up(ledger, charge)
    async with tiering_db.transaction() as session:
        assert await freight.post(session, [deliver(charge) for charge in charges]) == []
    await owner.execute("INSERT INTO consumer_offsets (topic, partition, next_offset) VALUES ($1, 0, 300)", TOPIC)
    return Segment({0: 300}, ledger)


async def test_the_ledger_as_the_suite_posts_it_is_believed(owner: asyncpg.Connection, ingested: Segment) -> None:
    assert {month for _, month in ingested.ledger.months} == {date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)}
    await check_ledger(owner, ingested)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE quarter_sums SET fen_2 = fen_2 + 1, fen_3 = fen_3 - 1 WHERE (account_no, quarter) = "
        "(SELECT account_no, quarter FROM quarter_sums WHERE charges_2 > 0 LIMIT 1)",
        "UPDATE quarter_sums SET charges_1 = charges_1 + 1 WHERE account_no = (SELECT min(account_no) FROM quarter_sums)",
        "DELETE FROM quarter_sums WHERE account_no = (SELECT min(account_no) FROM quarter_sums)",
        "INSERT INTO quarter_sums VALUES ('nobody', '2026-01-01', 0, 0, 0, 1, 0, 0)",
        "DELETE FROM charges WHERE charge_no = (SELECT min(charge_no) FROM charges)",
        "INSERT INTO replaced_charges SELECT * FROM charges LIMIT 1",
        "UPDATE consumer_offsets SET next_offset = next_offset - 1",
        'INSERT INTO parked_events (topic, partition, "offset", headers, timestamp_ms, reason) '
        "VALUES ('freight.events', 0, 7, '', 0, 'bad')",
    ],
)
async def test_a_ledger_wrong_by_one_is_not(owner: asyncpg.Connection, ingested: Segment, damage: str) -> None:
    await owner.execute(damage)
    with pytest.raises(WrongTotalError):
        await check_ledger(owner, ingested)


ACCOUNTS = 2_000


@pytest.fixture
async def closed(tiering_db: Database, owner: asyncpg.Connection) -> closing_data.Expected:
    await closing_data.fill(tiering_db, owner, ACCOUNTS)
    instant = closing_data.INSTANT
    await closing.close_months(tiering_db, instant, lambda session: record_run(session, "close", instant))
    return closing_data.expect_close(ACCOUNTS)


async def test_the_close_is_believed_and_only_when_all_of_it_is_right(
    owner: asyncpg.Connection, closed: closing_data.Expected
) -> None:
    await close.check_decisions(owner, closed, set())
    await close.check_events(owner, closed)
    assert (closed.movers, closed.vips, closed.keys) == (100, 10 * 10, 100 * 12)
    for damage in (
        "UPDATE decisions SET rank = rank + 1 WHERE account_no = 'A00000777' AND month = '2026-03-01'",
        "UPDATE decisions SET grade = 'silver' WHERE account_no = 'A00000001' AND month = '2026-03-01'",
        "DELETE FROM decisions WHERE account_no = 'A00001999' AND month = '2026-03-01'",
    ):
        await _refused(owner, damage, close.check_decisions(owner, closed, set()))
    for damage in (
        "DELETE FROM movements WHERE account_no = 'A00001999'",
        "DELETE FROM outbox WHERE key = 'A00001999' AND type = 'tiering.tiers-changed.v1'",
        "INSERT INTO outbox (topic, key, event_id, type, data) SELECT topic, key, event_id, type, data FROM outbox LIMIT 1",
    ):
        await _refused(owner, damage, close.check_events(owner, closed))


async def test_the_statement_by_hand_writes_every_column_as_the_suite_does(
    owner: asyncpg.Connection, closed: closing_data.Expected
) -> None:
    rows: set[str] = set()
    await close.check_decisions(owner, closed, rows)
    month = closing_data.MONTH
    await owner.execute("DELETE FROM decisions WHERE month = $1", month)
    await closing_by_hand.decide(owner, month, closing_data.INSTANT)
    await close.check_decisions(owner, closed, rows)
    await _refused(
        owner,
        "UPDATE decisions SET tier_since = decided_at - interval '1 s' WHERE (account_no, month) = ('A00000777', '2026-03-01')",
        close.check_decisions(owner, closed, rows),
    )


async def _refused(owner: asyncpg.Connection, damage: str, check: object) -> None:
    damaged = owner.transaction()
    await damaged.start()
    await owner.execute(damage)
    with pytest.raises(WrongTotalError):
        await check  # type: ignore[misc]
    await damaged.rollback()


async def test_a_page_is_believed_only_as_the_tables_say_it(postgres: Server, customer_db: Database) -> None:
    address = postgres.admin_url.rpartition("/")[0] + "/" + customer_db.url.rpartition("/")[2]
    connection = await asyncpg.connect(address, ssl=False)
    try:
        await overview_data.fill(customer_db, connection, 30)
        for account in ("A00000000", "A00000007", "A00000010", "A00000023"):
            page = json.loads(await reading.read(customer_db.hot, Scope(everything=True), account))
            expected = await overview_data.expected_page(connection, account)
            compare_page("ours", page, expected)
            prepared = await connection.fetchval("SELECT body FROM prepared WHERE account_no = $1", account)
            compare_page("bare", json.loads(prepared), expected)
            page["freight"]["months"][3]["amount_fen"] += 1
            with pytest.raises(WrongTotalError):
                compare_page("ours", page, expected)
    finally:
        await connection.close()


async def test_a_wrong_total_voids_the_figure_and_the_others_stand() -> None:
    figure = Figure("ingest", "L3", 0.65, "higher", [0.4, 0.5, 0.6, 0.5, 0.5])

    async def missed(_bench: object) -> list[Figure]:
        return [figure]

    async def wrong(_bench: object) -> list[Figure]:
        raise WrongTotalError("one fen")

    figures, void = await program.measure_all(None, {"a": missed, "b": wrong}, lambda _line: None)  # type: ignore[arg-type, dict-item]
    assert figures == [figure]
    assert void == ["b: one fen"]
    assert figure.as_dict()["ratio"] == {"median": 0.5, "min": 0.4, "max": 0.6}
    assert figure.as_dict()["goal"]["distance"] == -0.15


async def test_programs_take_turns_and_ratios_are_of_pairs() -> None:
    order: list[str] = []

    def make(name: str, seconds: float):
        async def run() -> Run:
            order.append(name)
            return Run(100, seconds, {"python": seconds})

        return run

    runs = await alternate({"a": make("a", 1.0), "b": make("b", 2.0)})
    assert order == ["a", "b"] * 5
    assert ratios(runs["b"], runs["a"]) == [0.5] * 5
    assert cpu_of(runs, per=1_000) == {"a": 10.0, "b": 20.0}


def test_cpu_seconds_of_this_process_are_counted() -> None:
    before = cpu_seconds()
    sum(range(3_000_000))
    assert sum(cpu_between(before, cpu_seconds()).values()) > 0


def test_zipf_asks_a_few_accounts_most_and_is_the_same_every_time() -> None:
    asked = [account for account, _ in zipf_requests(1_000, 5_000)]
    assert asked == [account for account, _ in zipf_requests(1_000, 5_000)]
    counts = sorted((asked.count(account) for account in set(asked)), reverse=True)
    assert counts[0] > 500
    assert len(counts) > 500
