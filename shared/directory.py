"""The directory: where units and accounts stand, in every service's database.

customer owns both and writes these tables itself; the others keep them from `customer.events`. Row-level security, unit
filters and the branch "as of a day" read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from shared.db import driver
from shared.events.customer import AccountState, UnitChanged
from shared.events.envelope import Delivery
from shared.kernel.tables import unit_ancestors, units

LOCK = 7412
"""Advisory lock: the closure is rebuilt by one transaction at a time, while no account is being placed."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A place in the organisation tree (区 district, 分部 branch, 点部 outlet)."""

    unit_code: str
    kind: str
    parent_code: str | None


def in_subtree(column: SQLCoreOperations[str | None], unit_code: str) -> ColumnElement[bool]:
    """Return the condition that a row's unit lies in a unit's subtree; under the root lies everything."""
    below = select(unit_ancestors.c.unit_code).where(unit_ancestors.c.ancestor_code == unit_code)
    is_root = exists(select(units.c.unit_code).where(units.c.unit_code == unit_code, units.c.kind == "hq"))
    return or_(is_root, column.in_(below))


async def unit_path(session: AsyncSession, unit_code: str) -> list[str]:
    """Return the codes from the root down to the unit; empty for an unknown unit."""
    rows = await session.execute(
        text("SELECT ancestor_code FROM unit_ancestors WHERE unit_code = :unit ORDER BY depth DESC"), {"unit": unit_code}
    )
    return list(rows.scalars())


async def note_units(session: AsyncSession, deliveries: Sequence[Delivery[UnitChanged]]) -> None:
    """Keep the organisation tree from `customer.unit-changed`."""
    latest = {delivery.event.unit_code: delivery for delivery in deliveries}
    await apply_units(
        session,
        [Unit(d.event.unit_code, d.event.kind, d.event.parent_code) for d in latest.values()],
        [d.sequence for d in latest.values()],
    )


async def apply_units(session: AsyncSession, rows: Sequence[Unit], sequences: Sequence[int]) -> None:
    """Write units (each at most once) where the sequence is newer, then rebuild the closure and the accounts' districts."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection = await driver(session)
    await connection.execute(
        """
        INSERT INTO units (unit_code, kind, parent_code, sequence)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (code, kind, parent, sequence) ORDER BY code
        ON CONFLICT (unit_code) DO UPDATE
        SET kind = EXCLUDED.kind, parent_code = EXCLUDED.parent_code, sequence = EXCLUDED.sequence
        WHERE units.sequence < EXCLUDED.sequence""",
        [row.unit_code for row in rows],
        [row.kind for row in rows],
        [row.parent_code for row in rows],
        sequences,
    )
    await connection.execute(_REBUILD_CLOSURE)
    await connection.execute(_REFRESH_DISTRICTS)


async def note_accounts(session: AsyncSession, deliveries: Sequence[Delivery[AccountState]]) -> None:
    """Keep accounts and their branches from `customer.account-opened` and `customer.account-assigned`."""
    latest = {delivery.event.account_no: delivery for delivery in deliveries}
    await apply_accounts(session, [d.event for d in latest.values()], [d.sequence for d in latest.values()])


async def apply_accounts(session: AsyncSession, states: Sequence[AccountState], sequences: Sequence[int]) -> None:
    """Write accounts (each at most once) where the sequence is newer, with all their memberships.

    An account stands where its last membership puts it: a move is published on its day. The tree stands still meanwhile: an
    account written while the closure is rebuilt elsewhere would find no district there, and not be found by its refresh.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": LOCK})
    connection = await driver(session)
    last = [max(state.memberships, key=lambda membership: membership.from_on, default=None) for state in states]
    changed = await connection.fetch(
        _UPSERT_ACCOUNTS,
        [state.account_no for state in states],
        [membership and membership.branch_code for membership in last],
        [membership and membership.outlet_code for membership in last],
        [state.opened_on for state in states],
        [state.status for state in states],
        [state.provisional for state in states],
        sequences,
    )
    newer = {row["account_no"] for row in changed}
    await connection.execute("DELETE FROM account_branches WHERE account_no = ANY($1::text[])", list(newer))
    memberships = [(s.account_no, m) for s in states if s.account_no in newer for m in s.memberships]
    await connection.execute(
        "INSERT INTO account_branches (account_no, from_on, branch_code, outlet_code) "
        "SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::text[])",
        [account_no for account_no, _ in memberships],
        [membership.from_on for _, membership in memberships],
        [membership.branch_code for _, membership in memberships],
        [membership.outlet_code for _, membership in memberships],
    )


_REBUILD_CLOSURE = """
WITH RECURSIVE closure AS (
    SELECT unit_code, unit_code AS ancestor_code, 0 AS depth, parent_code FROM units
    UNION ALL
    SELECT c.unit_code, p.unit_code, c.depth + 1, p.parent_code FROM closure c JOIN units p ON p.unit_code = c.parent_code
    WHERE c.depth < 16
),
gone AS (
    DELETE FROM unit_ancestors a
    WHERE NOT EXISTS (SELECT FROM closure c WHERE c.unit_code = a.unit_code AND c.ancestor_code = a.ancestor_code)
)
INSERT INTO unit_ancestors (unit_code, ancestor_code, depth)
SELECT unit_code, ancestor_code, min(depth) FROM closure GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (unit_code, ancestor_code) DO UPDATE SET depth = EXCLUDED.depth WHERE unit_ancestors.depth <> EXCLUDED.depth"""

_DISTRICT = """(SELECT a.ancestor_code FROM unit_ancestors a JOIN units d ON d.unit_code = a.ancestor_code
    WHERE a.unit_code = {branch} AND d.kind = 'district' ORDER BY a.depth LIMIT 1)"""

_ROOT = "coalesce((SELECT unit_code FROM units WHERE kind = 'hq' ORDER BY 1 LIMIT 1), 'HQ')"
"""Where an account without a branch stands; before the first unit is known it is called HQ."""

_REFRESH_DISTRICTS = f"""
UPDATE accounts SET district_code = d.district_code
FROM (SELECT u.unit_code, {_DISTRICT.format(branch="u.unit_code")} AS district_code FROM units u) AS d
WHERE d.unit_code = accounts.branch_code AND accounts.district_code IS DISTINCT FROM d.district_code"""

_UPSERT_ACCOUNTS = f"""
INSERT INTO accounts (account_no, unit_code, branch_code, outlet_code, district_code, opened_on, status, provisional, sequence)
SELECT i.account_no, coalesce(i.outlet_code, i.branch_code, {_ROOT}), i.branch_code, i.outlet_code,
       {_DISTRICT.format(branch="i.branch_code")}, i.opened_on, i.status, i.provisional, i.sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::boolean[], $7::bigint[])
    AS i (account_no, branch_code, outlet_code, opened_on, status, provisional, sequence)
ORDER BY i.account_no
ON CONFLICT (account_no) DO UPDATE
SET unit_code = EXCLUDED.unit_code, branch_code = EXCLUDED.branch_code, outlet_code = EXCLUDED.outlet_code,
    district_code = EXCLUDED.district_code, opened_on = EXCLUDED.opened_on, status = EXCLUDED.status,
    provisional = EXCLUDED.provisional, sequence = EXCLUDED.sequence
WHERE accounts.sequence < EXCLUDED.sequence
RETURNING account_no"""
