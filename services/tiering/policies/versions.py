"""The published versions of the policy (规则版本): which one is in force on a day, for the organisation and for each unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import PolicyVersion
from services.tiering.policies.book import Place, PolicyBook, Version, make_book


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """Every published version, and the organisation tree: for those who need the books of several days."""

    versions: tuple[Version, ...]
    tree: Mapping[str, Place]

    def newest(self, day: date) -> dict[str | None, Version]:
        """Return the version of each unit that became effective last by a day."""
        return {version.unit_code: version for version in self.versions if version.effective_from <= day}

    def on(self, day: date) -> PolicyBook:
        """Return the book of a day."""
        return make_book(self.newest(day), self.tree)


async def history(session: AsyncSession) -> PolicyHistory:
    """Return all published versions with the tree of today; within the run of an instant they are read once."""
    kept: PolicyHistory | None = session.info.get("policies")
    if kept is not None:
        return kept
    query = select(PolicyVersion).where(PolicyVersion.state == "published")
    rows = (await session.execute(query.order_by(PolicyVersion.effective_from, PolicyVersion.policy_version))).scalars()
    found = PolicyHistory(tuple(version_of(row) for row in rows), await tree(session))
    if "instant" in session.info:
        session.info["policies"] = found
    return found


async def in_force(session: AsyncSession, day: date) -> PolicyBook:
    """Return the policy in force on a day: of each unit the version that became effective last. The first is from 2000 on."""
    return (await history(session)).on(day)


async def tree(session: AsyncSession) -> dict[str, Place]:
    """Return every unit with its path from the root."""
    rows = await session.execute(_TREE)
    return {row.unit_code: Place(row.unit_code, row.kind, tuple(row.path)) for row in rows}


def version_of(row: PolicyVersion, effective_from: date | None = None) -> Version:
    """Return a stored version as the book takes it, for another day where one is given."""
    day = effective_from or row.effective_from
    assert day is not None
    return Version(row.policy_version, row.unit_code, day, row.content, tuple(row.locks))


_TREE = text(
    "SELECT u.unit_code, u.kind, array_agg(a.ancestor_code ORDER BY a.depth DESC) AS path "
    "FROM units u JOIN unit_ancestors a ON a.unit_code = u.unit_code GROUP BY u.unit_code, u.kind ORDER BY u.unit_code"
)
