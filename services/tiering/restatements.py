"""Restatements (补计): the late and corrected charges that changed closed months, for "changed since" and for a replay."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import Decision, Restatement
from shared.directory import in_subtree


async def since(
    session: AsyncSession,
    instant: datetime,
    *,
    account_nos: Sequence[str] | None = None,
    unit: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Sequence[Restatement]:
    """Return what changed months from `first` to `last` at or after an instant, in the order it came.

    Asked by accounts, by a unit (where the accounts stood at the close of the month that changed), or for everything the caller
    may see.
    """
    query = select(Restatement).where(Restatement.at >= instant, Restatement.change_fen != 0)
    if account_nos is not None:
        query = query.where(Restatement.account_no.in_(account_nos))
    if first is not None:
        query = query.where(Restatement.month >= first)
    if last is not None:
        query = query.where(Restatement.month <= last)
    if unit is not None:
        query = query.join(
            Decision, (Decision.month == Restatement.month) & (Decision.account_no == Restatement.account_no)
        ).where(in_subtree(Decision.unit_code, unit))
    return (await session.execute(query.order_by(Restatement.seq))).scalars().all()
