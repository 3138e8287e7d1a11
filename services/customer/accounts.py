"""Settlement accounts (月结账户): opened and moved by headquarters, read by everybody in whose unit they are.

An account belongs to a unit from a day to a day. A real opening replaces whatever a provisional account (`provisional`) had
guessed. What is left out of a row stays as it is recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.memberships import Membership, Memberships, moved, opened_again, write_memberships
from services.customer.models import AccountMembership, SettlementAccount
from services.customer.sealing import Seal, masked
from services.customer.states import announce
from shared.clock import business_date, business_now
from shared.db import driver
from shared.directory import in_subtree
from shared.kernel.tables import accounts as placements
from shared.kernel.tables import unit_ancestors, units
from shared.paging import PageRequest, paged
from shared.problems import Conflict, Invalid, NotFound

PLAIN = ("status", "billing_cycle", "card_no", "credit_limit_fen")
"""Members of a row that are stored as they are said."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says about an account. `more` holds the optional members that were said at all."""

    account_no: str
    opened_on: date
    branch_code: str | None
    outlet_code: str | None
    from_on: date | None
    """First day in that unit; default: the opening for a new account, today for one that moves."""
    more: Mapping[str, Any]


# Version 0: opened by this transaction, seen by nobody yet.
_OPEN = """
INSERT INTO settlement_accounts (account_no, status, provisional, opened_on, version, recorded_by)
SELECT i.account_no, 'open', false, i.opened_on, 0, $3 FROM unnest($1::text[], $2::date[]) AS i (account_no, opened_on)
ORDER BY i.account_no COLLATE "C"
ON CONFLICT DO NOTHING"""


async def put_accounts(session: AsyncSession, rows: Sequence[Said], seal: Seal, actor: str) -> list[str]:
    """Open, move or change accounts, all or none; returns the numbers of those whose published state changed.

    Repeats change nothing. Locks the accounts in the order of their numbers before it reads them.
    Raises Invalid naming the first row (from 0) that cannot be, Conflict where an account's memberships do not allow it.
    """
    said = _distinct(rows)
    await _check_units(session, rows)
    numbers = sorted(said)
    connection = await driver(session)
    await connection.execute(_OPEN, numbers, [said[number].opened_on for number in numbers], actor)
    known = await _locked(session, numbers)
    memberships = await _memberships(session, numbers)
    today = business_date(await business_now(session))
    opened: list[SettlementAccount] = []
    assigned: list[SettlementAccount] = []
    for number in numbers:
        account, row = known[number], said[number]
        before = _state(account, memberships.get(number, []))
        new = account.provisional or account.version == 0
        memberships[number] = _membership_of(row, memberships.get(number, []), new, today)
        _record(account, row, seal, actor)
        if new or before != _state(account, memberships[number]):
            account.version += 1
            (opened if new else assigned).append(account)
    await session.flush()
    changed = [*opened, *assigned]
    await write_memberships(session, {account.account_no: memberships[account.account_no] for account in changed})
    await announce(session, opened, assigned, memberships)
    return sorted(account.account_no for account in changed)


def _distinct(rows: Sequence[Said]) -> dict[str, Said]:
    said: dict[str, Said] = {}
    for number, row in enumerate(rows):
        if said.setdefault(row.account_no, row) != row:
            raise _refusal(number, row, "is said twice, differently")
    return said


async def _check_units(session: AsyncSession, rows: Sequence[Said]) -> None:
    """Refuse rows whose branch is no branch, or whose outlet does not lie in it."""
    codes = sorted({code for row in rows for code in (row.branch_code, row.outlet_code) if code is not None})
    found = await session.execute(select(units.c.unit_code, units.c.kind).where(units.c.unit_code.in_(codes)))
    kinds = {unit.unit_code: unit.kind for unit in found}
    above = select(unit_ancestors.c.unit_code, unit_ancestors.c.ancestor_code).where(unit_ancestors.c.unit_code.in_(codes))
    pairs = {(pair.unit_code, pair.ancestor_code) for pair in await session.execute(above)}
    for number, row in enumerate(rows):
        for code, kind in ((row.branch_code, "branch"), (row.outlet_code, "outlet")):
            if code is not None and kinds.get(code) != kind:
                raise _refusal(number, row, f"there is no {kind} {code}")
        if row.outlet_code is not None and (row.outlet_code, row.branch_code) not in pairs:
            raise _refusal(number, row, f"the outlet {row.outlet_code} does not lie in the branch {row.branch_code}")
        if row.from_on is not None and row.from_on < row.opened_on:
            raise _refusal(number, row, "from_on lies before opened_on")


def _refusal(number: int, row: Said, why: str) -> Invalid:
    return Invalid(f"items.{number} ({row.account_no}): {why}.", "account-refused", extra={"row": number})


async def _locked(session: AsyncSession, numbers: Sequence[str]) -> dict[str, SettlementAccount]:
    query = select(SettlementAccount).where(SettlementAccount.account_no.in_(numbers))
    rows = await session.scalars(query.order_by(SettlementAccount.account_no).with_for_update())
    return {account.account_no: account for account in rows}


async def _memberships(session: AsyncSession, numbers: Sequence[str]) -> Memberships:
    query = select(AccountMembership).where(AccountMembership.account_no.in_(numbers)).order_by(AccountMembership.from_on)
    found: Memberships = {}
    for row in await session.scalars(query):
        found.setdefault(row.account_no, []).append(Membership(row.from_on, row.branch_code, row.outlet_code))
    return found


def _membership_of(row: Said, known: Sequence[Membership], new: bool, today: date) -> list[Membership]:
    """Return the account's memberships after what was said."""
    if new:
        return [Membership(row.opened_on, row.branch_code, row.outlet_code)]
    try:
        since = opened_again(known, row.opened_on)
        last = since[-1]
        if (last.branch_code, last.outlet_code) == (row.branch_code, row.outlet_code):
            return since
        from_on = row.from_on or max(today, last.from_on)
        if from_on > max(today, last.from_on):
            raise ValueError(f"it cannot move on {from_on} yet: a move is entered on its day or later")
        return moved(since, Membership(from_on, row.branch_code, row.outlet_code))
    except ValueError as error:
        raise Conflict("membership-in-the-past", f"{row.account_no}: {error}.") from error


def _record(account: SettlementAccount, row: Said, seal: Seal, actor: str) -> None:
    """Put what was said on the account; a name is sealed anew only when it is another one."""
    account.provisional = False
    account.opened_on = row.opened_on
    for member in PLAIN:
        if member in row.more:
            setattr(account, member, row.more[member])
    name = row.more.get("name", "")
    if name is None:
        account.name_sealed = None
    elif name and (account.name_sealed is None or seal.open(account.account_no, account.name_sealed) != name):
        account.name_sealed = seal.close(account.account_no, name)
    account.recorded_by = actor


def _state(account: SettlementAccount, memberships: Sequence[Membership]) -> tuple[Any, ...]:
    """Return what is published of an account, to see whether it changed."""
    return account.status, account.provisional, account.opened_on, tuple(memberships)


def _select() -> Select[Any]:
    return select(SettlementAccount, placements.c.branch_code, placements.c.outlet_code, placements.c.district_code).join(
        placements, placements.c.account_no == SettlementAccount.account_no
    )


def _shown(row: Any, seal: Seal) -> dict[str, Any]:
    account: SettlementAccount = row[0]
    name = account.name_sealed and masked(seal.open(account.account_no, account.name_sealed))
    members = {member: getattr(account, member) for member in ("account_no", "opened_on", "provisional", "version", *PLAIN)}
    places = {"branch_code": row.branch_code, "outlet_code": row.outlet_code, "district_code": row.district_code}
    return {**members, **places, "name": name}


async def list_accounts(
    session: AsyncSession, unit: str, page: PageRequest, seal: Seal, provisional: bool | None = None
) -> dict[str, Any]:
    """List the accounts of a unit's subtree by number, names masked."""
    query = _select().where(in_subtree(placements.c.unit_code, unit))
    if provisional is not None:
        query = query.where(SettlementAccount.provisional == provisional)
    if page.after is not None:
        query = query.where(SettlementAccount.account_no > page.after[0])
    rows = (await session.execute(query.order_by(SettlementAccount.account_no).limit(page.limit + 1))).all()
    return paged([_shown(row, seal) for row in rows], page, lambda item: (item["account_no"],))


async def read_account(session: AsyncSession, account_no: str, seal: Seal) -> dict[str, Any]:
    """Read an account with its memberships, the name masked. Raises NotFound."""
    row = (await session.execute(_select().where(SettlementAccount.account_no == account_no))).one_or_none()
    if row is None:
        raise NotFound("account", account_no)
    query = select(AccountMembership).where(AccountMembership.account_no == account_no)
    memberships = await session.scalars(query.order_by(AccountMembership.from_on))
    return {**_shown(row, seal), "memberships": memberships.all()}
