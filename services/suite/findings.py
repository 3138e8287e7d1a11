"""What a replay has found, counted in the four databases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg

from shared.db import Database, is_infrastructure

SECONDS = 10.0
MAIN = {
    "movements": ("tiering", "SELECT count(*) FROM movements"),
    "tasks": ("retention", "SELECT count(*) FROM tasks"),
    "tickets": ("tickets", "SELECT count(*) FROM tickets"),
}
"""Shown while the replay runs: small tables."""
ALL = {
    "accounts": ("customer", "SELECT count(*) FROM accounts"),
    "parcels": ("tickets", "SELECT count(*) FROM parcels"),
    "charges": ("tiering", "SELECT count(*) FROM charges"),
    "freight, yuan": ("tiering", "SELECT coalesce(sum(amount_fen), 0)::bigint / 100 FROM month_totals"),
    "tier and grade decisions": ("tiering", "SELECT count(*) FROM decisions"),
    **MAIN,
}
PARKED = "SELECT count(*) FROM parked_events WHERE state = 'parked'"


async def count_main(databases: Mapping[str, Database], kept: dict[str, asyncpg.Connection]) -> dict[str, int]:
    """Return the findings that are shown while the replay runs; empty while a database is away.

    Its connections are kept for the next time; to open one costs as much as a settled day.
    """
    try:
        for service in {service for service, _ in MAIN.values()} - kept.keys():
            kept[service] = await databases[service].connect()
        return {label: await kept[service].fetchval(query, timeout=SECONDS) for label, (service, query) in MAIN.items()}
    except Exception as error:
        forget(kept)
        if not is_infrastructure(error):
            raise
        return {}


def forget(kept: dict[str, asyncpg.Connection]) -> None:
    """Let connections go: to say good-bye could take for ever where the server has died."""
    for connection in kept.values():
        connection.terminate()
    kept.clear()


async def count_all(databases: Mapping[str, Database]) -> dict[str, int]:
    """Return everything the summary shows."""
    counts = {label: await _ask(databases[service], query) for label, (service, query) in ALL.items()}
    parked = await asyncio.gather(*(_ask(database, PARKED) for database in databases.values()))
    return counts | {"parked": sum(parked)}


def sentence(found: Mapping[str, int]) -> str:
    """Return the findings as one line."""
    return ", ".join(f"{number:,} {label}" for label, number in found.items())


async def _ask(database: Database, query: str) -> int:
    connection = await database.connect()
    try:
        return int(await connection.fetchval(query, timeout=SECONDS))
    finally:
        connection.terminate()
