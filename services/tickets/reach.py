"""Whose a ticket or parcel is (归属): its account's unit, without an account its origin branch's, else the root's.

Row-level security says the same a second time; a query that forgot these conditions would still show nothing foreign.
"""

from sqlalchemy import ColumnElement, Text, func, select, true
from sqlalchemy.orm import InstrumentedAttribute

from services.tickets.models import Parcel, Ticket
from shared.db import Scope
from shared.directory import in_subtree
from shared.kernel.tables import accounts


def in_unit(thing: type[Ticket | Parcel], unit_code: str) -> ColumnElement[bool]:
    """Return the condition that a ticket or parcel lies in a unit's subtree."""
    account_no: InstrumentedAttribute[str | None] = thing.account_no
    of_account = select(accounts.c.unit_code).where(accounts.c.account_no == account_no).scalar_subquery()
    return in_subtree(func.coalesce(of_account, thing.branch_code, type_=Text), unit_code)


def seen_by(thing: type[Ticket | Parcel], scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a caller may see a ticket or parcel."""
    if scope.everything:
        return true()
    if scope.account_no is not None:
        return thing.account_no == scope.account_no
    return in_unit(thing, scope.unit_code or "")
