"""The suite's own ingest: tiering's consumer with its gate, fence, ledger and monthly totals."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg

from bench.programs import ready, run_program
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Consumer, Dispatcher
from shared.db import Database

WATCH_SECONDS = 0.01


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Consume until the fences add up to `total`: from the assignment of the partitions to the last commit."""
    database = Database("tiering", job["url"], "worker")
    await database.open()
    watching = await asyncpg.connect(job["url"], server_settings={"role": "tiering_worker"}, ssl=False)
    fences = await watching.prepare(
        "SELECT count(*) AS partitions, coalesce(sum(next_offset), 0)::bigint AS total FROM consumer_offsets WHERE topic = $1"
    )
    await ready()
    consuming = asyncio.create_task(Consumer(database, Dispatcher("tiering", SUBSCRIPTIONS), job["bootstrap"], "bench").run())
    began: float | None = None
    first = 0
    while True:
        row = await fences.fetchrow(job["topic"])
        if began is None and row["partitions"] == job["partitions"]:
            began, first = time.perf_counter(), row["total"]
        if row["total"] >= job["total"]:
            break
        if consuming.done():
            consuming.result()
        await asyncio.sleep(WATCH_SECONDS)
    ended = time.perf_counter()
    assert began is not None
    consuming.cancel()
    await asyncio.wait([consuming])
    await watching.close()
    await database.close()
    return {"amount": job["total"] - first, "seconds": ended - began}


if __name__ == "__main__":
    run_program(main)
