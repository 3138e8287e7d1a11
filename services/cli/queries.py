"""What `crm status`, `crm parked` and `crm outbox` ask the servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.cli.common import CommandError, ask_each
from shared import parked, relay
from shared.consumer import Dispatcher, retry
from shared.db import Database
from shared.kafka import EndOffsets
from shared.local import guard
from shared.local.workplace import Workplace
from shared.settings import SERVICES, Settings

KAFKA_SECONDS = 10


async def suite_status(settings: Settings) -> dict[str, Any]:
    """Return where everything is, and per service: events not handled yet, events not sent yet, parked events.

    `lag` is null while Kafka is away.
    """
    state = Workplace(settings.local).read_state()
    counts = await ask_each(settings, _counts)
    ends = await _ends(settings)
    services = {}
    for name in SERVICES:
        offsets, pending, waiting = counts[name]
        lag = (
            None if ends is None else sum(max(0, end - offsets.get(at, 0)) for at, end in ends.items() if at[0] in _topics(name))
        )
        services[name] = {"lag": lag, "outbox_pending": pending, "parked": waiting}
    return {
        "http": state.get("http", f"http://{settings.http_host}:{settings.http_port}"),
        "kafka_bootstrap": settings.bootstrap(),
        "postgres": state.get("postgres", {}),
        "services": services,
        "pids": _pids(state),
    }


async def _counts(_service: str, connection: asyncpg.Connection) -> tuple[dict[tuple[str, int], int], int, int]:
    rows = await connection.fetch("SELECT topic, partition, next_offset FROM consumer_offsets")
    pending = (await relay.status(connection))["pending"]
    waiting = await connection.fetchval("SELECT count(*) FROM parked_events WHERE state = 'parked'")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}, int(pending), waiting


async def _ends(settings: Settings) -> dict[tuple[str, int], int] | None:
    ends = EndOffsets(settings.bootstrap())
    try:
        async with asyncio.timeout(KAFKA_SECONDS):
            await ends.start()
            return await ends.read(sorted({topic for name in SERVICES for topic in _topics(name)}))
    except (TimeoutError, RuntimeError):  # the client's errors are RuntimeErrors
        return None
    finally:
        await ends.stop()


def _subscriptions(service: str) -> Any:
    return import_module(f"services.{service}.subscriptions").SUBSCRIPTIONS


def _topics(service: str) -> set[str]:
    return {subscription.event.TOPIC for subscription in _subscriptions(service)}


def _pids(state: dict[str, Any]) -> dict[str, int]:
    """Return the processes of the suite; a server's own, not that of the guard in front of it."""
    pids = dict(state.get("pids", {}))
    for name in ("postgres", "kafka"):
        if name in pids:
            pids[name] = next(iter(guard.descendants(pids[name])), pids[name])
    return pids


async def list_parked(settings: Settings, service: str | None) -> list[dict[str, Any]]:
    """Return the parked events of one service, or of all."""
    found: list[dict[str, Any]] = []
    for name in [service] if service else SERVICES:
        async with _session(settings, name) as session:
            found += await parked.list_parked(session, name)
    return found


async def find_parked(settings: Settings, parked_id: int, service: str | None) -> str:
    """Return the service that has parked the event of this number. Raises CommandError where none or several have."""
    owners = [row["service"] for row in await list_parked(settings, service) if row["parked_id"] == parked_id]
    if not owners:
        raise CommandError(f"No event {parked_id} is parked: `crm parked list` shows what is.", 2)
    if len(owners) > 1:
        raise CommandError(f"Event {parked_id} is parked by {' and '.join(owners)}: say which with --service.", 2)
    return str(owners[0])


async def read_parked(settings: Settings, service: str, parked_id: int) -> dict[str, Any]:
    """Return one parked event with its bytes, those as text where they are text."""
    async with _session(settings, service) as session:
        row = await parked.read(session, parked_id)
    assert row is not None
    record = parked.record_of(row)
    headers = {name: value.decode(errors="backslashreplace") for name, value in record.headers if value is not None}
    return {
        **{name: row[name] for name in ("parked_id", "topic", "partition", "offset", "reason", "parked_at", "state")},
        "service": service,
        "key": _text(record.key),
        "headers": headers,
        "value": _text(record.value),
    }


async def retry_parked(settings: Settings, service: str, parked_id: int) -> str | None:
    """Hand a parked event to its handler again; returns why it is refused again, or None when it went in."""
    dispatcher = Dispatcher(service, _subscriptions(service))
    async with _session(settings, service) as session:
        return await retry(session, dispatcher, parked_id)


async def discard_parked(settings: Settings, service: str, parked_id: int, reason: str) -> None:
    """Give a parked event up; its bytes and the reason stay in the table."""
    async with _session(settings, service) as session:
        await parked.resolve(session, parked_id, "discarded", reason)


@asynccontextmanager
async def _session(settings: Settings, service: str) -> AsyncIterator[AsyncSession]:
    """Lend one transaction in the role of the service's worker."""
    database = Database(service, settings.database_url(service), "worker", 1)
    try:
        async with database.transaction() as session:
            yield session
    finally:
        await database.close()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
