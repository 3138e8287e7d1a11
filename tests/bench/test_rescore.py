"""The oracles of the re-score: the recount agrees with the suite and with the statements by hand; a wrong row voids the run."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from bench import closing_by_hand, http_rate, rescore, rescore_changed, rescore_data
from bench.duckdb_env import LOCK
from bench.measuring import WrongTotalError
from bench.rescore_data import INSTANT, MONTH
from bench.rescore_export import export
from services.tiering import restatement
from shared.db import Database
from tests.conftest import Server

ACCOUNTS = 2_500


@pytest.fixture
async def owner(postgres: Server, tiering_db: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + "/" + tiering_db.url.rpartition("/")[2], ssl=False)
    yield connection
    await connection.close()


@pytest.fixture
async def checked(tiering_db: Database, owner: asyncpg.Connection, tmp_path: Path) -> rescore.Checked:
    """The data of the re-score, exported, with the quarter's close decided by the suite."""
    totals = await rescore_data.fill(tiering_db, owner, ACCOUNTS)
    assert totals > 22 * ACCOUNTS
    checked = rescore.Checked(tmp_path / "rescore", ACCOUNTS)
    await export(owner, checked.folder)
    await rescore_data.decide(tiering_db, MONTH, INSTANT)
    return checked


async def test_a_re_score_is_believed_only_when_every_account_is_as_it_is_recounted(
    owner: asyncpg.Connection, checked: rescore.Checked
) -> None:
    await rescore.check_decided(owner, checked)
    kinds = {row["kind"] for row in await owner.fetch("SELECT DISTINCT kind FROM quarter_movements")}
    assert kinds >= {"riser", "decliner", "rise", "fall"}
    one = f"WHERE month = '{MONTH}' AND account_no = (SELECT min(account_no) FROM decisions WHERE month = '{MONTH}' AND {{}})"
    for damage in (
        "UPDATE decisions SET service_tier = 'key' " + one.format("service_tier = 'general'"),
        "UPDATE decisions SET grade = 'gold' " + one.format("grade = 'silver'"),
        "UPDATE decisions SET band = 'A' " + one.format("band = 'B'"),
        "UPDATE decisions SET rank = rank + 1 " + one.format("rank = 3"),
        "DELETE FROM decisions " + one.format("true"),
        f"DELETE FROM movements WHERE movement_id = (SELECT movement_id FROM movements WHERE month = '{MONTH}' LIMIT 1)",
        "UPDATE quarter_movements SET place = 2 WHERE kind = 'riser' AND branch_code = 'B17' AND quarter = '2026-01-01'",
    ):
        await _refused(owner, damage, lambda: rescore.check_decided(owner, checked))


async def test_the_statements_by_hand_write_every_column_as_the_suite_does(
    owner: asyncpg.Connection, checked: rescore.Checked
) -> None:
    await rescore.check_rows(owner, checked)
    for table, column in (("decisions", "month"), ("movements", "month"), ("quarter_movements", "quarter")):
        first = MONTH if column == "month" else rescore_data.CLOSED_BEFORE[1].replace(month=1)
        await owner.execute(f"DELETE FROM {table} WHERE {column} = $1", first)
    await closing_by_hand.decide(owner, MONTH, INSTANT)
    await closing_by_hand.detect(owner, MONTH, INSTANT)
    await rescore.check_rows(owner, checked)
    damage = "UPDATE quarter_movements SET digest = sha256('') WHERE account_no = (SELECT min(account_no) FROM quarter_movements)"
    await _refused(owner, damage, lambda: rescore.check_rows(owner, checked))


async def test_late_charges_are_recounted_too(tiering_db: Database, owner: asyncpg.Connection, checked: rescore.Checked) -> None:
    charges = rescore_changed.late_charges(ACCOUNTS)
    assert len(charges) == ACCOUNTS // 100
    await rescore_changed.post(tiering_db, charges)
    async with tiering_db.transaction() as session:
        await restatement.rejudge(session, INSTANT)
    await rescore_changed.check_movements(owner, checked.folder, charges)
    with pytest.raises(WrongTotalError):
        await rescore_changed.check_movements(owner, checked.folder, [])
    damage = "UPDATE movements SET current_fen = current_fen + 1 WHERE kind = 'fall_over_half' AND state = 'open'"
    await _refused(owner, damage, lambda: rescore_changed.check_movements(owner, checked.folder, charges))


async def _refused(owner: asyncpg.Connection, damage: str, check: Callable[[], Awaitable[None]]) -> None:
    damaged = owner.transaction()
    await damaged.start()
    await owner.execute(damage)
    with pytest.raises(WrongTotalError):
        await check()
    await damaged.rollback()


async def test_an_answer_counts_from_the_instant_it_was_due() -> None:
    answered: list[float] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.01)
            answered.append(time.perf_counter())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    load = http_rate._Load([b"GET / HTTP/1.1\r\n\r\n"])
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: http_rate._Connection(load), "127.0.0.1", port)
    began = time.perf_counter()
    for _ in range(4):
        load.due(began)
    await http_rate._drain(load, 4)
    transport.abort()
    server.close()
    assert load.other == {}
    assert len(answered) == 4
    # The fourth was asked only when the third was answered: counted from the asking, it would have taken less than this.
    assert all(took >= answer - began for took, answer in zip(load.took, answered, strict=True))


def test_the_peer_is_pinned_by_hashes_and_names_no_address() -> None:
    lock = LOCK.read_text()
    assert lock.startswith("duckdb==")
    assert "--hash=sha256:" in lock
    assert "://" not in lock
