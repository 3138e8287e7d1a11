"""The limit: COPY out, bare numpy, COPY in, all at once in memory, binary both ways; each distinct history once, as ours."""

from __future__ import annotations

import io
import time
from datetime import date
from typing import Any

import asyncpg
import numpy as np
from scipy.special import hyp2f1

from bench.programs import highest_memory_bytes, ready, run_program
from bench.scoring_data import DISCOUNT_PERCENT, MONTH, PARAMETERS, WORTH

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
WIDTH = 9
"""Characters of an account's number here."""
READ = [("fields", ">i2")] + [
    part
    for name, kind in (("account", f"S{WIDTH}"), ("x", ">i4"), ("t_x", ">i4"), ("age", ">i4"), ("repeat", ">i8"))
    for part in ((f"{name}_size", ">i4"), (name, kind))
]
COLUMNS = {
    "month": ">i4", "account_no": f"S{WIDTH}", "version": ">i4", "recency_score": ">i2", "frequency_score": ">i2",
    "money_score": ">i2", "expected_months": ">f8", "silence": ">f8", "clv_fen": ">i8", "rule_risk": ">i2", "base_risk": ">i2",
    "jump": ">i2", "risk": ">i2", "at_risk_fen": ">i8", "forecast_fen": ">i8", "low_fen": ">i8", "high_fen": ">i8",
    "by_model": "u1",
}  # fmt: skip
NEUTRAL = {"version": 1, "recency_score": 3, "frequency_score": 3, "money_score": 3, "rule_risk": 50, "base_risk": 50, "risk": 50}
WRITTEN = [("fields", ">i2")] + [part for name, kind in COLUMNS.items() for part in ((f"{name}_size", ">i4"), (name, kind))]


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Score the month from its inputs to the bare table, committed."""
    connection = await asyncpg.connect(job["url"], server_settings={"role": "tiering_worker"}, ssl=False)
    await ready()
    began = time.perf_counter()
    async with connection.transaction():
        out = io.BytesIO()
        await connection.copy_from_query(
            "SELECT account_no, active_months - 1, age - recency, age, repeat_fen FROM score_inputs WHERE month = $1",
            MONTH,
            output=out,
            format="binary",
        )
        rows = np.frombuffer(
            out.getbuffer(), dtype=READ, offset=len(HEADER), count=(out.tell() - len(HEADER) - 2) // np.dtype(READ).itemsize
        )
        source = io.BytesIO(_scored(rows))
        await connection.copy_to_table("bare_scores", source=source, columns=list(COLUMNS), format="binary")
    seconds = time.perf_counter() - began
    await connection.close()
    return {"amount": len(rows), "seconds": seconds, "peak_mb": highest_memory_bytes() / 2**20}


def _scored(rows: Any) -> bytes:
    x, t_x, age = (rows[name].astype(np.int64) for name in ("x", "t_x", "age"))
    _, first, place = np.unique((x * 4096 + t_x) * 4096 + age, return_index=True, return_inverse=True)
    expected, discounted = (found[place] for found in _evaluated(*(c[first].astype(float) for c in (x, t_x, age))))
    p, q, gamma = (WORTH[name] for name in ("p", "q", "gamma"))
    worth = p * (gamma + rows["repeat"].astype(float)) / (p * x + q - 1)
    out = np.zeros(len(rows), dtype=WRITTEN)
    out["fields"] = len(COLUMNS)
    for name, kind in COLUMNS.items():
        out[f"{name}_size"] = np.dtype(kind).itemsize
    for name, value in NEUTRAL.items():
        out[name] = value
    out["month"], out["account_no"] = (MONTH - date(2000, 1, 1)).days, rows["account"]
    out["expected_months"], out["clv_fen"] = expected, np.round(discounted * worth)
    out["at_risk_fen"] = out["clv_fen"] // 2
    return HEADER + out.tobytes() + b"\xff\xff"


def _evaluated(x: Any, t_x: Any, age: Any) -> tuple[Any, Any]:
    """BG/NBD's conditional expectation as its paper prints it, by quarters."""
    r, alpha, a, b = (PARAMETERS[name] for name in ("r", "alpha", "a", "b"))
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(x > 0, a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x), 0.0)
    before, discounted = np.zeros_like(x), np.zeros_like(x)
    for months in (3.0, 6.0, 9.0, 12.0):
        series = hyp2f1(r + x, b + x, a + b + x - 1, months / (alpha + age + months))
        made = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + months)) ** (r + x) * series) / (1 + lost)
        discounted = discounted + (made - before) * (1 + DISCOUNT_PERCENT / 100) ** ((1.5 - months) / 12)
        before = made
    return before, discounted


if __name__ == "__main__":
    run_program(main)
