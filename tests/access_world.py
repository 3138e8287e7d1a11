"""The small world of the access matrix: an organisation, two accounts, their history, and one request per operation.

    HQ ── D1 ── B1 ── O1     account 7551234567 is served by branch B1 (its VIP task lies with district D1),
     │     └── B2 ── O2      account 7551234569 by outlet O1,
     └── D2 ── B3            account 7551234568 by branch B3; the first is the example in the OpenAPI documents

A service that gets a new operation adds its request to PROBES; one that needs other facts adds them to its `*_world`.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import httpx2
from sqlalchemy import text

from services.customer.subscriptions import SUBSCRIPTIONS as CUSTOMER
from services.retention.subscriptions import SUBSCRIPTIONS as RETENTION
from services.tickets.subscriptions import SUBSCRIPTIONS as TICKETS
from services.tiering.schedules import SCHEDULES
from services.tiering.subscriptions import SUBSCRIPTIONS as TIERING
from shared.access import Role
from shared.consumer import Dispatcher, Subscription
from shared.db import Database
from shared.events.customer import AccountOpened, Membership, UnitChanged
from shared.events.envelope import Event
from shared.events.freight import FreightCharged
from shared.events.shipments import Destination, Origin, ShipmentStatusChanged
from shared.events.tickets import TicketOpened
from shared.events.tiering import Assist, MovementDetected
from shared.ids import natural_id
from shared.rounds import Rounds
from shared.scheduler import Scheduler
from tests.deliveries import deliver

UNITS: dict[str, tuple[str, str | None]] = {
    "HQ": ("hq", None),
    "D1": ("district", "HQ"),
    "D2": ("district", "HQ"),
    "B1": ("branch", "D1"),
    "B2": ("branch", "D1"),
    "B3": ("branch", "D2"),
    "O1": ("outlet", "B1"),
    "O2": ("outlet", "B2"),
}
ACCOUNTS: dict[str, tuple[str, str | None]] = {"7551234567": ("B1", None), "7551234568": ("B3", None), "7551234569": ("B1", "O1")}
OWN, OTHER = "7551234567", "7551234568"
OPENED = date(2018, 1, 1)
TASKS = {
    Role.DISTRICT_HEAD: ("2018-01", "vip", "D1"),
    Role.BRANCH_MANAGER: ("2018-02", "key", "B1"),
    Role.PLANNING: ("2017-12", "vip", "D1"),
}
"""Role, and month, tier and unit of its task (planning helps with one); everybody else is asked about the general account's task,
in B1 too, with which the care group helps."""
GENERAL_TASK = ("2018-03", "general", "B1")
DECISION = natural_id("decision", OWN, "2018-03")
TICKET = natural_id("ticket", "SF1234567890123", "damaged")
REPORT, EXPORT = natural_id("report-definition", "example"), natural_id("export", "example")
CAUSE = natural_id("cause", str(natural_id("movement", OWN, "2018-02", 1)), "inferred", "damaged_parcels")
BLOCKS = ("cause", "satisfaction", "other_needs", "competitor", "news_passed_on")


def at(day: str, time: str = "12:00:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{time}+08:00")


def organisation() -> list[Event]:
    units = [UnitChanged(unit_code=unit, kind=kind, parent_code=parent, version=1) for unit, (kind, parent) in UNITS.items()]  # type: ignore[arg-type]
    accounts = [
        AccountOpened(
            account_no=account,
            status="open",
            provisional=False,
            opened_on=OPENED,
            memberships=(Membership(branch_code=branch, outlet_code=outlet, from_on=OPENED),),
            version=1,
        )
        for account, (branch, outlet) in ACCOUNTS.items()
    ]
    return [*units, *accounts]


def charges() -> list[Event]:
    amounts = {"7551234567": {1: 1_000_000, 2: 0, 3: 300_000}, "7551234568": {1: 500_000, 2: 500_000}, "7551234569": {3: 100_000}}
    before = FreightCharged(
        charge_no="CH-before", version=1, waybill_no="W-before", account_no=OWN, amount_fen=100, charged_at=at("2017-12-10")
    )
    return [
        before,
        *_charges_of(amounts),
    ]


def _charges_of(amounts: dict[str, dict[int, int]]) -> list[Event]:
    return [
        FreightCharged(
            charge_no=f"CH-{account}-{month}",
            version=1,
            waybill_no=f"W-{account}-{month}",
            account_no=account,
            amount_fen=amount,
            charged_at=at(f"2018-{month:02}-10"),
        )
        for account, months in amounts.items()
        for month, amount in months.items()
    ]


def scans() -> list[Event]:
    return [
        ShipmentStatusChanged(
            waybill_no=waybill,
            account_no=account,
            status="DAMAGED",
            occurred_at=at("2018-04-02"),
            origin=Origin(branch=ACCOUNTS[account][0], city="", region=""),
            destination=Destination(city="", region=""),
            pieces=1,
        )
        for waybill, account in (("SF1234567890123", OWN), ("W-2", OTHER))
    ]


def damage() -> Event:
    return TicketOpened(
        ticket_id=TICKET,
        ticket_class="problem_parcel",
        cause_hint="damaged",
        waybill_no="SF1234567890123",
        account_no=OWN,
        branch_code=None,
        priority="P2",
        opened_at=at("2018-02-10"),
        due_at=at("2018-02-12"),
        state="open",
        changed_at=at("2018-02-10"),
        version=1,
    )


def movements() -> list[Event]:
    return [
        MovementDetected(
            movement_id=natural_id("movement", OWN, month, 1),
            account_no=OWN,
            month=date.fromisoformat(f"{month}-01"),
            revision=1,
            kind="zero_month",
            zero_months=1,
            previous_fen=1,
            current_fen=0,
            decided_previous_fen=1,
            decided_current_fen=0,
            state="open",
            withdrawn_reason=None,
            detected_at=at("2018-04-01", "00:30:00"),
            judged_at=at("2018-04-01", "00:30:00"),
            decision_id=natural_id("movement-decision", OWN, month, 1),
            service_tier=tier,  # type: ignore[arg-type]
            branch_code="B1",
            district_code="D1",
            outlet_code=None,
            version=1,
            role=owes,
            unit_code=unit,
            in_person=tier == "key",
            assist=(Assist(role=helps, unit_code="HQ"),) if helps else (),
        )
        for (month, tier, unit), owes, helps in (
            (TASKS[Role.DISTRICT_HEAD], "district_head", None),
            (TASKS[Role.BRANCH_MANAGER], "branch_manager", None),
            (TASKS[Role.PLANNING], "district_head", "planning"),
            (GENERAL_TASK, "outlet_staff", "care_rep"),
        )
    ]


async def _happen(database: Database, subscriptions: Sequence[Subscription], events: Sequence[Event]) -> None:
    async with database.transaction() as session:
        assert await Dispatcher(database.service, subscriptions).handle(session, [deliver(event) for event in events]) == []


async def _begin(database: Database, now: datetime) -> None:
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO business_clock (at, driven) VALUES (:at, true)"), {"at": now})
        await session.execute(text("INSERT INTO schedule_state (through) VALUES (:at)"), {"at": now})


async def customer_world(database: Database, client: httpx2.AsyncClient, operator: dict[str, str]) -> None:
    """Units and accounts by the front door, parcels by events."""
    await _begin(database, at("2018-05-01"))
    for operation in ("customer.put_units", "customer.put_accounts"):
        probe = PROBES[operation](Role.OPS_HQ)
        answer = await client.request(probe.method, probe.path, json=probe.body, headers=operator)
        assert answer.status_code == 200, answer.text
    await _happen(database, CUSTOMER, scans())


async def tiering_world(database: Database, client: httpx2.AsyncClient, operator: dict[str, str]) -> None:
    """Three months of freight, closed one after the other."""
    await _begin(database, at("2018-01-01"))
    await _happen(database, TIERING, [*organisation(), *charges(), damage()])
    for month in (2, 3, 4):
        async with database.transaction() as session:
            await session.execute(text("UPDATE business_clock SET at = :at"), {"at": at(f"2018-{month:02}-01", "00:30:00")})
        await Scheduler(database, SCHEDULES, Rounds()).run_due()


async def retention_world(database: Database, client: httpx2.AsyncClient, operator: dict[str, str]) -> None:
    """A task for each of the three roles."""
    await _begin(database, at("2018-05-01"))
    await _happen(database, RETENTION, [*organisation(), *movements()])


async def tickets_world(database: Database, client: httpx2.AsyncClient, operator: dict[str, str]) -> None:
    """A damaged parcel of each account."""
    await _begin(database, at("2018-05-01"))
    await _happen(database, TICKETS, [*organisation(), *scans()])


WORLDS: dict[str, Callable[[Database, httpx2.AsyncClient, dict[str, str]], Awaitable[None]]] = {
    "customer": customer_world,
    "tiering": tiering_world,
    "retention": retention_world,
    "tickets": tickets_world,
}


@dataclass(frozen=True)
class Probe:
    """One request about one thing: where that lies, whose it is, and what of a list's answer shows it."""

    method: str
    path: str
    body: Any = None
    unit: str = "B1"
    account: str = OWN
    shows: str = ""
    before: str = ""
    """SQL that puts the thing back, so that a write can be tried again."""


def _task(role: Role) -> tuple[str, str]:
    month, _, unit = TASKS.get(role, GENERAL_TASK)
    return str(natural_id("task", str(natural_id("movement", OWN, month, 1)))), unit


def _work(role: Role, action: str, body: Any = None, also: str = "") -> Probe:
    task, unit = _task(role)
    nobody = "claimed_by = NULL, claimed_at = NULL, done_by = NULL, done_at = NULL"
    reset = f"UPDATE tasks SET state = 'open', {nobody} WHERE task_id = '{task}'"
    return Probe("POST", f"/v1/tasks/{task}/{action}", body, unit, before=reset + also.format(task=task, unit=unit))


_CONTACT = {"channel": "visit", "at": "2018-04-10T10:00:00+08:00"} | dict.fromkeys(BLOCKS, "said")
_FULL_CONTACT = (
    "; INSERT INTO contacts (contact_id, task_id, number, unit_code, channel, contacted_at, entered_at, late, actor, "
    + ", ".join(BLOCKS)
    + ") SELECT gen_random_uuid(), '{task}', 1000, '{unit}', 'visit', now(), now(), false, 'x', 'a', 'a', 'a', 'a', 'a' "
    "WHERE NOT EXISTS (SELECT FROM contacts WHERE task_id = '{task}' AND number = 1000)"
)
_DELEGATED = (
    "INSERT INTO delegations SELECT gen_random_uuid(), '{0}', 1000, '7551234567', '{1}', 'x', 'y', false, now() "
    "WHERE NOT EXISTS (SELECT FROM delegations WHERE task_id = '{0}' AND number = 1000)"
)
_REOPEN = f"UPDATE tickets SET state = 'open', assignee = NULL, cause_code = NULL WHERE ticket_id = '{TICKET}'"
_POLICY_FILE = {"document": 'policy_version = "B1.9"\nunit = "B1"\n\n[tiers]\nkey_top_n = 8\n'}
_TRIAL = natural_id("policy-trial", "B1.9")
_NO_POLICY = "DELETE FROM policy_versions WHERE policy_version = 'B1.9'"
_HAS_TRIAL = (
    "DELETE FROM policy_trial_units; DELETE FROM policy_trial_accounts; DELETE FROM policy_trials; "
    "INSERT INTO policy_trials (trial_id, policy_version, digest, unit_code, first_month, last_month, state, done_steps, steps, "
    f"asked_by, asked_at, business_at) VALUES ('{_TRIAL}', 'B1.9', '', 'B1', '2018-01-01', '2018-03-01', 'done', 4, 4, 'x', "
    f"now(), now()); INSERT INTO policy_trial_units VALUES ('{_TRIAL}', 'B1', '{{}}'); "
    f"INSERT INTO policy_trial_accounts VALUES ('{_TRIAL}', '{OWN}', '2018-03-01', 'grade', 'B1', 'gold', 'silver')"
)


def _policy(action: str, state: str, body: Any = None) -> Probe:
    kept = (
        "; INSERT INTO policy_versions (policy_version, unit_code, state, effective_from, content, locks, document, digest, "
        f"author, approver, drafted_at) VALUES ('B1.9', 'B1', '{state}', '2018-06-01', '{{\"tiers\": {{\"key_top_n\"\\: 8}}}}', "
        f"'{{}}', '{_POLICY_FILE['document']}', '', 'x', 'y', now())"
    )
    method = "POST" if action.startswith("/") else "GET"
    path = f"/v1/policies/B1.9{action}" if method == "POST" else "/v1/policies"
    return Probe(method, path, body, shows='"B1.9"', before=_NO_POLICY + kept)


_DEFINITION = {"dataset": "freight", "group": ["month"], "measures": [{"kind": "count"}], "period": {"last_months": 3}}
_SAVED = (
    "INSERT INTO report_definitions (definition_id, version, name, unit_code, owner, shared, format, content, state, created_at, "
    f"changed_at, changed_by) VALUES ('{REPORT}', 1, 'Freight', 'B1', 'somebody', 'unit', 'csv', CAST('"
    + json.dumps(_DEFINITION).replace(":", "\\:")
    + "' AS jsonb), 'active', now(), now(), 'somebody') ON CONFLICT (definition_id) DO UPDATE SET version = 1, state = 'active'"
)
_EXPORTED = (
    f"{_SAVED}; INSERT INTO exports (export_id, definition_id, definition_version, name, unit_code, about_unit, requested_by, "
    f"content, format, state, rows_done, requested_at, attempts, sha256) SELECT '{EXPORT}', definition_id, 1, name, 'B1', 'B1', "
    f"'somebody', content, 'csv', 'done', 0, now(), 1, '' FROM report_definitions WHERE definition_id = '{REPORT}' "
    "ON CONFLICT DO NOTHING"
)
_CHANGE = {"version": 1, "name": "Freight", "shared": "unit", "schedule": None, "format": "csv", "definition": _DEFINITION}

FROZEN, OPEN = (natural_id("report", "maintenance_monthly", "D1", month) for month in ("2018-01", "2018-03"))
EXTRACT = natural_id("extract", "B1", "2018-03")
RECTIFICATION = natural_id("rectification", "of the matrix")
_OPEN_AGAIN = (
    f"DELETE FROM report_snapshots WHERE report_id = '{OPEN}'; UPDATE reports SET state = 'open', snapshot_no = 0, "
    f"frozen_at = NULL, signed_at = NULL WHERE report_id = '{OPEN}'"
)
_TO_MEND = (
    f"DELETE FROM rectifications WHERE rectification_id = '{RECTIFICATION}'; INSERT INTO rectifications (rectification_id, "
    "report_id, unit_code, role, weakness, measure, due_on, state, rounds, opened_by, opened_at) "
    f"VALUES ('{RECTIFICATION}', '{OPEN}', 'B1', 'branch_manager', 'incomplete', 'm', '2018-05-01', '{{}}', 1, 'x', '2018-04-01')"
)


def _report(suffix: str = "", report: Any = FROZEN, method: str = "GET", body: Any = None, before: str = "") -> Probe:
    return Probe(method, f"/v1/reports/{report}{suffix}", body, "D1", before=before)


def _sign(role: Role) -> Probe:
    may = f"UPDATE reports SET state = 'frozen', signed_at = NULL, recipients = recipients || '{{\"sign\"\\:[\"{role}\"]}}'"
    return _report("/signature", method="POST", before=f"{may} WHERE report_id = '{FROZEN}'")


_ORDER = {"unit_code": "B1", "role": "branch_manager", "weakness": "incomplete", "measure": "m", "due_on": "2018-05-01"}
_GRADE = {"role": "district_head", "unit_code": "D1", "grade": "good", "reason": "seen"}
_LIST = {"recipients": [{"role": "branch_manager", "unit_code": "B1"}]}

_ON_COURSE = (
    "INSERT INTO radar_alerts SELECT gen_random_uuid(), 'season', '7551234567', '2018-04-01', 'zero_month', 'open', "
    "'2018-04-12', now(), NULL, now(), 300000, 0, 300000, 90000, 40000, 150000, false, 'branch', '2008-new', 'B1', 'D1', 'B1', 1 "
    "WHERE NOT EXISTS (SELECT FROM radar_alerts WHERE month = '2018-04-01')"
)

PROBES: dict[str, Callable[[Role], Probe]] = {
    "customer.put_units": lambda role: Probe(
        "PUT", "/v1/units", {"items": [{"unit_code": u, "kind": k, "parent_code": p} for u, (k, p) in UNITS.items()]}
    ),
    "customer.list_units": lambda role: Probe("GET", "/v1/units", shows='"unit_code":"B1"'),
    "customer.put_accounts": lambda role: Probe(
        "PUT",
        "/v1/accounts",
        {
            "items": [
                {"account_no": a, "opened_on": "2018-01-01", "branch_code": b, "outlet_code": o} for a, (b, o) in ACCOUNTS.items()
            ]
        },
    ),
    "customer.list_accounts": lambda role: Probe("GET", "/v1/accounts", shows='"7551234567"'),
    "customer.read_account": lambda role: Probe("GET", "/v1/accounts/7551234567"),
    "customer.read_account_360": lambda role: Probe("GET", "/v1/accounts/7551234567/360"),
    "tiering.read_account_freight": lambda role: Probe("GET", "/v1/accounts/7551234567/freight?from=2018-01&to=2018-03"),
    "tiering.read_account_tiers": lambda role: Probe("GET", "/v1/accounts/7551234567/tiers"),
    "tiering.read_standing": lambda role: Probe("GET", "/v1/accounts/7551234567/standing"),
    "tiering.list_concentration": lambda role: Probe("GET", "/v1/concentration", shows='"unit_code":"B1"'),
    "tiering.read_pareto": lambda role: Probe("GET", "/v1/pareto", shows='"7551234567"'),
    "tiering.list_causes": lambda role: Probe("GET", f"/v1/movements/{natural_id('movement', OWN, '2018-02', 1)}/causes"),
    "tiering.judge_cause": lambda role: Probe(
        "POST", f"/v1/causes/{CAUSE}/verdict", {"verdict": "confirmed"}, before="UPDATE movement_causes SET state = 'proposed'"
    ),
    "tiering.read_cause_quality": lambda role: Probe("GET", "/v1/causes/quality?from=2018-02&to=2018-02&unit=B1"),
    "tiering.list_radar": lambda role: Probe("GET", "/v1/radar", shows='"7551234567"', before=_ON_COURSE),
    "tiering.read_radar_quality": lambda role: Probe("GET", "/v1/radar/quality?from=2018-02&to=2018-02&unit=B1"),
    "tiering.list_tiers": lambda role: Probe("GET", "/v1/tiers", shows='"7551234567"'),
    "tiering.list_grades": lambda role: Probe("GET", "/v1/grades", shows='"7551234567"'),
    "tiering.list_movements": lambda role: Probe("GET", "/v1/movements", shows='"7551234567"'),
    "tiering.list_quarter_movements": lambda role: Probe("GET", "/v1/quarter-movements", shows='"7551234567"'),
    "tiering.list_bands": lambda role: Probe("GET", "/v1/bands", shows='"7551234567"'),
    "tiering.list_entitlements": lambda role: Probe("GET", "/v1/entitlements", shows='"7551234567"'),
    "tiering.list_milestones": lambda role: Probe("GET", "/v1/milestones", shows='"7551234567"'),
    "tiering.read_prospect_grade": lambda role: Probe("GET", "/v1/prospect-grades?expected_fen=200000"),
    "tiering.list_policies": lambda role: _policy("", "draft"),
    "tiering.read_policy": lambda role: Probe("GET", "/v1/policies/2008-new"),
    "tiering.read_effective_policy": lambda role: Probe("GET", "/v1/policies/effective"),
    "tiering.check_policy": lambda role: Probe("POST", "/v1/policy-checks", _POLICY_FILE),
    "tiering.draft_policy": lambda role: Probe("POST", "/v1/policies", _POLICY_FILE, before=_NO_POLICY),
    "tiering.try_policy": lambda role: _policy("/trials", "draft", {"from": "2018-02", "to": "2018-03"}),
    "tiering.approve_policy": lambda role: _policy("/approval", "tried"),
    "tiering.publish_policy": lambda role: _policy("/publication", "approved", {}),
    "tiering.read_policy_trial": lambda role: Probe("GET", f"/v1/policy-trials/{_TRIAL}", before=_HAS_TRIAL),
    "tiering.list_policy_trial_branches": lambda role: Probe(
        "GET", f"/v1/policy-trials/{_TRIAL}/branches", shows='"unit_code":"B1"', before=_HAS_TRIAL
    ),
    "tiering.list_policy_trial_accounts": lambda role: Probe(
        "GET", f"/v1/policy-trials/{_TRIAL}/accounts", shows='"7551234567"', before=_HAS_TRIAL
    ),
    "tiering.read_account_why": lambda role: Probe("GET", "/v1/accounts/7551234567/why"),
    "tiering.read_decision": lambda role: Probe("GET", f"/v1/decisions/{DECISION}"),
    "tiering.list_decision_charges": lambda role: Probe("GET", f"/v1/decisions/{DECISION}/charges"),
    "tiering.list_datasets": lambda role: Probe("GET", "/v1/datasets"),
    "tiering.list_report_definitions": lambda role: Probe("GET", "/v1/report-definitions", shows=str(REPORT), before=_SAVED),
    "tiering.create_report_definition": lambda role: Probe(
        "POST", "/v1/report-definitions", {"name": "Freight", "unit_code": "B1", "definition": _DEFINITION}
    ),
    "tiering.read_report_definition": lambda role: Probe("GET", f"/v1/report-definitions/{REPORT}", before=_SAVED),
    "tiering.change_report_definition": lambda role: Probe("PUT", f"/v1/report-definitions/{REPORT}", _CHANGE, before=_SAVED),
    "tiering.archive_report_definition": lambda role: Probe("DELETE", f"/v1/report-definitions/{REPORT}", before=_SAVED),
    "tiering.run_report": lambda role: Probe("POST", f"/v1/report-definitions/{REPORT}/run", before=_SAVED),
    "tiering.create_export": lambda role: Probe("POST", "/v1/exports", {"definition_id": str(REPORT)}, before=_SAVED),
    "tiering.list_exports": lambda role: Probe("GET", "/v1/exports", shows=str(EXPORT), before=_EXPORTED),
    "tiering.read_export": lambda role: Probe("GET", f"/v1/exports/{EXPORT}", before=_EXPORTED),
    "tiering.read_kpis": lambda role: Probe("GET", "/v1/kpis?unit=B1"),
    "tiering.read_service_levels": lambda role: Probe("GET", "/v1/service-levels?unit=B1"),
    "tiering.read_average_amounts": lambda role: Probe("GET", "/v1/average-amounts?unit=B1"),
    "tiering.download_export": lambda role: Probe("GET", f"/v1/exports/{EXPORT}/file", before=_EXPORTED),
    "tiering.list_reports": lambda role: Probe("GET", "/v1/reports", unit="D1", shows=str(FROZEN)),
    "tiering.read_report": lambda role: _report(),
    "tiering.read_report_gaps": lambda role: _report("/gaps"),
    "tiering.read_report_changes": lambda role: _report("/changes"),
    "tiering.read_report_appraisal": lambda role: _report("/appraisal"),
    "tiering.read_report_document": lambda role: _report("/document"),
    "tiering.read_report_file": lambda role: _report("/document.csv"),
    "tiering.freeze_report": lambda role: _report("/freeze", OPEN, "POST", before=_OPEN_AGAIN),
    "tiering.reissue_report": lambda role: _report("/reissue", method="POST"),
    "tiering.sign_report": _sign,
    "tiering.add_report_advice": lambda role: _report("/advice", OPEN, "POST", {"text": "ask"}, _OPEN_AGAIN),
    "tiering.override_report_quality": lambda role: _report("/quality", OPEN, "POST", _GRADE, _OPEN_AGAIN),
    "tiering.open_rectification": lambda role: _report("/rectifications", method="POST", body=_ORDER),
    "tiering.list_rectifications": lambda role: Probe(
        "GET", "/v1/rectifications", shows=str(RECTIFICATION), before=_TO_MEND.format("open")
    ),
    "tiering.fix_rectification": lambda role: Probe(
        "POST", f"/v1/rectifications/{RECTIFICATION}/completion", {"note": "done"}, before=_TO_MEND.format("open")
    ),
    "tiering.verify_rectification": lambda role: Probe(
        "POST",
        f"/v1/rectifications/{RECTIFICATION}/verification",
        {"accepted": True, "note": "holds"},
        before=_TO_MEND.format("fixed"),
    ),
    "tiering.list_extracts": lambda role: Probe("GET", "/v1/extracts", shows=str(EXTRACT)),
    "tiering.read_extract": lambda role: Probe("GET", f"/v1/extracts/{EXTRACT}"),
    "tiering.put_distribution_list": lambda role: Probe("PUT", "/v1/distribution-lists/B1", _LIST),
    "tiering.read_account_scores": lambda role: Probe("GET", "/v1/accounts/7551234567/scores"),
    "tiering.list_early_warnings": lambda role: Probe("GET", "/v1/early-warnings", shows='"7551234567"'),
    "tiering.list_forecast_errors": lambda role: Probe("GET", "/v1/forecast-errors", shows='"B1"'),
    "tiering.list_evaluations": lambda role: Probe("GET", "/v1/evaluations", shows='"7551234567"'),
    "tiering.list_score_models": lambda role: Probe("GET", "/v1/score-models"),
    "retention.list_tasks": lambda role: Probe("GET", "/v1/tasks", unit=_task(role)[1], shows=_task(role)[0]),
    "retention.read_task": lambda role: Probe("GET", f"/v1/tasks/{_task(role)[0]}", unit=_task(role)[1]),
    "retention.claim_task": lambda role: _work(role, "claim"),
    "retention.record_contact": lambda role: _work(role, "contacts", _CONTACT),
    "retention.delegate_task": lambda role: _work(role, "delegations", {"delegate_to": "colleague"}),
    "retention.list_delegations": lambda role: Probe(
        "GET", "/v1/delegations", unit=_task(role)[1], shows=_task(role)[0], before=_DELEGATED.format(*_task(role))
    ),
    "retention.complete_task": lambda role: _work(role, "completion", also=_FULL_CONTACT),
    "tickets.list_tickets": lambda role: Probe("GET", "/v1/tickets", shows=str(TICKET)),
    "tickets.read_ticket": lambda role: Probe("GET", f"/v1/tickets/{TICKET}"),
    "tickets.open_ticket": lambda role: Probe(
        "POST", "/v1/tickets", {"class": "complaint", "account_no": OWN, "text": "late again"}
    ),
    "tickets.assign_ticket": lambda role: Probe("POST", f"/v1/tickets/{TICKET}/assignment", {"assignee": "p-1"}, before=_REOPEN),
    "tickets.resolve_ticket": lambda role: Probe(
        "POST", f"/v1/tickets/{TICKET}/resolution", {"cause_code": "sorting"}, before=_REOPEN
    ),
    "tickets.read_parcel": lambda role: Probe("GET", "/v1/parcels/SF1234567890123"),
}
