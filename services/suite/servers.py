"""The servers under the suite: our own PostgreSQL and Kafka, or the ones that the settings name."""

from __future__ import annotations

import asyncio
from functools import partial
from subprocess import Popen
from typing import Any

from shared.kafka import create_topics
from shared.local.databases import ensure_databases
from shared.local.kafka import Kafka
from shared.local.postgres import Postgres
from shared.local.supervisor import Job
from shared.local.workplace import Workplace
from shared.migrations import upgrade
from shared.settings import SERVICES, Settings

RANK = 0
"""Servers end last."""
PATIENCE_SECONDS = 5.0


class Servers:
    """What the processes connect to; `settings` names it once `prepare` is through."""

    def __init__(self, settings: Settings, place: Workplace) -> None:
        self.settings = settings
        before = place.read_state()
        self.missing = [name for name in SERVICES if getattr(settings, f"{name}_database_url") is None]
        self.postgres: Postgres | None = None
        self.kafka: Kafka | None = None
        if self.missing:
            self.postgres = Postgres(place.root / "postgres", before.get("postgres", {}).get("port"))
        if settings.kafka_bootstrap is None:
            port = before.get("kafka_bootstrap", "").rpartition(":")[2]
            self.kafka = Kafka(place.root / "kafka", int(port) if port else None)

    def jobs(self) -> list[Job]:
        """Return one job for each server of our own; starting it returns when it answers."""
        own: list[tuple[str, Postgres | Kafka]] = []
        own += [("postgres", self.postgres)] if self.postgres else []
        own += [("kafka", self.kafka)] if self.kafka else []
        return [Job(name, partial(_launch, server), RANK, PATIENCE_SECONDS, in_thread=True) for name, server in own]

    async def prepare(self) -> None:
        """Make databases and topics where they are missing and bring all tables to their newest revision."""
        given: dict[str, Any] = {}
        if self.postgres:
            await ensure_databases(self.postgres.admin_url, self.missing, self.postgres.password)
            for name in self.missing:
                given[f"{name}_database_url"] = self.postgres.url(f"{name}_app", name)
                given[f"{name}_owner_url"] = self.postgres.url(f"{name}_owner", name)
        if self.kafka:
            given["kafka_bootstrap"] = self.kafka.bootstrap
        self.settings = self.settings.model_copy(update=given)
        topics = asyncio.create_task(create_topics(self.settings.bootstrap()))
        for name in SERVICES:
            await upgrade(name, self.settings.owner_url(name))
        await topics

    def describe(self) -> dict[str, Any]:
        """Return where the servers are, for the state file."""
        names = ["kafka_bootstrap", *(f"{name}_{kind}_url" for name in SERVICES for kind in ("database", "owner"))]
        known = {name: getattr(self.settings, name) for name in names if getattr(self.settings, name) is not None}
        state: dict[str, Any] = {"kafka_bootstrap": self.settings.kafka_bootstrap, "postgres": {}, "settings": known}
        if self.postgres:
            state["postgres"] = {"host": "127.0.0.1", "port": self.postgres.port, "databases": self.missing}
        return state


def _launch(server: Postgres | Kafka) -> Popen[bytes]:
    try:
        server.start()
        server.wait_ready()
    except BaseException:
        server.stop()
        raise
    assert server.process is not None
    return server.process
