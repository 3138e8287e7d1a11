"""Door: somebody asks. The organisation, settlement accounts, and the customer 360."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from services.customer import accounts, organisation
from services.customer.customer_360 import reading
from services.customer.schemas import (
    Account360,
    AccountDetail,
    AccountList,
    AccountPut,
    AccountsChanged,
    AccountsPut,
    Kind,
    UnitList,
    UnitsChanged,
    UnitsPut,
)
from services.customer.sealing import Seal
from shared.direct import answered_directly
from shared.http import PROBLEMS, AccountInScope, Caller, Router, Session, UnitFilter, caller_of
from shared.identity import data_key
from shared.paging import Page
from shared.schemas import AccountNo

router = Router()
OPTIONAL = ("name", "status", "billing_cycle", "card_no", "credit_limit_fen")


async def _seal(request: Request) -> Seal:
    """Return the seal of names; its key is read once."""
    state = request.app.state
    if not hasattr(state, "seal"):
        state.seal = Seal(data_key(state.settings))
    seal: Seal = state.seal
    return seal


Names = Annotated[Seal, Depends(_seal)]


# First, because routes are tried in this order and this is the one most asked for.
@router.get(
    "/v1/accounts/{account_no}/360",
    name="customer.read_account_360",
    summary="Everything about one account",
    responses={**PROBLEMS, 200: {"model": Account360}},
)
@answered_directly
async def read_account_360(
    request: Request, account_no: Annotated[AccountNo, Path(description="Number of the account.")]
) -> Response:
    """Read the account, its unit path, tiers, freight, movements, tasks, tickets and parcels; one query."""
    page = await reading.read(request.app.state.database.hot, caller_of(request).scope, account_no)
    return Response(page, media_type="application/json")


@router.put("/v1/units", name="customer.put_units", summary="Open, move or rename units", responses=PROBLEMS)
async def put_units(session: Session, caller: Caller, body: UnitsPut) -> UnitsChanged:
    """Write units, all or none, in any order; repeats change nothing."""
    rows = [organisation.Unit(row.unit_code, row.kind, row.parent_code, row.name) for row in body.items]
    return UnitsChanged(changed=await organisation.put_units(session, rows, caller.actor))


@router.get("/v1/units", name="customer.list_units", summary="List the units of a subtree", responses=PROBLEMS)
async def list_units(session: Session, unit: UnitFilter, page: Page, kind: Kind | None = None) -> UnitList:
    """List a unit and the units below it, by code."""
    return UnitList.model_validate(await organisation.list_units(session, unit, kind, page))


@router.put("/v1/accounts", name="customer.put_accounts", summary="Open, move or change accounts", responses=PROBLEMS)
async def put_accounts(session: Session, caller: Caller, seal: Names, body: AccountsPut) -> AccountsChanged:
    """Write settlement accounts, all or none; repeats change nothing."""
    rows = [_said(row) for row in body.items]
    return AccountsChanged(changed=await accounts.put_accounts(session, rows, seal, caller.actor))


def _said(row: AccountPut) -> accounts.Said:
    more = {member: getattr(row, member) for member in OPTIONAL if member in row.model_fields_set}
    return accounts.Said(row.account_no, row.opened_on, row.branch_code, row.outlet_code, row.from_on, more)


@router.get("/v1/accounts", name="customer.list_accounts", summary="List the accounts of a subtree", responses=PROBLEMS)
async def list_accounts(
    session: Session, unit: UnitFilter, page: Page, seal: Names, provisional: bool | None = None
) -> AccountList:
    """List the settlement accounts of a unit and the units below it, by number."""
    return AccountList.model_validate(await accounts.list_accounts(session, unit, page, seal, provisional))


@router.get("/v1/accounts/{account_no}", name="customer.read_account", summary="Read an account", responses=PROBLEMS)
async def read_account(session: Session, seal: Names, account_no: AccountInScope) -> AccountDetail:
    """Read a settlement account with its memberships."""
    return AccountDetail.model_validate(await accounts.read_account(session, account_no, seal))
