"""Jumps of the churn risk (流失风险突发事件): a damaged, lost or late parcel and an overdue ticket raise it within a day.

A jump is not stored: it is what the tickets of the last ninety days say today, so that a refuted ticket takes its points back
and a fading one lets go by itself. Source: T-61.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.policies.document import PolicyDocument
from services.tiering.scores import telling
from services.tiering.scores.rules import FADES
from shared.clock import business_date
from shared.db import driver


def params(document: PolicyDocument, instant: datetime) -> dict[str, Any]:
    """Return the parameters of EVENTS and JUMPED."""
    numbers = document.scores
    return {
        "instant": instant,
        "damaged_points": numbers.damaged_points,
        "lost_points": numbers.lost_points,
        "late_points": numbers.late_points,
        "overdue_points": numbers.overdue_points,
        "halved_after_days": numbers.halved_after_days,
    }


_NOW = "CAST(:instant AS timestamptz)"
_SINCE = f"{_NOW} - CAST(:halved_after_days AS integer) * {FADES} * INTERVAL '1 day'"
_DAYS = "floor(extract(epoch FROM CAST(:instant AS timestamptz) - {at}) / 86400)::integer"

EVENTS = f"""
SELECT k.account_no, k.event_id, k.ticket_id, k.kind, k.happened_at, k.points, k.days,
       k.points >> (k.days / CAST(:halved_after_days AS integer)) AS left_points
FROM (
    SELECT t.account_no, natural_id('ticket.opened.v1/' || t.ticket_id || '/1') AS event_id, t.ticket_id,
           CASE t.cause_hint WHEN 'delayed' THEN 'late' ELSE t.cause_hint END AS kind, t.opened_at AS happened_at,
           CASE t.cause_hint WHEN 'damaged' THEN CAST(:damaged_points AS integer) WHEN 'lost' THEN CAST(:lost_points AS integer)
               ELSE CAST(:late_points AS integer) END AS points, {_DAYS.format(at="t.opened_at")} AS days
    FROM ticket_facts t
    WHERE t.cause_hint IN ('damaged', 'lost', 'late', 'delayed') AND t.state <> 'refuted' AND t.account_no IS NOT NULL
      AND t.opened_at BETWEEN {_SINCE} AND {_NOW}
    UNION ALL
    SELECT t.account_no, natural_id('ticket.opened.v1/' || t.ticket_id || '/1'), t.ticket_id, 'overdue', t.due_at,
           CAST(:overdue_points AS integer), {_DAYS.format(at="t.due_at")}
    FROM ticket_facts t
    WHERE t.state <> 'refuted' AND t.account_no IS NOT NULL AND coalesce(t.resolved_at, {_NOW}) > t.due_at
      AND t.opened_at > {_SINCE} - INTERVAL '90 days'
      AND t.due_at BETWEEN {_SINCE} AND {_NOW}
) k WHERE k.days < CAST(:halved_after_days AS integer) * {FADES}"""
"""SQL of every event that raises a risk at an instant, with what is left of its points (`rules.faded`)."""

JUMPED = f"SELECT account_no, least(100, sum(left_points))::integer AS points FROM ({EVENTS}) AS events GROUP BY account_no"
"""SQL of the points of each account."""


async def follow_events(session: AsyncSession, instant: datetime) -> None:
    """Bring the risks of the newest scores to what the events say today, and publish those that changed (daily)."""
    month = await (await driver(session)).fetchval(_NEWEST)
    if month is None:
        return
    document = (await policies.in_force(session, business_date(instant))).base
    changed = await session.execute(_FOLLOW, {"month": month, **params(document, instant)})
    accounts = list(changed.scalars())
    if accounts:
        telling.publish(session, month, "s.account_no = ANY(CAST(:accounts AS text[]))", {"accounts": accounts})


_NEWEST = "SELECT max(month) FROM score_models"
# No plan of this depends on how many scores the planner believes the newest month to have: it takes them for one row at first,
# and would read the month once for each jump. A row that changes is looked up by its key, and changed by its place.
_FOLLOW = text(f"""
WITH wanted AS MATERIALIZED (
    SELECT account_no, coalesce(j.points, 0) AS points
    FROM ({JUMPED}) AS j FULL JOIN (SELECT account_no, jump FROM scores WHERE month = :month AND jump > 0) AS s USING (account_no)
    WHERE coalesce(j.points, 0) <> coalesce(s.jump, 0)
), changed AS (
    UPDATE scores s
    SET jump = w.points, risk = least(100, s.base_risk + w.points),
        version = s.version + CASE WHEN s.risk = least(100, s.base_risk + w.points) THEN 0 ELSE 1 END,
        at_risk_fen = s.clv_fen / 100 * least(100, s.base_risk + w.points)
            + s.clv_fen % 100 * least(100, s.base_risk + w.points) / 100
    FROM wanted w CROSS JOIN LATERAL (
        SELECT ctid AS place FROM scores WHERE month = :month AND account_no = w.account_no OFFSET 0
    ) AS found
    WHERE s.ctid = found.place
    RETURNING s.account_no, old.risk AS was, new.risk
)
SELECT account_no FROM changed WHERE was <> risk ORDER BY account_no""")
