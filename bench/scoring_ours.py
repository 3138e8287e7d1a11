"""Ours: the distinct histories are asked for and evaluated, and one statement scores every account."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from bench.programs import highest_memory_bytes, ready, run_program
from bench.scoring_data import CUTS, DISCOUNT_PERCENT, MONTH, models
from services.tiering.policies.document import shipped
from services.tiering.scores import jumps, refresh, writing
from services.tiering.scores.estimating import estimate
from shared.db import Database


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Score the month from its inputs to its scores, committed."""
    database = Database("tiering", job["url"], "worker")
    await database.open()
    used = models()
    params = {
        **writing.model_params(used.value, {}, CUTS),
        **jumps.params(shipped("2008-new"), datetime(2026, 3, 1, tzinfo=UTC)),
        "model_digest": bytes(32),
    }
    await ready()
    began = time.perf_counter()
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL work_mem = '64MB'"))
        rows = [tuple(row) for row in await session.execute(text(refresh.HISTORIES), {"month": MONTH})]
        estimates = estimate(used, rows, DISCOUNT_PERCENT)
        amount = await writing.write_scores(session, MONTH, estimates, params)
    seconds = time.perf_counter() - began
    await database.close()
    return {"amount": amount, "seconds": seconds, "peak_mb": highest_memory_bytes() / 2**20, "histories": len(rows)}


if __name__ == "__main__":
    run_program(main)
