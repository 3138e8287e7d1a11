"""Trials (规则试算): who asked to try which version on which months, how far it is, and what it has shown.

The worker does them one after the other on connections of its own; a trial that a crash cut short is begun again. The counts of
a branch are kept with that branch, so that a result can be shared by its id and everybody sees the part that is theirs.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.freight import last_closed
from services.tiering.models import PolicyTrial, PolicyTrialAccount, PolicyTrialUnit, PolicyVersion
from services.tiering.policies.book import PolicyBook, make_book
from services.tiering.policies.lifecycle import check_unit
from services.tiering.policies.versions import history, version_of
from services.tiering.trials import whatif
from services.tiering.trials.touched import reports_touched
from shared.clock import business_date, business_now, wall_now
from shared.db import Database, Scope, driver, is_infrastructure, patiently
from shared.directory import in_subtree
from shared.ids import natural_id
from shared.months import month_text, parse_month
from shared.paging import PageRequest, paged
from shared.problems import Invalid, NotFound

MAX_MONTHS = 36
POLL_SECONDS = 1.0
TRIAL_LOCK = 7421
"""Session-level advisory lock: one worker does the trials; a crash lets it go."""
log = structlog.get_logger(__name__)
_WAITING = "SELECT 1 FROM policy_trials WHERE state IN ('waiting', 'running') LIMIT 1"
"""Looked at once a second by every worker: one statement, outside of any transaction."""


async def ask(session: AsyncSession, scope: Scope, actor: str, policy_version: str, first: str, last: str) -> dict[str, Any]:
    """Ask for a trial of a version on closed months, both included.

    Raises NotFound outside the scope; Invalid `trial-months` where they are reversed, more than 36, or not closed yet.
    """
    row = await session.get(PolicyVersion, policy_version)
    if row is None:
        raise NotFound("policy", policy_version)
    check_unit(scope, row.unit_code, await history(session))
    months = whatif.months_of(parse_month(first), parse_month(last))
    closed = await last_closed(session)
    if not 1 <= len(months) <= MAX_MONTHS:
        raise Invalid(f"From 1 to {MAX_MONTHS} months can be tried, the first one first.", "trial-months")
    if closed is None or months[-1] > closed:
        raise Invalid(f"{last} is not closed: a policy is tried on history.", "trial-months")
    asked_at = wall_now()
    trial = PolicyTrial(
        trial_id=natural_id("policy-trial", policy_version, actor, asked_at.isoformat()),
        policy_version=policy_version,
        digest=row.digest,
        unit_code=row.unit_code,
        first_month=months[0],
        last_month=months[-1],
        state="waiting",
        done_steps=0,
        steps=len(months) + 1,
        asked_by=actor,
        asked_at=asked_at,
        business_at=await business_now(session),
    )
    session.add(trial)
    await session.flush()
    return _header(trial)


async def read(session: AsyncSession, trial_id: UUID) -> dict[str, Any]:
    """Return a trial with its progress, and the sum of what it has shown of the branches that the caller may see."""
    trial = await _find(session, trial_id)
    units = await session.execute(select(PolicyTrialUnit.result).where(PolicyTrialUnit.trial_id == trial_id))
    months: dict[str, Any] = {}
    for result in units.scalars():
        whatif.add(months, result)
    return {**_header(trial), "total": total_of(months), "months": dict(sorted(months.items()))}


async def list_units(session: AsyncSession, trial_id: UUID, unit: str, page: PageRequest) -> dict[str, Any]:
    """List what a trial has shown of each branch below a unit."""
    await _find(session, trial_id)
    row = PolicyTrialUnit
    query = select(row).where(row.trial_id == trial_id, in_subtree(row.unit_code, unit))
    if page.after is not None:
        query = query.where(row.unit_code > page.after[0])
    found = await session.execute(query.order_by(row.unit_code).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.unit_code,))
    items = [{"unit_code": item.unit_code, "total": total_of(item.result), "months": item.result} for item in answer["items"]]
    return {**answer, "items": items}


async def list_accounts(session: AsyncSession, trial_id: UUID, unit: str, page: PageRequest) -> dict[str, Any]:
    """List the accounts below a unit that would hold something else, by account, month and axis."""
    await _find(session, trial_id)
    row = PolicyTrialAccount
    query = select(row).where(row.trial_id == trial_id, in_subtree(row.unit_code, unit))
    if page.after is not None:
        query = query.where(tuple_(row.account_no, row.month, row.axis) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.account_no, row.month, row.axis).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.account_no, item.month, item.axis))
    names = ("account_no", "axis", "unit_code", "today", "tried")
    return {
        **answer,
        "items": [{name: getattr(item, name) for name in names} | {"month": month_text(item.month)} for item in answer["items"]],
    }


def total_of(months: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of all months together."""
    total: dict[str, Any] = {}
    for counts in months.values():
        whatif.add(total, counts)
    return total


async def do_trials(database: Database) -> None:
    """Do what is asked for, for ever: what a worker does beside its doors."""
    own = Database(database.service, database.url, "worker", 2)
    try:
        while True:
            try:
                while await patiently(lambda: run_next(own)):
                    pass
            except Exception as error:
                log.error("trial_interrupted", error=repr(error), exc_info=error)
            await asyncio.sleep(POLL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
    finally:
        await own.close()


async def run_next(database: Database) -> bool:
    """Do the oldest trial that waits, or that a crash left running; False where there is none, or another worker has it."""
    if await database.hot.row(_WAITING) is None:
        return False
    holder = await database.connect()
    try:
        if not await holder.fetchval("SELECT pg_try_advisory_lock($1)", TRIAL_LOCK):
            return False
        trial = await _next(database)
        if trial is not None:
            await _run(database, trial)
        return trial is not None
    finally:
        holder.terminate()


async def _next(database: Database) -> PolicyTrial | None:
    query = select(PolicyTrial).where(PolicyTrial.state.in_(["waiting", "running"]))
    async with database.transaction() as session:
        return (await session.execute(query.order_by(PolicyTrial.asked_at, PolicyTrial.trial_id).limit(1))).scalar_one_or_none()


async def _run(database: Database, trial: PolicyTrial) -> None:
    async def progress(step: int) -> None:
        async with database.transaction() as session:
            await session.execute(_of(trial).values(done_steps=step))

    async with database.transaction() as session:
        await session.execute(_of(trial).values(state="running", done_steps=0, started_at=wall_now()))
    months = whatif.parts_of(whatif.months_of(trial.first_month, trial.last_month))
    alone = [Database(database.service, database.url, "worker", 1) for _ in months]
    try:
        async with alone[0].transaction(isolation="REPEATABLE READ") as session, AsyncExitStack() as others:
            books = await _books(session, trial)
            sessions = [session]
            for one in alone[1:]:
                sessions.append(await others.enter_async_context(one.transaction(isolation="REPEATABLE READ")))
                await _same_snapshot(session, sessions[-1])
            parts = [await whatif.part(own, books, part) for own, part in zip(sessions, months, strict=True)]
            shown = await whatif.run(parts, progress)
            reports = await reports_touched(session, books, shown)
        async with alone[0].transaction() as session:
            await _keep(session, trial, shown, [books[side].base.policy_version for side in whatif.SIDES], reports)
    except Exception as error:
        cause = _cause(error)
        if is_infrastructure(cause):
            raise cause from error
        log.error("trial_failed", trial=str(trial.trial_id), error=repr(cause), exc_info=cause)
        async with database.transaction() as session:
            await session.execute(_of(trial).values(state="failed", ended_at=wall_now(), error=str(cause)[:500]))
    finally:
        for one in alone:
            await one.close()


def _cause(error: BaseException) -> BaseException:
    """Return the first error of a group of those that ended together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _same_snapshot(session: AsyncSession, other: AsyncSession) -> None:
    """Let the other transaction see exactly what this one sees; it is its first statement."""
    snapshot = (await session.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
    await other.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))


def _of(trial: PolicyTrial) -> Any:
    return update(PolicyTrial).where(PolicyTrial.trial_id == trial.trial_id)


async def _books(session: AsyncSession, trial: PolicyTrial) -> dict[str, PolicyBook]:
    """Return today's policy, and the same with the tried version in its unit's place."""
    published = await history(session)
    row = await session.get_one(PolicyVersion, trial.policy_version)
    if row.digest != trial.digest:
        raise LookupError(f"{trial.policy_version} was drafted anew since the trial was asked for")
    today = published.newest(business_date(trial.business_at))
    tried = today | {trial.unit_code: version_of(row, trial.first_month)}
    return {"today": make_book(today, published.tree), "tried": make_book(tried, published.tree)}


async def _keep(
    session: AsyncSession, trial: PolicyTrial, shown: whatif.Shown, compared: list[str], reports: list[dict[str, Any]]
) -> None:
    """Write the result, and that its version was tried, where it still says the same."""
    connection = await driver(session)
    for table in ("policy_trial_accounts", "policy_trial_units"):
        await session.execute(text(f"DELETE FROM {table} WHERE trial_id = :id"), {"id": trial.trial_id})
    await connection.execute(
        "INSERT INTO policy_trial_units (trial_id, unit_code, result) SELECT $1, u.unit_code, u.result::jsonb "
        "FROM unnest($2::text[], $3::text[]) AS u (unit_code, result)",
        trial.trial_id,
        list(shown.units),
        [json.dumps(months) for months in shown.units.values()],
    )
    await connection.execute(
        "INSERT INTO policy_trial_accounts (trial_id, account_no, month, axis, unit_code, today, tried) "
        "SELECT $1, * FROM pg_temp.trial_accounts ORDER BY account_no, month, axis",
        trial.trial_id,
    )
    await session.execute(
        _of(trial).values(state="done", ended_at=wall_now(), compared_with=compared, result={"reports": reports}, error=None)
    )
    await session.execute(
        update(PolicyVersion)
        .where(
            PolicyVersion.policy_version == trial.policy_version,
            PolicyVersion.state.in_(["draft", "tried"]),
            PolicyVersion.digest == trial.digest,
        )
        .values(state="tried", tried_at=trial.business_at, trial_id=trial.trial_id)
    )


async def _find(session: AsyncSession, trial_id: UUID) -> PolicyTrial:
    row = await session.get(PolicyTrial, trial_id)
    if row is None:
        raise NotFound("trial", trial_id)
    return row


def _header(trial: PolicyTrial) -> dict[str, Any]:
    names = "trial_id policy_version unit_code state done_steps steps asked_by asked_at started_at ended_at error compared_with"
    return {name: getattr(trial, name) for name in names.split()} | {
        "from": month_text(trial.first_month),
        "to": month_text(trial.last_month),
        "reports": (trial.result or {}).get("reports", []),
    }
