"""Everything that a suite has decided, as one comparable value; and what its outboxes have written."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.settings import SERVICES
from tests.suite.running import RunningSuite

PLUMBING = {
    "alembic_version", "business_clock", "consumer_offsets", "idempotency_keys", "inbox", "outbox", "outbox_leases",
    "parked_events", "schedule_state", "working_days",
}  # fmt: skip
ARRIVAL = ("sequence", "version", "changed_at", "as_of", "_seq")
"""Ends of columns that say when or in how many steps something became known, not what is true."""


@dataclass(frozen=True)
class Written:
    """One row of an outbox."""

    key: str
    event_id: str
    data: str
    topic: str


async def decided(suite: RunningSuite) -> dict[str, list[tuple[Any, ...]]]:
    """Return the business columns of all rows of all tables of all services, sorted."""
    found = {}
    for service in SERVICES:
        connection = await _connect(suite, service)
        for table in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"):
            name = table["tablename"]
            if name in PLUMBING:
                continue
            columns = await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_identity = 'NO' ORDER BY 1", name
            )
            wanted = [c["column_name"] for c in columns if not c["column_name"].endswith(ARRIVAL)]
            rows = await connection.fetch(f"SELECT {', '.join(wanted)} FROM {name}")
            found[f"{service}.{name}({', '.join(wanted)})"] = sorted(tuple(map(str, row)) for row in rows)
        await connection.close()
    return found


async def written(suite: RunningSuite) -> list[Written]:
    """Return all rows of all outboxes, in the order of their sequence per service."""
    rows: list[Written] = []
    for service in SERVICES:
        connection = await _connect(suite, service)
        found = await connection.fetch("SELECT key, event_id, data, topic FROM outbox ORDER BY seq")
        rows += [Written(row["key"], str(row["event_id"]), row["data"], row["topic"]) for row in found]
        await connection.close()
    return rows


async def _connect(suite: RunningSuite, service: str) -> asyncpg.Connection:
    url = (await asyncio.to_thread(suite.state))["settings"][f"{service}_owner_url"]
    return await asyncpg.connect(url, ssl=False)
