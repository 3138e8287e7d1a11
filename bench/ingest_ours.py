"""The suite's own ingest: tiering's consumer with its gate, fence, ledger and monthly totals."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import psutil

from bench.programs import ready, run_program
from services.tiering.subscriptions import SUBSCRIPTIONS
from shared.consumer import Consumer, Dispatcher
from shared.db import Database
from shared.observability import HANDLER_BATCH
from shared.rounds import Rounds

WATCH_SECONDS = 0.05


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Consume until the fences add up to the last of `totals`: from the assignment of the partitions to the last commit.

    Answers, too, how much memory the process had at most until each of `totals`.
    """
    database = Database("tiering", job["url"], "worker")
    await database.open()
    watching = await asyncpg.connect(job["url"], server_settings={"role": "tiering_worker"}, ssl=False)
    fences = await watching.prepare(
        "SELECT count(*) AS partitions, coalesce(sum(next_offset), 0)::bigint AS total FROM consumer_offsets WHERE topic = $1"
    )
    await ready()
    consumer = Consumer(database, Dispatcher("tiering", SUBSCRIPTIONS), job["bootstrap"], "bench", Rounds())
    consuming = asyncio.create_task(consumer.run())
    began: float | None = None
    first = 0
    parts: list[dict[str, int]] = []
    highest = 0
    process = psutil.Process()
    while len(parts) < len(job["totals"]):
        row = await fences.fetchrow(job["topic"])
        if began is None and row["partitions"] == job["partitions"]:
            began, first = time.perf_counter(), row["total"]
        highest = max(highest, process.memory_info().rss)
        if row["total"] >= job["totals"][len(parts)]:
            parts.append({"total": row["total"], "rss_bytes": highest})
            highest = 0
            continue
        if consuming.done():
            consuming.result()
        await asyncio.sleep(WATCH_SECONDS)
    ended = time.perf_counter()
    assert began is not None
    consuming.cancel()
    await asyncio.wait([consuming])
    await watching.close()
    await database.close()
    batches = sum(s.value for family in HANDLER_BATCH.collect() for s in family.samples if s.name.endswith("_count"))
    return {"batches": batches, "amount": job["totals"][-1] - first, "seconds": ended - began, "parts": parts}


if __name__ == "__main__":
    run_program(main)
