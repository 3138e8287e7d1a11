"""What the season says of movements (X-45): each is held against what its month let expect; it is marked, never hidden."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import paces, policies, season
from services.tiering.models import MovementReading
from services.tiering.policies import PolicyBook
from shared.db import driver
from shared.months import last_day


async def run(session: AsyncSession, instant: datetime) -> None:
    """Read every movement that this instant's runs have found or restated."""
    connection = await driver(session)
    by_month: dict[date, list[Any]] = {}
    for row in await connection.fetch(_JUDGED_NOW, instant):
        by_month.setdefault(row["month"], []).append(row)
    for month, rows in sorted(by_month.items()):
        book = await policies.in_force(session, last_day(month))
        await _read(session, month, rows, book, instant)


async def of_movements(session: AsyncSession, movements: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return what movements' answers say of the season; before a movement has been read, null."""
    found = await session.execute(select(MovementReading).where(MovementReading.movement_id.in_(movements)))
    read = {row.movement_id: row for row in found.scalars()}
    return {
        one: {
            "season_explained": read[one].season_explained if one in read else None,
            "season_expected_fen": read[one].expected_fen if one in read else None,
        }
        for one in movements
    }


async def _read(session: AsyncSession, month: date, rows: Sequence[Any], book: PolicyBook, instant: datetime) -> None:
    expected: dict[str, paces.Expected] = {}
    async for chunk in paces.expectations(session, month, sorted({row["account_no"] for row in rows})):
        expected |= {one.account_no: one for one in chunk}
    known = [(row, expected[row["account_no"]]) for row in rows if row["account_no"] in expected]
    explained = [
        season.explains(one.fen, row["current_fen"], book.of(row["branch_code"], row["district_code"]).radar.fall_percent)
        for row, one in known
    ]
    await (await driver(session)).execute(
        _WRITE,
        month,
        instant,
        [row["movement_id"] for row, _ in known],
        [row["account_no"] for row, _ in known],
        [one.fen for _, one in known],
        explained,
        [one.basis for _, one in known],
    )


_JUDGED_NOW = """
SELECT movement_id, account_no, month, current_fen, branch_code, district_code FROM movements
WHERE judged_at = $1 AND state = 'open' ORDER BY account_no, month"""

_WRITE = """
INSERT INTO movement_readings (movement_id, account_no, month, expected_fen, season_explained, basis, read_at)
SELECT movement_id, account_no, $1, fen, explained, basis, $2
FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::boolean[], $7::text[])
    AS r (movement_id, account_no, fen, explained, basis)
ON CONFLICT (movement_id) DO UPDATE
SET expected_fen = EXCLUDED.expected_fen, season_explained = EXCLUDED.season_explained, basis = EXCLUDED.basis,
    read_at = EXCLUDED.read_at"""
