"""The way of a policy (规则审批): drafted, tried on history, approved by a second person, published for a day.

Nobody edits a published one; whoever wants another rule publishes another version. A version that says nothing for its unit
gives everything back to what is inherited.
"""

from datetime import date
from typing import Any

from sqlalchemy import exists, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.freight import CLOSED_OR_CLOSING, LEDGER
from services.tiering.models import PolicyVersion
from services.tiering.policies import checking
from services.tiering.policies.book import Place, chain_of, deepest, flat, may_set, resolve
from services.tiering.policies.document import BEGINNING, keys, plain, value_of
from services.tiering.policies.toml import Refusal
from services.tiering.policies.versions import PolicyHistory, history
from shared.clock import business_date, business_now
from shared.db import Scope
from shared.directory import in_subtree
from shared.kernel.tables import units
from shared.paging import PageRequest, paged
from shared.problems import Conflict, Forbidden, NotFound

READ = (
    "policy_version unit_code state effective_from locks document digest author drafted_at tried_at trial_id "
    "approver approved_at publisher published_at"
)


async def check(session: AsyncSession, scope: Scope, document: str) -> dict[str, Any]:
    """Return what a file would draft. Raises Invalid `policy-invalid` with lines and reasons, NotFound outside the scope."""
    draft = await _checked(session, scope, document)
    return {
        "policy_version": draft.policy_version,
        "unit_code": draft.unit_code,
        "effective_from": draft.effective_from,
        "locks": list(draft.locks),
        "sets": sorted(flat(draft.content)),
        "digest": draft.digest,
    }


async def draft(session: AsyncSession, scope: Scope, actor: str, document: str) -> dict[str, Any]:
    """Keep a file as a draft, or in the place of an older draft of the same version and unit.

    Raises Invalid `policy-invalid`, NotFound outside the scope, and Conflict: `policy-published` for a version that is
    published, `policy-version-taken` for one of another unit.
    """
    found = await _checked(session, scope, document)
    values = {
        "unit_code": found.unit_code,
        "state": "draft",
        "effective_from": found.effective_from,
        "content": found.content,
        "locks": list(found.locks),
        "document": found.document,
        "digest": found.digest,
        "author": actor,
        "drafted_at": await business_now(session),
        **dict.fromkeys(("tried_at", "trial_id", "approver", "approved_at")),
    }
    same_unit = PolicyVersion.unit_code.is_not_distinct_from(found.unit_code)
    kept = await session.execute(
        insert(PolicyVersion)
        .values(policy_version=found.policy_version, **values)
        .on_conflict_do_update(
            index_elements=["policy_version"], set_=values, where=(PolicyVersion.state != "published") & same_unit
        )
        .returning(PolicyVersion.policy_version)
    )
    if kept.first() is None:
        standing = await _find(session, found.policy_version)
        if standing.unit_code != found.unit_code:
            raise Conflict("policy-version-taken", f"Version {found.policy_version} is one of unit {standing.unit_code or 'HQ'}.")
        raise Conflict("policy-published", f"Policy {found.policy_version} is published: nobody edits it. Draft another version.")
    return await read(session, found.policy_version)


async def read(session: AsyncSession, policy_version: str) -> dict[str, Any]:
    """Return a version: the file as it was written, what it sets, and the way it has gone. Raises NotFound."""
    return _item(await _find(session, policy_version))


async def list_versions(session: AsyncSession, unit: str, page: PageRequest, *, state: str | None = None) -> dict[str, Any]:
    """List the versions of the units below a unit, by version; the organisation's own are the root's."""
    is_root = exists(select(units.c.unit_code).where(units.c.unit_code == unit, units.c.kind == "hq"))
    row = PolicyVersion
    query = select(row).where(or_(in_subtree(row.unit_code, unit), row.unit_code.is_(None) & is_root))
    if state is not None:
        query = query.where(row.state == state)
    if page.after is not None:
        query = query.where(row.policy_version > page.after[0])
    found = await session.execute(query.order_by(row.policy_version).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.policy_version,))
    return {**answer, "items": [_item(item) for item in answer["items"]]}


async def approve(session: AsyncSession, scope: Scope, actor: str, policy_version: str) -> dict[str, Any]:
    """Approve a version that was tried, as a second person.

    Raises Conflict: `policy-published`, `policy-not-tried`, and Forbidden `policy-own-approval` for its author.
    """
    row = await _held(session, scope, policy_version)
    if row.author == actor:
        raise Forbidden(f"You are the author of {policy_version}: a second person approves it.", "policy-own-approval")
    if row.state == "draft":
        raise Conflict("policy-not-tried", f"Policy {policy_version} is to be tried on history before it is approved.")
    if row.state == "tried":
        row.state, row.approver, row.approved_at = "approved", actor, await business_now(session)
        await session.flush()
    return _item(row)


async def publish(session: AsyncSession, scope: Scope, actor: str, policy_version: str, day: date | None) -> dict[str, Any]:
    """Publish an approved version for a day; without one for the day that its file names.

    The ledger's gate is held like for a posting: a close either finds the version, or has begun and the day is refused.
    Raises Conflict: `policy-not-approved`, `policy-published`, `policy-date-taken`; Invalid `policy-invalid`.
    """
    row = await _held(session, scope, policy_version)
    if row.state != "approved":
        wanted = "a second person's approval" if row.state == "tried" else "its trial on history, then a second person's approval"
        raise Conflict("policy-not-approved", f"Policy {policy_version} is a {row.state}: it needs {wanted}.")
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:ledger)"), {"ledger": LEDGER})
    await session.execute(text("LOCK TABLE policy_versions IN SHARE ROW EXCLUSIVE MODE"))
    effective_from = day or row.effective_from
    if effective_from is None:
        raise checking.refuse([Refusal(1, "effective_from", "the file names no day, so the publication has to")])
    published = await history(session)
    _check_day(effective_from, await _closing(session))
    checking.check(row.document, published, effective_from, None, day=effective_from)
    if any((one.unit_code, one.effective_from) == (row.unit_code, effective_from) for one in published.versions):
        raise Conflict("policy-date-taken", f"Another version of the same unit is published for {effective_from}.")
    now = await business_now(session)
    row.state, row.effective_from, row.publisher, row.published_at = "published", effective_from, actor, now
    await session.flush()
    return _item(row)


async def effective(session: AsyncSession, unit: str, day: date | None) -> dict[str, Any]:
    """Return what counts for a unit on a day: every value, whose it is, if it is locked, and if the unit may change it."""
    published = await history(session)
    when = day or business_date(await business_now(session))
    place = published.tree.get(unit)
    newest = published.newest(when)
    chain = chain_of(place, newest, published.tree)
    resolved = resolve(chain, [])
    kind = place.kind if place is not None else "hq"
    above = _above(published, place, when)
    values = []
    for key in keys():
        origin, lock = resolved.origins[key], resolved.locks.get(key)
        values.append(
            {
                "key": key,
                "value": plain(resolved.document)[key] if "." not in key else _plain(value_of(resolved.document, key)),
                "unit_code": origin.unit_code,
                "policy_version": origin.policy_version,
                "locked": lock is not None,
                "locked_by": lock and lock.unit_code,
                "locked_in": lock and lock.policy_version,
                "decided_per": deepest(key),
                "may_change": may_set(key, kind) and key not in above,
            }
        )
    return {
        "unit_code": place.unit_code if place is not None else None,
        "day": when,
        "policy_version": resolved.document.policy_version,
        "versions": [
            {"policy_version": one.policy_version, "unit_code": one.unit_code, "effective_from": one.effective_from}
            for one, _ in chain
        ],
        "values": values,
    }


def _above(published: PolicyHistory, place: Place | None, day: date) -> set[str]:
    """Return the keys that are locked above a unit; its own locks do not bind itself."""
    if place is None or len(place.path) < 2:
        return set()
    parent = published.tree[place.path[-2]]
    return set(resolve(chain_of(parent, published.newest(day), published.tree), []).locks)


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _item(row: PolicyVersion) -> dict[str, Any]:
    return {name: getattr(row, name) for name in READ.split()} | {"sets": sorted(flat(row.content))}


async def _checked(session: AsyncSession, scope: Scope, document: str) -> checking.Draft:
    published = await history(session)
    today = business_date(await business_now(session))
    check_unit(scope, checking.unit_of(document), published)
    return checking.check(document, published, today, await _closing(session))


def check_unit(scope: Scope, unit: str | None, published: PolicyHistory) -> None:
    """Raises NotFound where a unit lies outside the caller's; the whole organisation is the root's."""
    place = published.tree.get(unit) if unit is not None else None
    if scope.everything or (unit is not None and place is None):
        return
    if place is None or scope.unit_code not in place.path:
        raise NotFound("unit", unit or "of the whole organisation")


async def _closing(session: AsyncSession) -> date | None:
    found: date | None = (await session.execute(text(f"SELECT {CLOSED_OR_CLOSING}"))).scalar()
    return found


def _check_day(day: date, closed: date | None) -> None:
    if not BEGINNING <= day <= checking.LAST_DAY:
        raise checking.refuse([Refusal(1, "effective_from", "a day from 2000 to 2100 is wanted")])
    if closed is not None and day.replace(day=1) <= closed:
        raise checking.refuse([Refusal(1, "effective_from", checking.closed_reason(day, closed))])


async def _find(session: AsyncSession, policy_version: str) -> PolicyVersion:
    row = await session.get(PolicyVersion, policy_version, populate_existing=True)
    if row is None:
        raise NotFound("policy", policy_version)
    return row


async def _held(session: AsyncSession, scope: Scope, policy_version: str) -> PolicyVersion:
    """Lock a version that the caller's unit covers. Raises NotFound, or Conflict for a published one."""
    query = select(PolicyVersion).where(PolicyVersion.policy_version == policy_version).with_for_update()
    row = (await session.execute(query.execution_options(populate_existing=True))).scalar_one_or_none()
    if row is None:
        raise NotFound("policy", policy_version)
    if not scope.everything:
        check_unit(scope, row.unit_code, await history(session))
    if row.state == "published":
        raise Conflict("policy-published", f"Policy {policy_version} is published: nobody changes it. Draft another version.")
    return row
