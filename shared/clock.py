"""The two clocks: business time, which a replay drives, and wall time, which nothing drives.

Business rules and deadlines compare with business time and take it as a parameter. Leases, tokens, time-outs, logs and
Idempotency-Keys use wall time.
"""

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Fixed +08:00: Asia/Shanghai has had no other offset in the years an event may carry (2000-2100)."""


def wall_now() -> datetime:
    """Return the real instant."""
    return datetime.now(UTC)


async def business_now(session: AsyncSession) -> datetime:
    """Return the business instant: the driven one during a replay, else the replay's end plus the wall time since.

    Without a clock row (no history was ever replayed) it is the real clock.
    """
    now: datetime = (await session.execute(text("SELECT business_now()"))).scalar_one()
    return now.astimezone(SHANGHAI)


def shanghai(instant: datetime) -> datetime:
    """Return the same instant with the offset +08:00."""
    return instant.astimezone(SHANGHAI)


@lru_cache(maxsize=4096)
def shanghai_text(instant: datetime) -> str:
    """Return an instant as our events and headers write it, with +08:00. Kept for a while: an event says its instant thrice."""
    return instant.astimezone(SHANGHAI).isoformat()


def business_date(instant: datetime) -> date:
    """Return the business day (Asia/Shanghai) an instant falls on."""
    return instant.astimezone(SHANGHAI).date()
