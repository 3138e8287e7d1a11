"""What a re-score costs when little changed: one account in a hundred gets a late charge of a closed month, and is judged."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl

from bench import rescore_oracle
from bench.measuring import Run, expect
from bench.programs import measure
from bench.rescore_data import INSTANT, MONTH
from bench.rescore_export import MOVEMENTS, read
from services.tiering import freight, restatement
from shared.db import Database
from shared.events.envelope import Delivery
from shared.events.freight import FreightCharged
from shared.months import add_months

ONE_IN = 100
MONTHS = (add_months(MONTH, -1), MONTH)
"""The months that late charges fall into: those whose movements were judged by the closes before."""
BATCH = 2_000


def late_charges(accounts: int) -> list[FreightCharged]:
    """Make a late charge of every hundredth account, in turn of the last month and the one before, small and large in turn."""
    return [
        FreightCharged(
            charge_no=f"LATE-{n:08d}",
            version=1,
            waybill_no=f"LW-{n:08d}",
            account_no=f"A{n:08d}",
            amount_fen=1 + n * 7919 % 60_000,
            charged_at=datetime(MONTHS[n // ONE_IN % 2].year, MONTHS[n // ONE_IN % 2].month, 15, 3, tzinfo=UTC),
        )
        for n in range(37, accounts, ONE_IN)
    ]


async def post(database: Database, charges: list[FreightCharged]) -> None:
    """Post the charges as the consumer does."""
    for start in range(0, len(charges), BATCH):
        async with database.transaction() as session:
            deliveries = [_deliver(charge, start + n) for n, charge in enumerate(charges[start : start + BATCH])]
            expect("charges refused", await freight.post(session, deliveries), [])


def _deliver(charge: FreightCharged, offset: int) -> Delivery[FreightCharged]:
    return Delivery(
        content=charge,
        event_id=str(charge.event_id),
        source="/bench",
        time=charge.charged_at,
        sequence=0,
        topic=charge.TOPIC,
        partition=0,
        offset=offset,
        model=FreightCharged,
    )


async def rejudge(url: str, owner: asyncpg.Connection, folder: Path, accounts: int, *, again: bool) -> tuple[Run, dict[str, Any]]:
    """Post late charges, have the suite judge them, and compare all open movements with the recount. Raises WrongTotalError.

    With `again` the same marks are judged once more, which must change nothing.
    """
    charges = late_charges(accounts)
    database = Database("tiering", url, "worker")
    await database.open()
    await post(database, charges)
    await database.close()
    touched = await owner.fetchval("SELECT count(DISTINCT account_no) FROM dirty_marks")
    expect("accounts with marks", touched, len(charges))
    run, answer = await measure("bench.rescore_ours", {"url": url, "what": "rejudge", "accounts": touched})
    await check_movements(owner, folder, charges)
    if again:
        before = await _movements(owner)
        await owner.execute("INSERT INTO dirty_marks (account_no, month) SELECT account_no, month FROM restatements")
        await judge(url)
        expect("movements after judging the same marks again", await _movements(owner), before)
    return run, {"changed_accounts": touched, "rejudge_megabytes": round(answer["rss_bytes"] / 1e6, 1)}


async def judge(url: str) -> None:
    """Have the suite judge the marks that there are."""
    database = Database("tiering", url, "worker")
    await database.open()
    async with database.transaction() as session:
        await restatement.rejudge(session, INSTANT)
    await database.close()


async def check_movements(owner: asyncpg.Connection, folder: Path, charges: list[FreightCharged]) -> None:
    """Compare the open movements of the months of late charges with the recount. Raises WrongTotalError."""
    late = pl.DataFrame(
        {
            "account_no": [charge.account_no for charge in charges],
            "month": [charge.charged_at.date().replace(day=1) for charge in charges],
            "amount_fen": [charge.amount_fen for charge in charges],
        },
        schema={"account_no": pl.String, "month": pl.Date, "amount_fen": pl.Int64},
    )
    expected = pl.concat([rescore_oracle.movements(folder, month, late) for month in MONTHS])
    expect("whether any movement is expected", expected.height > 0, True)
    expect("differing movements", rescore_oracle.differing(expected, await _open(owner, folder, MONTHS)), 0)


async def _open(owner: asyncpg.Connection, folder: Path, months: tuple[date, ...]) -> pl.DataFrame:
    return await read(owner, MOVEMENTS.format("{" + ",".join(map(str, months)) + "}"), folder)


async def _movements(owner: asyncpg.Connection) -> Any:
    return await owner.fetchval("SELECT (count(*), sum(hashtextextended(m::text, 0)::numeric))::text FROM movements m")
