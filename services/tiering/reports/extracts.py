"""Extracts (分层与异动信息提取): what each branch is sent after a close, and to whom (T-37, the analyst's first duty, X-09).

One statement takes the extracts of all branches: who is VIP and key, how many accounts each tier and grade has, whose tier or
grade moved, and the movements that were detected. They stay as they were taken.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import DistributionList, Extract
from services.tiering.policies.book import Place
from shared.clock import business_now
from shared.db import driver
from shared.directory import in_subtree
from shared.events.reports import ReportIssued
from shared.ids import natural_id
from shared.months import add_months, month_text, parse_month, quarter_start
from shared.outbox import publish
from shared.paging import PageRequest, paged
from shared.problems import NotFound

DEFAULT_ROLES = ("branch_manager", "district_head", "care_rep")
"""Who gets a branch's extract where nobody has said otherwise (ours): who maintains its accounts."""


async def take(session: AsyncSession, month: date, instant: datetime, units: Mapping[str, Place]) -> None:
    """Take the extract of every branch for a closed month, and announce each with its recipients."""
    # The planner takes the decisions of a month just closed for one row each, and would join them row by row with each other.
    await session.execute(_NO_LOOPS)
    rows = (
        await session.execute(
            _TAKE,
            {
                "month": month,
                "previous": add_months(month, -1),
                "quarter_month": _tier_month(month),
                "quarter_before": add_months(_tier_month(month), -3),
                "quarter": quarter_start(month),
                "instant": instant,
            },
        )
    ).all()
    await session.execute(_LOOPS)
    lists = {row.unit_code: row.recipients for row in (await session.execute(select(DistributionList))).scalars()}
    written = []
    for row in rows:
        content = orjson.loads(row.content) if isinstance(row.content, str) else row.content
        recipients = lists.get(row.unit_code) or _default(units[row.unit_code], units)
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
        extract_id = natural_id("extract", row.unit_code, month_text(month))
        written.append((extract_id, row.unit_code, recipients, digest, content))
        publish(session, _event(extract_id, row.unit_code, month, digest, recipients, instant))
    await _write(session, month, instant, written)


async def list_extracts(session: AsyncSession, unit: str, page: PageRequest, month: str | None = None) -> dict[str, Any]:
    """List the extracts of a unit's subtree by month and branch, without their content."""
    row = Extract
    query = select(row.extract_id, row.unit_code, row.month, row.extracted_at, row.recipients, row.digest)
    query = query.where(in_subtree(row.unit_code, unit))
    if month is not None:
        query = query.where(row.month == parse_month(month))
    if page.after is not None:
        query = query.where(tuple_(row.month, row.unit_code) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.month, row.unit_code).limit(page.limit + 1))
    answer = paged(found.all(), page, lambda item: (item.month, item.unit_code))
    return {**answer, "items": [{**item, "month": month_text(item["month"])} for item in answer["items"]]}


async def read_extract(session: AsyncSession, extract_id: UUID) -> dict[str, Any]:
    """Return an extract with its content. Raises NotFound."""
    found = await session.get(Extract, extract_id)
    if found is None:
        raise NotFound("extract", extract_id)
    names = ("extract_id", "unit_code", "extracted_at", "recipients", "digest", "content")
    return {**{name: getattr(found, name) for name in names}, "month": month_text(found.month)}


async def put_distribution(
    session: AsyncSession, actor: str, unit_code: str, recipients: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Say to whom a branch's extract goes from now on. Raises NotFound for a unit that is none of the caller's branches."""
    known = await session.execute(_BRANCH, {"unit": unit_code})
    if known.first() is None:
        raise NotFound("branch", unit_code)
    stored = await session.merge(
        DistributionList(
            unit_code=unit_code,
            recipients=[dict(one) for one in recipients],
            recorded_by=actor,
            recorded_at=await business_now(session),
        )
    )
    await session.flush()
    return {"unit_code": unit_code, "recipients": stored.recipients}


def _default(unit: Place, units: Mapping[str, Place]) -> list[dict[str, str]]:
    levels = {"branch_manager": "branch", "district_head": "district", "care_rep": "district"}
    places = {role: [code for code in unit.path if units[code].kind == levels[role]] for role in DEFAULT_ROLES}
    return [{"role": role, "unit_code": (places[role] or [unit.unit_code])[-1]} for role in DEFAULT_ROLES]


def _tier_month(month: date) -> date:
    return month if month.month % 3 == 0 else add_months(quarter_start(month), -1)


def _event(
    extract_id: UUID, unit_code: str, month: date, digest: str, recipients: Sequence[Mapping[str, str]], instant: datetime
) -> ReportIssued:
    return ReportIssued(
        report_id=extract_id,
        report_type="tier_extract",
        unit_code=unit_code,
        period=month_text(month),
        state="frozen",
        snapshot_id=extract_id,
        digest=digest,
        due_on=None,
        late=False,
        to=tuple(recipients),  # type: ignore[arg-type]
        cc=(),
        issued_at=instant,
    )


async def _write(session: AsyncSession, month: date, instant: datetime, rows: Sequence[tuple[Any, ...]]) -> None:
    await (await driver(session)).execute(
        _INSERT,
        month,
        instant,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [orjson.dumps(row[2]).decode() for row in rows],
        [row[3] for row in rows],
        [orjson.dumps(row[4]).decode() for row in rows],
    )


_NO_LOOPS = text("SET LOCAL enable_nestloop = off")
_LOOPS = text("SET LOCAL enable_nestloop TO DEFAULT")
_BRANCH = text(
    "SELECT 1 FROM units u WHERE u.unit_code = :unit AND u.kind = 'branch' AND (current_setting('crm.everything', true) = 'on' "
    "OR EXISTS (SELECT FROM unit_ancestors a WHERE a.unit_code = u.unit_code "
    "AND a.ancestor_code = current_setting('crm.unit', true)))"
)
# The day's re-judging ran between the close and us: what the close found and it withdrew again is no news for anybody.
_TAKE = text("""
WITH held AS (
    SELECT d.account_no, d.branch_code, d.grade, p.grade AS grade_before, q.service_tier, q.rank,
           CASE WHEN q.month = :month THEN w.service_tier ELSE q.service_tier END AS tier_before
    FROM decisions d LEFT JOIN decisions p ON p.month = :previous AND p.account_no = d.account_no
         LEFT JOIN decisions q ON q.month = :quarter_month AND q.account_no = d.account_no
         LEFT JOIN decisions w ON w.month = :quarter_before AND w.account_no = d.account_no
    WHERE d.month = :month AND d.branch_code IS NOT NULL
), tiers AS (
    SELECT branch_code, json_build_object(
        'accounts', count(*),
        'tiers', json_build_object('vip', count(*) FILTER (WHERE service_tier = 'vip'),
                                   'key', count(*) FILTER (WHERE service_tier = 'key'),
                                   'general', count(*) FILTER (WHERE service_tier = 'general')),
        'grades', json_build_object('diamond', count(*) FILTER (WHERE grade = 'diamond'),
                                    'gold', count(*) FILTER (WHERE grade = 'gold'),
                                    'silver', count(*) FILTER (WHERE grade = 'silver')),
        'named', coalesce(json_agg(json_build_object('account_no', account_no, 'service_tier', service_tier, 'rank', rank)
                                   ORDER BY service_tier DESC, rank, account_no)
                          FILTER (WHERE service_tier IN ('vip', 'key')), '[]'),
        'moved', coalesce(json_agg(json_build_object('account_no', account_no, 'tier_before', tier_before,
                                   'service_tier', service_tier, 'grade_before', grade_before, 'grade', grade)
                                   ORDER BY account_no)
                          FILTER (WHERE grade <> grade_before OR service_tier <> tier_before), '[]')) AS held
    FROM held GROUP BY branch_code
), moves AS (
    SELECT branch_code, json_agg(json_build_object('movement_id', movement_id, 'account_no', account_no,
               'period', period, 'kind', kind, 'previous_fen', previous_fen, 'current_fen', current_fen,
               'service_tier', service_tier) ORDER BY account_no, period) AS movements
    FROM (SELECT branch_code, movement_id, account_no, to_char(month, 'YYYY-MM') AS period, kind, previous_fen, current_fen,
                 service_tier FROM movements WHERE month = :month AND detected_at = :instant AND state = 'open'
          UNION ALL
          SELECT branch_code, movement_id, account_no, to_char(quarter, 'YYYY-"Q"Q'), kind, previous_fen, current_fen,
                 service_tier
          FROM quarter_movements WHERE quarter = :quarter AND detected_at = :instant) AS detected GROUP BY branch_code
)
SELECT t.branch_code AS unit_code, json_build_object('held', t.held, 'movements', coalesce(m.movements, '[]'))::text AS content
FROM tiers t JOIN units u ON u.unit_code = t.branch_code LEFT JOIN moves m ON m.branch_code = t.branch_code
WHERE NOT EXISTS (SELECT FROM extracts e WHERE e.unit_code = t.branch_code AND e.month = :month)
ORDER BY t.branch_code""")
_INSERT = """
INSERT INTO extracts (extract_id, unit_code, month, extracted_at, recipients, digest, content)
SELECT e.extract_id, e.unit_code, $1, $2, e.recipients::jsonb, e.digest, e.content::jsonb
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[]) AS e (extract_id, unit_code, recipients, digest, content)
ORDER BY e.unit_code
ON CONFLICT DO NOTHING"""
