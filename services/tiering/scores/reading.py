"""What callers read of scores (评分查询): one account with its reasons, the early-warning list, errors, evaluations, models."""

from datetime import date
from typing import Any

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import Behaviour, Evaluation, ForecastError, Score, ScoreInput, ScoreModel
from services.tiering.scores import jumps
from services.tiering.scores.rules import HORIZON_MONTHS, rule_reasons
from shared.clock import business_date
from shared.directory import in_subtree
from shared.kernel.tables import accounts
from shared.months import month_text, parse_month, parse_quarter, quarter_text
from shared.paging import PageRequest, paged


async def read_scores(session: AsyncSession, account_no: str) -> dict[str, Any]:
    """Return the newest scores of an account with what they stand on; null where it has not been scored."""
    found = (await session.execute(_newest(account_no))).one_or_none()
    evaluated = (await session.execute(_latest(Evaluation, Evaluation.quarter, account_no))).scalar_one_or_none()
    behaved = (await session.execute(_latest(Behaviour, Behaviour.quarter, account_no))).scalar_one_or_none()
    quarterly = {"evaluation": evaluated and evaluation_of(evaluated), **_features(behaved)}
    if found is None:
        nothing = dict.fromkeys(("month", "scored_at", "policy_version", "digest", "rfm", "parts", "clv", "churn", "forecast"))
        return {"account_no": account_no, **nothing, **quarterly}
    score, made_from, model = found
    return {
        "account_no": account_no,
        "month": month_text(score.month),
        "scored_at": model.scored_at,
        "policy_version": model.policy_version,
        "digest": score.digest and score.digest.hex(),
        "rfm": _rfm(score, made_from),
        "parts": {"frequency": made_from.charges_12, "amount_fen": made_from.amount_12_fen, "margin_fen": None},
        "clv": _clv(score, made_from, model),
        "churn": await _churn(session, score, made_from, model),
        "forecast": _forecast(score, made_from),
        **quarterly,
    }


async def list_early_warnings(session: AsyncSession, unit: str, page: PageRequest) -> dict[str, Any]:
    """List the accounts of a unit (as of today) by the CLV at risk, the most first (R-78)."""
    newest = select(func.max(ScoreModel.month)).scalar_subquery()
    query = (
        select(
            Score.account_no,
            accounts.c.branch_code,
            Score.at_risk_fen,
            Score.clv_fen,
            Score.risk.label("churn_risk"),
            Score.jump,
            Score.forecast_fen,
        )
        .join(accounts, accounts.c.account_no == Score.account_no)
        .where(Score.month == newest, Score.at_risk_fen > 0, in_subtree(accounts.c.unit_code, unit))
    )
    if page.after is not None:
        query = query.where(tuple_(-Score.at_risk_fen, Score.account_no) > tuple_(*page.after))
        query = query.where(Score.at_risk_fen <= -page.after[0])
    rows = (await session.execute(query.order_by(Score.at_risk_fen.desc(), Score.account_no).limit(page.limit + 1))).all()
    return paged(rows, page, lambda row: (-row.at_risk_fen, row.account_no))


async def list_forecast_errors(
    session: AsyncSession, unit: str, page: PageRequest, *, month: str | None = None
) -> dict[str, Any]:
    """List how far the forecasts of branches lay from what came, newest month first (C-33)."""
    row = ForecastError
    query = select(row).where(in_subtree(row.unit_code, unit))
    if month is not None:
        query = query.where(row.month == parse_month(month))
    if page.after is not None:
        before, after = page.after
        query = query.where((row.month < before) | ((row.month == before) & (row.unit_code > after)))
    rows = (await session.execute(query.order_by(row.month.desc(), row.unit_code).limit(page.limit + 1))).scalars().all()
    answer = paged(rows, page, lambda one: (one.month, one.unit_code))
    return {**answer, "items": [_error(one) for one in answer["items"]]}


async def list_evaluations(session: AsyncSession, unit: str, page: PageRequest, *, quarter: str | None = None) -> dict[str, Any]:
    """List the evaluations of a quarter, by account; without `quarter` the last one (T-62, T-63)."""
    row = Evaluation
    wanted: Any = parse_quarter(quarter) if quarter else select(func.max(row.quarter)).scalar_subquery()
    query = select(row).where(row.quarter == wanted, in_subtree(row.unit_code, unit))
    if page.after is not None:
        query = query.where(row.account_no > page.after[0])
    rows = (await session.execute(query.order_by(row.account_no).limit(page.limit + 1))).scalars().all()
    answer = paged(rows, page, lambda one: (one.account_no,))
    return {**answer, "items": [evaluation_of(one) for one in answer["items"]]}


async def list_models(session: AsyncSession, page: PageRequest) -> dict[str, Any]:
    """List what each month was scored with and how it did, newest first."""
    query = select(ScoreModel)
    if page.after is not None:
        query = query.where(ScoreModel.month < page.after[0])
    rows = (await session.execute(query.order_by(ScoreModel.month.desc()).limit(page.limit + 1))).scalars().all()
    answer = paged(rows, page, lambda one: (one.month,))
    return {**answer, "items": [_model(one) for one in answer["items"]]}


def evaluation_of(row: Evaluation) -> dict[str, Any]:
    """Return an evaluation as callers see it; a part that is null has no data."""
    names = ("account_no", "branch_code", "score", "quarter_fen", "previous_fen", "late", "damaged", "overdue")
    parts = {name: getattr(row, name) for name in ("money", "service", "satisfaction")}
    return {**{name: getattr(row, name) for name in names}, "quarter": quarter_text(row.quarter), "parts": parts} | {
        "evaluated_at": row.evaluated_at
    }


def _newest(account_no: str) -> Any:
    same = (ScoreInput.month == Score.month) & (ScoreInput.account_no == Score.account_no)
    return (
        select(Score, ScoreInput, ScoreModel)
        .join(ScoreInput, same)
        .join(ScoreModel, ScoreModel.month == Score.month)
        .where(Score.month == select(func.max(ScoreModel.month)).scalar_subquery(), Score.account_no == account_no)
    )


def _latest(table: Any, quarter: Any, account_no: str) -> Any:
    last = select(func.max(quarter)).scalar_subquery()
    return select(table).where(quarter == last, table.account_no == account_no)


def _rfm(score: Score, made_from: ScoreInput) -> dict[str, Any]:
    return {
        "recency_score": score.recency_score,
        "frequency_score": score.frequency_score,
        "money_score": score.money_score,
        "months_without_freight": made_from.recency,
        "charges_12": made_from.charges_12,
        "amount_12_fen": made_from.amount_12_fen,
    }


def _clv(score: Score, made_from: ScoreInput, model: ScoreModel) -> dict[str, Any]:
    return {
        "clv_fen": score.clv_fen,
        "horizon_months": HORIZON_MONTHS,
        "expected_months": round(score.expected_months, 3),
        "model": model.purchase_model,
        "fallback_reason": model.fallback_reason,
        "months_with_freight": made_from.active_months,
        "first_month": month_text(made_from.first_month),
        "mean_month_fen": made_from.total_fen // made_from.active_months,
    }


async def _churn(session: AsyncSession, score: Score, made_from: ScoreInput, model: ScoreModel) -> dict[str, Any]:
    reasons = rule_reasons(
        recency=made_from.recency,
        previous_fen=made_from.previous_fen,
        current_fen=made_from.amount_fen,
        months_12=made_from.months_12,
        age=made_from.age,
    )
    by_model = model.churn_method == "model" and made_from.recency < 3
    return {
        "risk": score.risk,
        "base_risk": score.base_risk,
        "method": "model" if by_model else "rule",
        "rule_risk": score.rule_risk,
        "chance_of_silence_percent": round(100 * score.silence),
        "at_risk_fen": score.at_risk_fen,
        "reasons": [reason._asdict() for reason in reasons],
        "events": await _events(session, score.account_no),
    }


async def _events(session: AsyncSession, account_no: str) -> list[dict[str, Any]]:
    """Return the events that raise the risk, as of the last daily run: what the risk that is shown stands on."""
    through = (await session.execute(text("SELECT through FROM schedule_state"))).scalar()
    if through is None:
        return []
    document = (await policies.in_force(session, business_date(through))).base
    found = await session.execute(text(_EVENTS), {"account": account_no, **jumps.params(document, through)})
    return [dict(row._mapping) for row in found]


_EVENTS = f"""
SELECT event_id, ticket_id, kind, happened_at, points, left_points FROM ({jumps.EVENTS}) AS events
WHERE account_no = :account AND left_points > 0 ORDER BY happened_at DESC, event_id, kind"""


def _forecast(score: Score, made_from: ScoreInput) -> dict[str, Any]:
    return {
        "forecast_fen": score.forecast_fen,
        "low_fen": score.low_fen,
        "high_fen": score.high_fen,
        "method": "level" if score.by_model else "seasonal_naive",
        "seasonal_naive_fen": made_from.naive_fen,
        "level_fen": made_from.level_fen,
        "months_judged": made_from.judged,
    }


def _features(row: Behaviour | None) -> dict[str, Any]:
    """Return behaviour and needs; null is no data."""
    if row is None:
        return {"behaviour": None, "needs": None}
    names = ("charges", "product", "product_percent", "hour_from", "hour_percent", "weekday", "weekday_percent")
    behaviour = {**{name: getattr(row, name) for name in names}, "quarter": quarter_text(row.quarter), "addresses": None}
    needs = {
        "timeliness_percent": row.timeliness_percent,
        "special_service_percent": row.special_percent,
        "price_sensitivity": None,
    }
    return {"behaviour": behaviour, "needs": needs}


def _error(row: ForecastError) -> dict[str, Any]:
    def percent(error: int) -> float | None:
        return round(100 * error / row.actual_fen, 1) if row.actual_fen else None

    return {
        "month": month_text(row.month),
        "unit_code": row.unit_code,
        "accounts": row.accounts,
        "actual_fen": row.actual_fen,
        "error_fen": row.shown_error_fen,
        "error_percent": percent(row.shown_error_fen),
        "seasonal_naive_error_percent": percent(row.naive_error_fen),
        "level_error_percent": percent(row.level_error_fen),
        "within_interval_percent": round(100 * row.within / row.accounts, 1),
        "next_method": "level" if row.by_model else "seasonal_naive",
    }


def _model(row: ScoreModel) -> dict[str, Any]:
    return {
        "month": month_text(row.month),
        "scored_at": row.scored_at,
        "policy_version": row.policy_version,
        "accounts": row.accounts,
        "digest": row.digest and row.digest.hex(),
        "fitted_on": _text(row.fitted_on),
        "purchase_model": row.purchase_model,
        "fallback_reason": row.fallback_reason,
        "purchases": [{"model": name, **told} for name, told in sorted(row.purchases.items())],
        "value": row.value,
        "churn": row.churn,
        "cuts": row.cuts,
    }


def _text(month: date | None) -> str | None:
    return None if month is None else month_text(month)
