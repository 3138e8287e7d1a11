"""Tells who shows scores (客户360) what changed of them: after a close, and when an event moved a risk."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.deciding_sql import INSTANT
from shared.events.scores import ScoresChanged
from shared.months import add_months
from shared.outbox import publish_query


def publish(session: AsyncSession, month: date, condition: str, params: Mapping[str, Any]) -> None:
    """Publish the scores `s` of the month that fulfil the condition; `p` are those of the month before."""
    publish_query(
        session, ScoresChanged, f"{_CHANGED} AND ({condition})", {"month": month, "previous": add_months(month, -1), **params}
    )


DIFFERS = """p.account_no IS NULL OR (p.recency_score, p.frequency_score, p.money_score, p.clv_fen, p.risk, p.forecast_fen,
    p.low_fen, p.high_fen) IS DISTINCT FROM (s.recency_score, s.frequency_score, s.money_score, s.clv_fen, s.risk,
    s.forecast_fen, s.low_fen, s.high_fen)"""
"""What a reader of the event would see changed since the month before."""


_CHANGED = f"""
SELECT s.account_no AS key,
       natural_id('{ScoresChanged.TYPE}/' || s.account_no || '/' || to_char(s.month, 'YYYY-MM') || '/' || s.version) AS event_id,
       json_build_object(
           'account_no', s.account_no, 'month', to_char(s.month, 'YYYY-MM'), 'version', s.version,
           'scored_at', {INSTANT.format("m.scored_at")}, 'recency_score', s.recency_score,
           'frequency_score', s.frequency_score, 'money_score', s.money_score, 'clv_fen', s.clv_fen, 'churn_risk', s.risk,
           'forecast_fen', s.forecast_fen, 'forecast_low_fen', s.low_fen, 'forecast_high_fen', s.high_fen) AS data
FROM scores s JOIN score_models m ON m.month = s.month
     LEFT JOIN scores p ON p.month = :previous AND p.account_no = s.account_no
WHERE s.month = :month"""
