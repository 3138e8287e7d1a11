"""Somebody asks: scores, early warnings, forecast errors, evaluations, models."""

from services.tiering.schemas.scores import (
    AccountScores,
    EarlyWarningList,
    EvaluationList,
    ForecastErrorList,
    ScoreModelList,
)
from services.tiering.scores import reading
from shared.http import PROBLEMS, AccountInScope, Caller, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import MonthText, QuarterText

router = Router()


@router.get(
    "/v1/accounts/{account_no}/scores",
    name="tiering.read_account_scores",
    summary="Read what an account is scored",
    responses=PROBLEMS,
)
async def read_account_scores(session: Session, account_no: AccountInScope) -> AccountScores:
    """Read RFM, CLV, churn risk with reasons, forecast, evaluation, behaviour and needs, each with what it stands on."""
    return AccountScores.model_validate(await reading.read_scores(session, account_no))


@router.get("/v1/early-warnings", name="tiering.list_early_warnings", summary="List the CLV at risk", responses=PROBLEMS)
async def list_early_warnings(session: Session, unit: UnitFilter, page: Page) -> EarlyWarningList:
    """List the accounts of a unit and the units below it by CLV times churn risk, the most first."""
    return EarlyWarningList.model_validate(await reading.list_early_warnings(session, unit, page))


@router.get("/v1/forecast-errors", name="tiering.list_forecast_errors", summary="List forecast errors", responses=PROBLEMS)
async def list_forecast_errors(
    session: Session, unit: UnitFilter, page: Page, month: MonthText | None = None
) -> ForecastErrorList:
    """List per month and branch how far the forecasts lay from what came, beside those that were not shown."""
    return ForecastErrorList.model_validate(await reading.list_forecast_errors(session, unit, page, month=month))


@router.get("/v1/evaluations", name="tiering.list_evaluations", summary="List a quarter's evaluations", responses=PROBLEMS)
async def list_evaluations(session: Session, unit: UnitFilter, page: Page, quarter: QuarterText | None = None) -> EvaluationList:
    """List the evaluations of the relationships, by account; without `quarter` those of the last one."""
    return EvaluationList.model_validate(await reading.list_evaluations(session, unit, page, quarter=quarter))


@router.get("/v1/score-models", name="tiering.list_score_models", summary="List the models of the scores", responses=PROBLEMS)
async def list_score_models(session: Session, caller: Caller, page: Page) -> ScoreModelList:
    """List what each month was scored with: fits, parameters, likelihoods, and how each method did on the hold-out month."""
    return ScoreModelList.model_validate(await reading.list_models(session, page))
