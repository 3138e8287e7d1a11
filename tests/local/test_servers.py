"""The launchers: both identities of PostgreSQL, kill -9 of server and parent, restart on the same data."""

import os
import signal
import stat
from pathlib import Path

import asyncpg
import psutil
import pytest

from shared.local import postgres
from shared.local.databases import create_database, drop_database, ensure_databases
from shared.local.kafka import Kafka
from shared.local.postgres import PLAIN, SETPRIV, UNSHARE, Identity, Postgres
from tests.local.processes import all_gone, eventually, family, start_python

IDENTITIES = [PLAIN] if os.geteuid() else [each for each in (UNSHARE, SETPRIV) if each.works()]
PARENT = """
import sys, time
from pathlib import Path
from shared.local.{module} import {server}
with {server}(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_some_identity_works_on_this_machine() -> None:
    assert IDENTITIES
    assert postgres.identity() in IDENTITIES


@pytest.mark.parametrize("who", IDENTITIES, ids=lambda who: who.name)
async def test_postgres_comes_back_on_its_data_after_kill_9(who: Identity, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    with Postgres(tmp_path / "pg", who=who) as server:
        connection = await asyncpg.connect(server.admin_url, ssl=False)
        await connection.execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)")
        assert server.pid is not None
        backends = family(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        assert eventually(lambda: all_gone(backends), 5.0)
        await connection.close(timeout=1) if not connection.is_closed() else None
        server.start()
        server.wait_ready()
        connection = await asyncpg.connect(server.admin_url, ssl=False)
        assert await connection.fetchval("SELECT x FROM kept") == 1
        settings = {row["name"]: row["setting"] for row in await connection.fetch("SELECT name, setting FROM pg_settings")}
        assert settings["fsync"] == "on"
        assert settings["max_connections"] == "200"
        assert settings["listen_addresses"] == "127.0.0.1"
        await connection.close()
    assert server.pid is None


def test_data_of_another_identity_are_taken_over(tmp_path: Path) -> None:
    for who in IDENTITIES + IDENTITIES[:1]:
        with Postgres(tmp_path / "pg", who=who) as server:
            assert server.pid is not None


async def test_postgres_asks_for_a_password_and_keeps_its_files_private(tmp_path: Path) -> None:
    with Postgres(tmp_path / "pg") as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.admin_url.replace(server.password("postgres"), "wrong"), ssl=False)
        for file in (server.directory / "password", server.log):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_a_killed_installation_of_postgres_is_repeated(tmp_path: Path) -> None:
    half = tmp_path / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with Postgres(tmp_path / "pg") as server:
        assert server.pid is not None


async def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(tmp_path: Path) -> None:
    with Postgres(tmp_path / "pg") as server:
        pass
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n{server.port}\n\n127.0.0.1\n0 0\nready   \n")
    with server:
        connection = await asyncpg.connect(server.admin_url, ssl=False)
        await connection.close()


def test_kill_9_of_the_parent_ends_postgres_within_10_s(tmp_path: Path) -> None:
    parent = start_python(PARENT.format(module="postgres", server="Postgres"), str(tmp_path / "server"))
    everyone = family(parent.pid)[1:]
    assert len(everyone) > 4
    parent.kill()
    parent.wait()
    assert eventually(lambda: all_gone(everyone), 10.0)


def test_kafka_ends_with_its_parent_and_comes_back_on_its_port_after_kill_9(tmp_path: Path) -> None:
    parent = start_python(PARENT.format(module="kafka", server="Kafka"), str(tmp_path / "kafka"))
    everyone = family(parent.pid)[1:]
    parent.kill()
    parent.wait()
    assert eventually(lambda: all_gone(everyone), 10.0)
    with Kafka(tmp_path / "kafka") as broker:
        address = broker.bootstrap
        assert broker.pid is not None
        java = psutil.Process(broker.pid)
        java.kill()
        assert eventually(lambda: all_gone([java]))
        broker.start()
        broker.wait_ready()
        assert broker.bootstrap == address
        settings = broker.properties.read_text()
        for line in ("broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=250", "log.retention.ms=-1"):
            assert line in settings
        assert all(part.startswith("127.0.0.1") for part in [address, *_listeners(settings)])


def _listeners(settings: str) -> list[str]:
    line = next(line for line in settings.splitlines() if line.startswith("listeners="))
    return [part.partition("://")[2] for part in line.partition("=")[2].split(",")]


async def test_roles_own_connect_and_put_on_a_hat(postgres_server: str) -> None:
    def password(role: str) -> str:
        return f"secret-of-{role}"

    address = postgres_server.rpartition("@")[2].partition("/")[0]
    for _ in range(2):
        await ensure_databases(postgres_server, ["shelf", "other"], password)
    await create_database(postgres_server, "shelf", "shelf_two")
    owner = await asyncpg.connect(f"postgresql://shelf_owner:{password('shelf_owner')}@{address}/shelf_two", ssl=False)
    await owner.execute("CREATE TABLE books (id int); GRANT SELECT ON books TO shelf_web")
    assert not await owner.fetchval("SELECT rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    await owner.close()
    app = f"postgresql://shelf_app:{password('shelf_app')}@{address}/shelf_two"
    bare = await asyncpg.connect(app, ssl=False)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bare.fetch("SELECT * FROM books")
    await bare.close()
    dressed = await asyncpg.connect(app, ssl=False, server_settings={"role": "shelf_web"})
    assert await dressed.fetch("SELECT * FROM books") == []
    await dressed.close()
    stranger = f"postgresql://other_app:{password('other_app')}@{address}/shelf_two"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(stranger, ssl=False)
    await drop_database(postgres_server, "shelf_two")
    for name in ("shelf", "other"):
        await drop_database(postgres_server, name)
