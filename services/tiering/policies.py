"""The versions of the policy (分层规则版本): which one is in force on a day."""

from dataclasses import fields
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import PolicyVersion
from services.tiering.policy import Policy


async def in_force(session: AsyncSession, day: date) -> Policy:
    """Return the policy in force on a day: the one that became effective last. The first one is in force from 2000 on."""
    query = (
        select(PolicyVersion).where(PolicyVersion.effective_from <= day).order_by(PolicyVersion.effective_from.desc()).limit(1)
    )
    row = (await session.execute(query)).scalar_one()
    return Policy(**{field.name: getattr(row, field.name) for field in fields(Policy)})
