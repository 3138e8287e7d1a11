"""The milestone (里程碑): the first month in which an account's freight reached 10,000 yuan, told once per account (T-13)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.deciding_sql import INSTANT
from services.tiering.models import Milestone
from services.tiering.policies import PolicyBook
from services.tiering.policies.book import number, numbers_cte
from shared.directory import in_subtree
from shared.events.tiering import MilestoneReached
from shared.months import month_text
from shared.outbox import publish_query
from shared.paging import PageRequest, paged

NUMBERS = ("milestone_from_fen",)


async def note(session: AsyncSession, month: date, instant: datetime, book: PolicyBook) -> int:
    """Keep the accounts that reached the milestone in a month that is being closed for the first time; returns how many."""
    params = {"month": month, "instant": instant, "lowest": _lowest(book), **book.params(*NUMBERS)}
    return int((await session.execute(text(_NOTE), params)).rowcount)  # type: ignore[attr-defined]


def publish_reached(session: AsyncSession, month: date, instant: datetime) -> None:
    """Publish the milestones that the close of a month found."""
    publish_query(session, MilestoneReached, _EVENTS, {"month": month, "instant": instant})


async def list_milestones(session: AsyncSession, unit: str, page: PageRequest) -> dict[str, Any]:
    """List the accounts of a unit's subtree that have reached the milestone, by account."""
    query = select(Milestone).where(in_subtree(Milestone.unit_code, unit))
    if page.after is not None:
        query = query.where(Milestone.account_no > page.after[0])
    found = await session.execute(query.order_by(Milestone.account_no).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda row: (row.account_no,))
    names = ("account_no", "amount_fen", "milestone_from_fen", "reached_at", "branch_code")
    items = [{**{name: getattr(row, name) for name in names}, "month": month_text(row.month)} for row in answer["items"]]
    return {**answer, "items": items}


def _lowest(book: PolicyBook) -> int:
    return min(document.focus.milestone_from_fen for document in book.documents())


# The lowest milestone of any branch is asked first, so that few rows of a million are looked at closely.
_NOTE = f"""
WITH {numbers_cte(*NUMBERS)}
INSERT INTO milestones (account_no, month, amount_fen, milestone_from_fen, reached_at, policy_version, branch_code, district_code,
                        unit_code)
SELECT d.account_no, d.month, d.amount_fen, {number("milestone_from_fen")}, :instant, d.policy_version, d.branch_code,
       d.district_code, d.unit_code
FROM decisions d LEFT JOIN numbers n ON n.unit_code = d.branch_code
WHERE d.month = :month AND d.amount_fen >= :lowest AND d.amount_fen >= {number("milestone_from_fen")}
ORDER BY d.account_no
ON CONFLICT (account_no) DO NOTHING"""

_EVENTS = f"""
SELECT m.account_no AS key, natural_id('{MilestoneReached.TYPE}/' || m.account_no) AS event_id,
       json_build_object('account_no', m.account_no, 'month', to_char(m.month, 'YYYY-MM'), 'amount_fen', m.amount_fen,
                         'milestone_from_fen', m.milestone_from_fen, 'reached_at', {INSTANT.format("m.reached_at")},
                         'branch_code', m.branch_code, 'district_code', m.district_code) AS data
FROM milestones m WHERE m.month = :month AND m.reached_at = :instant ORDER BY m.account_no"""
