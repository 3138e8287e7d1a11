"""Scores on the page (客户评分): RFM, CLV, churn risk and next month's forecast as tiering last said them (C-63)."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.scores import ScoresChanged
from shared.months import month_text
from shared.schemas import instant_text

_NOTE = """
INSERT INTO overview_scores AS s (account_no, sequence, scores)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) AS i (account_no) ORDER BY i.account_no COLLATE "C"
ON CONFLICT (account_no) DO UPDATE SET sequence = EXCLUDED.sequence, scores = EXCLUDED.scores
WHERE s.sequence < EXCLUDED.sequence"""


async def note_scores(session: AsyncSession, deliveries: Sequence[Delivery[ScoresChanged]]) -> None:
    """Keep the scores of the accounts named. What is not newer than what is kept is ignored."""
    latest: dict[str, Delivery[ScoresChanged]] = {}
    for delivery in deliveries:
        known = latest.get(delivery.event.account_no)
        if known is None or known.sequence < delivery.sequence:
            latest[delivery.event.account_no] = delivery
    said = [latest[account_no] for account_no in sorted(latest)]
    await (await driver(session)).execute(
        _NOTE,
        [delivery.event.account_no for delivery in said],
        [delivery.sequence for delivery in said],
        [_section(delivery.event, delivery.time) for delivery in said],
    )
    touch(session, "scores", latest)


def _section(event: ScoresChanged, told_at: datetime) -> str:
    return orjson.dumps(
        {
            "as_of": instant_text(told_at),
            "month": month_text(event.month),
            "rfm": {
                "recency_score": event.recency_score,
                "frequency_score": event.frequency_score,
                "money_score": event.money_score,
            },
            "clv_fen": event.clv_fen,
            "churn_risk": event.churn_risk,
            "forecast": {
                "forecast_fen": event.forecast_fen,
                "low_fen": event.forecast_low_fen,
                "high_fen": event.forecast_high_fen,
            },
        }
    ).decode()
