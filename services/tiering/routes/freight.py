"""Somebody asks: freight."""

from typing import Annotated

from fastapi import Query

from services.tiering import freight
from services.tiering.schemas.freight import Freight
from shared.http import PROBLEMS, AccountInScope, Router, Session
from shared.months import parse_month
from shared.schemas import MonthText

router = Router()
From = Annotated[MonthText, Query(alias="from", description="First month.")]
To = Annotated[MonthText, Query(description="Last month, included; at most 120 months.")]


@router.get(
    "/v1/accounts/{account_no}/freight",
    name="tiering.read_account_freight",
    summary="Read an account's freight by month",
    responses=PROBLEMS,
)
async def read_account_freight(session: Session, account_no: AccountInScope, first: From, to: To) -> Freight:
    """Read the totals of the months asked for; a month without charges is 0."""
    months = await freight.read_months(session, account_no, parse_month(first), parse_month(to))
    return Freight.model_validate({"months": months})
