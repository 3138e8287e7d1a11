"""Reports as time passes (定期): made at the close, frozen on their day, marked late, and each branch's extract.

On a day on which nothing is due it costs one statement.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.models import ReportRow
from services.tiering.policies.book import Place
from services.tiering.policies.document import Report
from services.tiering.policies.versions import tree
from services.tiering.reports import extracts, snapshots
from services.tiering.reports.calendar import Period, due_at, due_on, period_ending
from services.tiering.reports.kinds import SIGNERS, kind_of
from services.tiering.reports.listing import due_before
from shared import working_days
from shared.clock import business_date
from shared.db import driver
from shared.ids import natural_id
from shared.months import last_day

HOME: Mapping[str, str] = {
    "ops_hq": "hq",
    "cust_mgmt_office": "hq",
    "cs_senior_manager": "district",
    "district_head": "district",
    "planning": "district",
    "analyst": "district",
    "care_rep": "district",
    "branch_manager": "branch",
    "outlet_staff": "outlet",
}
"""The level of the organisation at which a role sits (X-01 to X-10); the care group sits in its district (X-06)."""


async def run(session: AsyncSession, instant: datetime) -> None:
    """Do what the instant asks for: after a close its reports and extracts, then what is due, then what is late."""
    found = await (await driver(session)).fetchrow(_ASKED, instant, business_date(instant))
    units = await tree(session) if found["months"] else {}
    for month in found["months"] or ():
        await create(session, month, instant, units)
        await extracts.take(session, month, instant, units)
    if found["months"] or found["due"]:
        await _freeze_due(session, instant)
        await snapshots.mark_late(session, instant)


async def create(session: AsyncSession, month: date, instant: datetime, units: Mapping[str, Place]) -> None:
    """Open the reports of every period that ends with a month: one per type of the policy and unit of its level."""
    policy = (await policies.in_force(session, last_day(month))).base
    asked = [(report, period) for report in policy.reports for period in [period_ending(report.period, month)] if period]
    days = [due_on(period, report.due_day) for report, period in asked]
    if not asked:
        return
    calendar = await working_days.load(session, min(days), max(days))
    rows = []
    for (report, period), day in zip(asked, days, strict=True):
        rest = not calendar.is_working(day)
        rows += list(_rows(report, period, day, rest, policy.policy_version, units))
    await (await driver(session)).execute(_CREATE, orjson.dumps(rows).decode(), instant)


def recipients_of(roles: Sequence[str], unit: Place, units: Mapping[str, Place]) -> list[dict[str, str]]:
    """Return where in the organisation tree the people of these roles sit, seen from a unit.

    A role that sits above the unit, or at its level, is found on the way to the root; one that sits below it is found in every
    such unit below. A role without a place in this tree gets it at the unit itself.
    """
    found: list[dict[str, str]] = []
    for role in roles:
        level = HOME.get(role, unit.kind)
        above = [code for code in unit.path if units[code].kind == level]
        below = sorted(place.unit_code for place in units.values() if place.kind == level and unit.unit_code in place.path)
        found += [{"role": role, "unit_code": code} for code in (above[-1:] or below or [unit.unit_code])]
    return found


def _rows(
    report: Report, period: Period, day: date, rest: bool, policy_version: str, units: Mapping[str, Place]
) -> Iterator[dict[str, Any]]:
    for unit in sorted((place for place in units.values() if place.kind == report.level), key=lambda place: place.unit_code):
        yield {
            "report_id": natural_id("report", report.type, unit.unit_code, period.text),
            "report_type": report.type,
            "title": report.title or kind_of(report.type).title,
            "unit_code": unit.unit_code,
            "level": report.level,
            "period_kind": period.kind,
            "period": period.first,
            "period_text": period.text,
            "due_on": day,
            "due_at": due_at(day),
            "rest_day": rest,
            "policy_version": policy_version,
            "visible_to": report.visible_to,
            "recipients": {
                "to": recipients_of(report.to, unit, units),
                "cc": recipients_of(report.cc, unit, units),
                "sign": list(report.sign or SIGNERS.get(report.level, ("analyst",))),
            },
        }


async def _freeze_due(session: AsyncSession, instant: datetime) -> None:
    """Freeze what is due today, or was due while the service stood still; one report is one statement's snapshot."""
    query = select(ReportRow).where(due_before(business_date(instant))).order_by(ReportRow.due_on, ReportRow.report_id)
    for report in (await session.execute(query.with_for_update())).scalars().all():
        await snapshots.take(session, report, instant, "due")


_ASKED = (
    "SELECT (SELECT array_agg(month ORDER BY month) FROM month_closes WHERE closed_at = $1 AND state = 'closed') "
    "AS months, "
    "EXISTS (SELECT FROM reports WHERE (state = 'open' AND due_on <= $2) "
    "OR (state = 'frozen' AND NOT late AND due_at <= $1)) AS due"
)
_CREATE = """
INSERT INTO reports (report_id, report_type, title, unit_code, level, period_kind, period, period_text, due_on, due_at, rest_day,
                     policy_version, visible_to, recipients, state, late, created_at, snapshot_no)
SELECT r.*, 'open', false, $2, 0
FROM jsonb_to_recordset(CAST($1 AS jsonb)) AS r (
    report_id uuid, report_type text, title text, unit_code text, level text, period_kind text, period date, period_text text,
    due_on date, due_at timestamptz, rest_day boolean, policy_version text, visible_to text, recipients jsonb)
ORDER BY r.report_id
ON CONFLICT DO NOTHING"""
