"""Memberships (归属): to which branch and outlet an account belongs, from a day to a day, both included.

Pure but for the last function. The first membership begins with the opening, each ends the day before the next begins.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import driver


class Membership(NamedTuple):
    """Where an account belongs from a day on; without an outlet the branch serves it, without a branch the root."""

    from_on: date
    branch_code: str | None
    outlet_code: str | None


Memberships: TypeAlias = dict[str, list[Membership]]


def opened_again(known: Sequence[Membership], opened_on: date) -> list[Membership]:
    """Return the memberships with another opening day. Raises ValueError where the second begins before it."""
    if len(known) > 1 and known[1].from_on <= opened_on:
        raise ValueError(f"it moved on {known[1].from_on}, so it cannot have been opened on {opened_on}")
    return [known[0]._replace(from_on=opened_on), *known[1:]]


def moved(known: Sequence[Membership], to: Membership) -> list[Membership]:
    """Return the memberships with a move added; one on the day of the last move replaces that.

    Raises ValueError for a day before the last move: what was published stays.
    """
    last = known[-1]
    if to.from_on < last.from_on:
        raise ValueError(f"it moved on {last.from_on}, so it cannot move again as of {to.from_on}")
    kept = known[:-1] if to.from_on == last.from_on else known
    return [*kept, to]


_WRITE = """
INSERT INTO account_memberships (account_no, from_on, to_on, unit_code, branch_code, outlet_code)
SELECT account_no, from_on, to_on, coalesce(outlet_code, branch_code), branch_code, outlet_code
FROM unnest($1::text[], $2::date[], $3::date[], $4::text[], $5::text[])
    AS i (account_no, from_on, to_on, branch_code, outlet_code)"""


async def write_memberships(session: AsyncSession, memberships: Mapping[str, Sequence[Membership]]) -> None:
    """Replace the memberships of these accounts, whose rows in `settlement_accounts` the caller has locked."""
    if not memberships:
        return
    connection = await driver(session)
    await connection.execute("DELETE FROM account_memberships WHERE account_no = ANY($1::text[])", list(memberships))
    rows = [
        (account_no, at.from_on, nexts.from_on - timedelta(days=1) if nexts else None, at.branch_code, at.outlet_code)
        for account_no, held in memberships.items()
        for at, nexts in zip(held, [*held[1:], None], strict=True)
    ]
    await connection.execute(_WRITE, *(list(column) for column in zip(*rows, strict=True)))
