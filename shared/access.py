"""Who may do what: the one access policy table, from operation to roles and scope.

An operation is the name of its route (`tiering.list_tiers`). A service does not start with a route that has no row here, nor
with a row that has no route. `tests/test_access_matrix.py` checks operation x role x unit relation against this table.

A role that may not do an operation at all is answered 403. What lies outside the caller's unit is answered 404, like what does
not exist. Role `shipper` (the customer's own staff, in mini-programs) reaches its own account only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The roles a token may carry."""

    OPS_HQ = "ops_hq"
    CUST_MGMT_OFFICE = "cust_mgmt_office"
    ANALYST = "analyst"
    PLANNING = "planning"
    DISTRICT_HEAD = "district_head"
    BRANCH_MANAGER = "branch_manager"
    OUTLET_STAFF = "outlet_staff"
    CARE_REP = "care_rep"
    SHIPPER = "shipper"


class Reach(StrEnum):
    """How an operation is scoped."""

    UNIT = "unit"
    """A list: shows what lies in the subtree of the caller's unit (for a shipper: in its account)."""
    ACCOUNT = "account"
    """One thing that belongs to an account or unit: 404 where that is outside the caller's unit or account."""
    ROOT = "root"
    """Concerns the whole organisation: only a caller of the root unit, 403 for every other."""
    OPEN = "open"
    """Nothing personal or commercial: the same for every caller who has the role."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: the roles that may do the operation, and how far it reaches."""

    roles: frozenset[Role]
    reach: Reach


STAFF = frozenset(Role) - {Role.SHIPPER}
ALL = frozenset(Role)
HQ_OPERATORS = frozenset({Role.OPS_HQ})
KEEPERS = frozenset({Role.DISTRICT_HEAD, Role.BRANCH_MANAGER, Role.OUTLET_STAFF})
"""Whose maintenance tasks are: VIP, key and general accounts. Each task names one of them; to the other two it answers 403."""
HELPERS = frozenset({Role.CARE_REP, Role.PLANNING})
"""Who may help with a task, where the policy's matrix names them as assisting: they record contacts and claim nothing."""
SOLVERS = STAFF - {Role.ANALYST, Role.PLANNING}
"""Who handles tickets; analysts and the planning department read them."""
POLICY_APPROVERS = frozenset({Role.OPS_HQ, Role.CUST_MGMT_OFFICE, Role.DISTRICT_HEAD})
"""Who approves and publishes versions of the tiering policy, within their unit."""
POLICY_AUTHORS = POLICY_APPROVERS | {Role.PLANNING, Role.ANALYST, Role.BRANCH_MANAGER}
"""Who drafts such versions and tries them on history."""
REPORTERS = frozenset({Role.ANALYST, Role.CUST_MGMT_OFFICE})
"""Who makes reports (X-09): the district's analyst, and at the root the analysis group of the customer management office."""
SIGNERS = REPORTERS | {Role.DISTRICT_HEAD, Role.BRANCH_MANAGER}
"""Who may sign reports; each report names its own of these, to the others it answers 403."""
MENDERS = KEEPERS | {Role.CARE_REP}
"""Who can be asked to mend something."""

POLICY: dict[str, Rule] = {
    "customer.read_account_360": Rule(ALL, Reach.ACCOUNT),
    "customer.read_account": Rule(ALL, Reach.ACCOUNT),
    "customer.list_accounts": Rule(STAFF, Reach.UNIT),
    "customer.put_accounts": Rule(HQ_OPERATORS, Reach.ROOT),
    "customer.list_units": Rule(STAFF, Reach.UNIT),
    "customer.put_units": Rule(HQ_OPERATORS, Reach.ROOT),
    "tiering.list_tiers": Rule(STAFF, Reach.UNIT),
    "tiering.list_grades": Rule(STAFF, Reach.UNIT),
    "tiering.read_account_freight": Rule(ALL, Reach.ACCOUNT),
    "tiering.read_account_tiers": Rule(ALL, Reach.ACCOUNT),
    "tiering.read_standing": Rule(ALL, Reach.ACCOUNT),
    "tiering.list_concentration": Rule(STAFF, Reach.UNIT),
    "tiering.read_pareto": Rule(STAFF, Reach.UNIT),
    "tiering.list_causes": Rule(STAFF, Reach.ACCOUNT),
    "tiering.judge_cause": Rule(SOLVERS, Reach.ACCOUNT),
    "tiering.read_cause_quality": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_radar": Rule(STAFF, Reach.UNIT),
    "tiering.read_radar_quality": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_decision": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_decision_charges": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_account_why": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_movements": Rule(STAFF, Reach.UNIT),
    "tiering.list_quarter_movements": Rule(STAFF, Reach.UNIT),
    "tiering.list_bands": Rule(STAFF, Reach.UNIT),
    "tiering.list_entitlements": Rule(STAFF, Reach.UNIT),
    "tiering.list_milestones": Rule(STAFF, Reach.UNIT),
    "tiering.read_prospect_grade": Rule(STAFF, Reach.OPEN),
    "tiering.list_policies": Rule(STAFF, Reach.UNIT),
    "tiering.read_policy": Rule(STAFF, Reach.OPEN),
    "tiering.read_effective_policy": Rule(STAFF, Reach.OPEN),
    "tiering.check_policy": Rule(POLICY_AUTHORS, Reach.ACCOUNT),
    "tiering.draft_policy": Rule(POLICY_AUTHORS, Reach.ACCOUNT),
    "tiering.try_policy": Rule(POLICY_AUTHORS, Reach.ACCOUNT),
    "tiering.approve_policy": Rule(POLICY_APPROVERS, Reach.ACCOUNT),
    "tiering.publish_policy": Rule(POLICY_APPROVERS, Reach.ACCOUNT),
    "tiering.read_policy_trial": Rule(STAFF, Reach.OPEN),
    "tiering.list_policy_trial_branches": Rule(STAFF, Reach.UNIT),
    "tiering.list_policy_trial_accounts": Rule(STAFF, Reach.UNIT),
    "tiering.list_datasets": Rule(STAFF, Reach.OPEN),
    "tiering.list_report_definitions": Rule(STAFF, Reach.UNIT),
    "tiering.create_report_definition": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_definition": Rule(STAFF, Reach.ACCOUNT),
    "tiering.change_report_definition": Rule(STAFF, Reach.ACCOUNT),
    "tiering.archive_report_definition": Rule(STAFF, Reach.ACCOUNT),
    "tiering.run_report": Rule(STAFF, Reach.ACCOUNT),
    "tiering.create_export": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_exports": Rule(STAFF, Reach.UNIT),
    "tiering.read_export": Rule(STAFF, Reach.ACCOUNT),
    "tiering.download_export": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_reports": Rule(STAFF, Reach.UNIT),
    "tiering.read_report": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_gaps": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_changes": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_appraisal": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_document": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_report_file": Rule(STAFF, Reach.ACCOUNT),
    "tiering.freeze_report": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.reissue_report": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.sign_report": Rule(SIGNERS, Reach.ACCOUNT),
    "tiering.add_report_advice": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.override_report_quality": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.open_rectification": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.list_rectifications": Rule(STAFF, Reach.UNIT),
    "tiering.fix_rectification": Rule(MENDERS, Reach.ACCOUNT),
    "tiering.verify_rectification": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.list_extracts": Rule(STAFF, Reach.UNIT),
    "tiering.read_extract": Rule(STAFF, Reach.ACCOUNT),
    "tiering.put_distribution_list": Rule(REPORTERS, Reach.ACCOUNT),
    "tiering.read_kpis": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_service_levels": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_average_amounts": Rule(STAFF, Reach.ACCOUNT),
    "tiering.read_account_scores": Rule(STAFF, Reach.ACCOUNT),
    "tiering.list_early_warnings": Rule(STAFF, Reach.UNIT),
    "tiering.list_forecast_errors": Rule(STAFF, Reach.UNIT),
    "tiering.list_evaluations": Rule(STAFF, Reach.UNIT),
    "tiering.list_score_models": Rule(STAFF, Reach.OPEN),
    "retention.list_tasks": Rule(STAFF, Reach.UNIT),
    "retention.read_task": Rule(STAFF, Reach.ACCOUNT),
    "retention.claim_task": Rule(KEEPERS, Reach.ACCOUNT),
    "retention.record_contact": Rule(KEEPERS | HELPERS, Reach.ACCOUNT),
    "retention.complete_task": Rule(KEEPERS, Reach.ACCOUNT),
    "retention.delegate_task": Rule(KEEPERS, Reach.ACCOUNT),
    "retention.list_delegations": Rule(STAFF, Reach.UNIT),
    "tickets.list_tickets": Rule(ALL, Reach.UNIT),
    "tickets.open_ticket": Rule(SOLVERS | {Role.SHIPPER}, Reach.ACCOUNT),
    "tickets.read_ticket": Rule(ALL, Reach.ACCOUNT),
    "tickets.assign_ticket": Rule(SOLVERS, Reach.ACCOUNT),
    "tickets.resolve_ticket": Rule(SOLVERS, Reach.ACCOUNT),
    "tickets.read_parcel": Rule(ALL, Reach.ACCOUNT),
}


def check_policy(service: str, operations: Iterable[str]) -> None:
    """Refuse to start a service whose routes and rows differ. Raises RuntimeError with one sentence."""
    routes = set(operations)
    rows = {operation for operation in POLICY if operation.startswith(f"{service}.")}
    if routes != rows:
        missing = ", ".join(sorted(routes - rows)) or "none"
        idle = ", ".join(sorted(rows - routes)) or "none"
        raise RuntimeError(
            f"shared/access.py and the routes of {service} differ: routes without a row: {missing}; rows without a route: {idle}."
        )
