"""The suite's own ingest while the radar judges all accounts once a second, each time for another day: far oftener than ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import ingest_ours
from bench.programs import run_program
from services.tiering import radar
from shared.db import Database

FIRST_RUN = datetime(2026, 1, 31, 16, 30, tzinfo=UTC)
EVERY_SECONDS = 1.0


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Ingest, with the radar beside it; answers what the ingest answers, and how often the radar ran."""
    database = Database("tiering", job["url"], "worker", 1)
    runs = [0]
    judging = asyncio.create_task(_judge(database, runs))
    try:
        return await ingest_ours.main(job) | {"radar_runs": runs[0]}
    finally:
        judging.cancel()
        with suppress(asyncio.CancelledError):
            await judging
        await database.close()


async def _judge(database: Database, runs: list[int]) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        async with database.transaction() as session:
            await radar.run(session, FIRST_RUN + timedelta(days=runs[0]))
        runs[0] += 1


if __name__ == "__main__":
    run_program(main)
