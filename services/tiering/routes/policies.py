"""Somebody asks: policies, what counts where, and what another policy would have decided."""

from typing import Annotated

from fastapi import Query

from services.tiering.policies import lifecycle
from services.tiering.schemas.policies import (
    EffectivePolicy,
    PolicyChecked,
    PolicyFile,
    PolicyList,
    PolicyName,
    PolicyRead,
    PolicyState,
    PublicationAsked,
    Trial,
    TrialAccountList,
    TrialAsked,
    TrialRead,
    TrialUnitList,
)
from services.tiering.trials import requests as trials
from shared.http import PROBLEMS, Caller, Idempotent, Router, Session, UnitFilter
from shared.paging import Page
from shared.schemas import Day, Id

router = Router()
OnDay = Annotated[Day | None, Query(description="Default: today.")]


@router.get("/v1/policies", name="tiering.list_policies", summary="List versions of the policy", responses=PROBLEMS)
async def list_policies(*, session: Session, unit: UnitFilter, page: Page, state: PolicyState | None = None) -> PolicyList:
    """List the versions of a unit and the units below it, by name; the organisation's own are the root's."""
    return PolicyList.model_validate(await lifecycle.list_versions(session, unit, page, state=state))


@router.get("/v1/policies/effective", name="tiering.read_effective_policy", summary="Read what counts", responses=PROBLEMS)
async def read_effective_policy(session: Session, unit: UnitFilter, day: OnDay = None) -> EffectivePolicy:
    """Read every value that counts for a unit on a day, from whom it has it, and whether it may change it."""
    return EffectivePolicy.model_validate(await lifecycle.effective(session, unit, day))


@router.get("/v1/policies/{policy_version}", name="tiering.read_policy", summary="Read a version", responses=PROBLEMS)
async def read_policy(session: Session, policy_version: PolicyName) -> PolicyRead:
    """Read a version as it was written, and the way it has gone."""
    return PolicyRead.model_validate(await lifecycle.read(session, policy_version))


@router.post("/v1/policy-checks", name="tiering.check_policy", summary="Check a policy file", responses=PROBLEMS)
async def check_policy(session: Session, caller: Caller, idempotent: Idempotent, file: PolicyFile) -> PolicyChecked:
    """Check a file and keep nothing; one that contradicts itself is refused with the lines and the reasons (`errors`)."""
    return PolicyChecked.model_validate(await lifecycle.check(session, caller.scope, file.document))


@router.post("/v1/policies", name="tiering.draft_policy", summary="Draft a version", status_code=201, responses=PROBLEMS)
async def draft_policy(session: Session, caller: Caller, idempotent: Idempotent, file: PolicyFile) -> PolicyRead:
    """Keep a file as a draft; it is refused like by the check. An older draft of the same version is replaced."""
    return PolicyRead.model_validate(await lifecycle.draft(session, caller.scope, caller.actor, file.document))


@router.post(
    "/v1/policies/{policy_version}/trials",
    name="tiering.try_policy",
    summary="Try a version on history",
    status_code=202,
    responses=PROBLEMS,
)
async def try_policy(
    session: Session, caller: Caller, idempotent: Idempotent, policy_version: PolicyName, months: TrialAsked
) -> Trial:
    """Ask what the version would have decided in closed months; the answer names the trial to read."""
    asked = await trials.ask(session, caller.scope, caller.actor, policy_version, months.first, months.last)
    return Trial.model_validate(asked)


@router.post(
    "/v1/policies/{policy_version}/approval", name="tiering.approve_policy", summary="Approve a version", responses=PROBLEMS
)
async def approve_policy(session: Session, caller: Caller, idempotent: Idempotent, policy_version: PolicyName) -> PolicyRead:
    """Approve a version that was tried; its author is refused."""
    return PolicyRead.model_validate(await lifecycle.approve(session, caller.scope, caller.actor, policy_version))


@router.post(
    "/v1/policies/{policy_version}/publication", name="tiering.publish_policy", summary="Publish a version", responses=PROBLEMS
)
async def publish_policy(
    session: Session, caller: Caller, idempotent: Idempotent, policy_version: PolicyName, asked: PublicationAsked
) -> PolicyRead:
    """Publish an approved version for a day of a month that is not closed; nobody edits it afterwards."""
    found = await lifecycle.publish(session, caller.scope, caller.actor, policy_version, asked.effective_from)
    return PolicyRead.model_validate(found)


@router.get("/v1/policy-trials/{trial_id}", name="tiering.read_policy_trial", summary="Read a trial", responses=PROBLEMS)
async def read_policy_trial(session: Session, trial_id: Id) -> TrialRead:
    """Read a trial's progress, and what it has shown of the caller's branches together."""
    return TrialRead.model_validate(await trials.read(session, trial_id))


@router.get(
    "/v1/policy-trials/{trial_id}/branches",
    name="tiering.list_policy_trial_branches",
    summary="List what a trial has shown by branch",
    responses=PROBLEMS,
)
async def list_policy_trial_branches(session: Session, trial_id: Id, unit: UnitFilter, page: Page) -> TrialUnitList:
    """List what a trial has shown of each branch, by code; accounts without a branch stand under the root."""
    return TrialUnitList.model_validate(await trials.list_units(session, trial_id, unit, page))


@router.get(
    "/v1/policy-trials/{trial_id}/accounts",
    name="tiering.list_policy_trial_accounts",
    summary="List the accounts that a trial would move",
    responses=PROBLEMS,
)
async def list_policy_trial_accounts(session: Session, trial_id: Id, unit: UnitFilter, page: Page) -> TrialAccountList:
    """List the accounts that would hold something else: at each quarter's end, grades at the last month's."""
    return TrialAccountList.model_validate(await trials.list_accounts(session, trial_id, unit, page))
