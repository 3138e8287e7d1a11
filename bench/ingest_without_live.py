"""The suite's own ingest as it would be without live standings: the same statement less the look at where an account is."""

from __future__ import annotations

from typing import Any

from bench import ingest_ours
from bench.programs import run_program
from services.tiering import freight


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Ingest without them."""
    name = "_POST"  # what is left out is part of one statement, and of nothing else
    statement: str = getattr(freight, name)
    without = statement.replace("WHERE x.account_no = d.account_no LIMIT 1", "WHERE false")
    if without == statement:
        raise RuntimeError("the posting does not look where an account is: there is nothing to leave out")
    setattr(freight, name, without)
    return await ingest_ours.main(job)


if __name__ == "__main__":
    run_program(main)
