"""Rectification (整改), a closed loop: the analyst opens it with a due day, the unit says it is fixed, the analyst verifies it.

Source: T-53 (low frequency, incomplete information, weak fixes). What is not verified is open again, one round further.
"""

import secrets
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import Rectification
from services.tiering.reports import listing
from shared.clock import business_date, business_now
from shared.directory import in_subtree
from shared.ids import natural_id
from shared.paging import PageRequest, paged
from shared.problems import Conflict, Invalid, NotFound


class Order(NamedTuple):
    """What somebody has to mend: which weakness, by which measure, until which day."""

    unit_code: str
    role: str
    weakness: str
    measure: str
    due_on: date


async def open_rectification(session: AsyncSession, report_id: UUID, actor: str, order: Order) -> Rectification:
    """Open a rectification for a unit of the report. Raises NotFound; Invalid where the day lies in the past."""
    report = await listing.own_report(session, report_id)
    inside = await session.execute(_INSIDE, {"unit": order.unit_code, "of": report.unit_code})
    if inside.first() is None:
        raise NotFound("unit", order.unit_code)
    now = await business_now(session)
    if order.due_on < business_date(now):
        raise Invalid("The day by which it has to be mended lies in the past.", "due-in-the-past")
    row = Rectification(
        rectification_id=natural_id("rectification", secrets.token_hex(16)),
        report_id=report_id,
        state="open",
        rounds=1,
        opened_by=actor,
        opened_at=now,
        **order._asdict(),
    )
    session.add(row)
    await session.flush()
    return row


async def fix(session: AsyncSession, rectification_id: UUID, actor: str, note: str) -> Rectification:
    """Say that it is mended. Raises NotFound; Conflict where it is not open."""
    row = await _locked(session, rectification_id)
    if row.state != "open":
        raise Conflict("rectification-not-open", f"The rectification is {row.state}.")
    row.state, row.fixed_by, row.fixed_at, row.fixed_note = "fixed", actor, await business_now(session), note
    await session.flush()
    return row


async def verify(
    session: AsyncSession, rectification_id: UUID, actor: str, *, accepted: bool, note: str, due_on: date | None = None
) -> Rectification:
    """Close it where what was done holds; else open it again, with another day where one is given.

    Raises NotFound; Conflict where nobody has said yet that it is mended; Invalid where the day lies in the past.
    """
    row = await _locked(session, rectification_id)
    if row.state != "fixed":
        raise Conflict("rectification-not-fixed", f"The rectification is {row.state}: it is verified after it was fixed.")
    now = await business_now(session)
    if due_on is not None and due_on < business_date(now):
        raise Invalid("The day by which it has to be mended lies in the past.", "due-in-the-past")
    row.verified_by, row.verified_at, row.verified_note = actor, now, note
    if accepted:
        row.state = "verified"
    else:
        row.state, row.rounds, row.due_on = "open", row.rounds + 1, due_on or row.due_on
    await session.flush()
    return row


async def list_rectifications(session: AsyncSession, unit: str, page: PageRequest, state: str | None = None) -> dict[str, Any]:
    """List the rectifications of a unit's subtree, the earliest due first."""
    row = Rectification
    query = select(row).where(in_subtree(row.unit_code, unit))
    if state is not None:
        query = query.where(row.state == state)
    if page.after is not None:
        query = query.where(tuple_(row.due_on, row.rectification_id) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.due_on, row.rectification_id).limit(page.limit + 1))
    return paged(found.scalars().all(), page, lambda item: (item.due_on, item.rectification_id))


async def _locked(session: AsyncSession, rectification_id: UUID) -> Rectification:
    query = select(Rectification).where(Rectification.rectification_id == rectification_id).with_for_update()
    row = (await session.execute(query)).scalar_one_or_none()
    if row is None:
        raise NotFound("rectification", rectification_id)
    return row


_INSIDE = text("SELECT 1 FROM unit_ancestors WHERE unit_code = :unit AND ancestor_code = :of")
