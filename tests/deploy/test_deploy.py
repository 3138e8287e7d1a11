"""deploy/: what it names exists, nothing is missing, and its SQL makes the roles that the services insist on."""

import asyncio
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from services.cli.processes import PORTS
from shared.db import Database
from shared.events import TOPICS
from shared.local.postgres import BINARIES, Postgres
from shared.migrations import upgrade
from shared.settings import PREFIX, SERVICES, Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))


def test_every_service_has_an_http_a_worker_and_a_relay_container(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        http, worker, relay = (compose["services"][part] for part in (name, f"{name}-worker", f"{name}-relay"))
        assert (http["command"], worker["command"], relay["command"]) == (["serve", name], ["work", name], ["relay", name])
        assert http["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]
        for part in (http, worker, relay):
            assert set(part["depends_on"]) == {"migrate", "topics"}


def test_containers_set_only_settings_that_exist(compose: dict[str, Any]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, part in compose["services"].items():
        if part["image"].startswith("express-crm"):
            assert set(part["environment"]) <= known, name


def test_topics_are_those_of_the_contract(compose: dict[str, Any]) -> None:
    listed = yaml.safe_load((DEPLOY / "topics.yaml").read_text(encoding="utf-8"))
    job = compose["services"]["topics"]
    assert set(listed["topics"]) == set(TOPICS) == set(job["environment"]["TOPICS"].split())
    assert {topic.partitions for topic in TOPICS.values()} == {listed["defaults"]["partitions"]}
    assert f"--partitions {listed['defaults']['partitions']} " in job["command"][-1]


def test_every_variable_that_compose_wants_stands_in_the_example() -> None:
    wanted = {text.split(":")[0].split("}")[0] for text in (DEPLOY / "compose.yaml").read_text(encoding="utf-8").split("${")[1:]}
    given = {line.split("=")[0] for line in (DEPLOY / "env.example").read_text(encoding="utf-8").splitlines() if "=" in line}
    assert wanted - given <= {"CRM_LOG_LEVEL"}


def test_the_image_copies_what_the_distribution_needs() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for needed in (*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], project["project"]["readme"]):
        assert needed in recipe


async def test_postgres_sql_makes_roles_that_migrate_and_cannot_go_round_row_level_security(tmp_path: Path) -> None:
    environment = os.environ | {"CRM_OWNER_PASSWORD": "o'w", "CRM_APP_PASSWORD": "app"}
    with Postgres(tmp_path) as server:
        psql = [str(BINARIES / "psql"), "-q", "-f", str(DEPLOY / "postgres.sql"), server.admin_url]
        without = await asyncio.to_thread(subprocess.run, psql, env=dict(os.environ), capture_output=True, text=True)
        assert without.returncode != 0
        assert "CRM_OWNER_PASSWORD is not set" in without.stderr
        await asyncio.to_thread(subprocess.run, psql, env=environment, capture_output=True, check=True)
        address = server.admin_url.rpartition("@")[2].partition("/")[0]
        await upgrade("tickets", f"postgresql://tickets_owner:o%27w@{address}/tickets")
        for name in SERVICES:
            url = f"postgresql://{name}_app:app@{address}/{name}"
            for role in ("web", "worker"):
                database = Database(name, url, role)
                await database.open()
                await database.close()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(f"postgresql://tickets_app:app@{address}/customer", ssl=False)
