"""Movements (异动): months that fell by more than half or had no freight, found at the close; their list and their events.

How restated totals change them later is in `restatement`, the rule itself in `policy`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import matrix, readings
from services.tiering.deciding_sql import DIGEST, INSTANT, MONTHS_BETWEEN
from services.tiering.decisions import last_decided_quarter
from services.tiering.matrix import MATRIX, responsible
from services.tiering.models import MovementRow
from services.tiering.placement import DISTRICTS, PLACED_ONE, ROOT_UNIT
from services.tiering.policies.book import PolicyBook, number, numbers_cte
from shared.clock import business_date
from shared.directory import in_subtree
from shared.events.tiering import MovementDetected, MovementState
from shared.months import add_months, month_text, parse_month, quarter_start
from shared.outbox import publish_query
from shared.paging import PageRequest, paged


async def detect(session: AsyncSession, month: date, instant: datetime, book: PolicyBook, *, on_trial: bool = False) -> None:
    """Find the movements of a month that is being closed, among all accounts with totals; on trial, those that `prepare` found.

    An account is judged also in months before its opening, by the numbers of the branch that it was decided in.
    Source: T-22, T-23, T-27.
    """
    wide = "" if on_trial else f"recent AS ({_recent(month)}), {_KINDS}, {_WIDE_AT_CLOSE}, "
    opened = _open(on_trial=True) if on_trial else OPEN_FOUND
    await session.execute(
        text(f"WITH {numbers_cte(*_NUMBERS)}, {wide}{_FOUND}, {opened}"),
        {**_widest(month, [book]), **book.params(*_NUMBERS), **opening(instant, month, book)},
    )


async def prepare(session: AsyncSession, month: date, instant: datetime, books: Sequence[PolicyBook]) -> None:
    """Fill the session's own table `wide`: what any of these policies may find a movement in, and where those accounts stand.

    The accounts that the month's close judges stand in `judged` already.
    """
    params = {**_widest(month, books), "day": business_date(instant)}
    await session.execute(text(f"INSERT INTO pg_temp.wide ({WIDE_COLUMNS}) {_wide_on_trial(month)}"), params)


def _widest(month: date, books: Sequence[PolicyBook]) -> dict[str, Any]:
    """Return the parameters of `recent`, which looks back as far as any branch's numbers do, and those widest numbers."""
    numbers = [book.params(*_NUMBERS) for book in books]
    raised = max(max([one["zero_months_raised"], *one["branch_zero_months_raised"]]) for one in numbers)
    percent = min(min([one["fall_over_percent"], *one["branch_fall_over_percent"]]) for one in numbers)
    back = max(raised, 1)
    quarters = {"quarter": quarter_start(month), "first_quarter": quarter_start(add_months(month, -back))}
    previous = {"quarter_of_previous": quarter_start(add_months(month, -1))}
    return {"month": month, "back": back, **quarters, **previous, "most_raised": raised, "least_percent": percent}


def publish_detected(session: AsyncSession, month: date, instant: datetime) -> None:
    """Publish the movements that a close found."""
    publish(session, MovementDetected, "m.month = :month AND m.detected_at = :instant", {"month": month, "instant": instant})


def opening(instant: datetime, last_closed: date, book: PolicyBook, known_seq: int | None = None) -> dict[str, Any]:
    """Return the parameters of OPEN_FOUND: tier in force after this run, where accounts stand on its day, who answers.

    `known_seq` is the ledger point up to which charges were known; without it that of the close.
    """
    day, quarter_month = business_date(instant), last_decided_quarter(last_closed)
    days = {"instant": instant, "day": day, "quarter_month": quarter_month, "last_closed": last_closed}
    return {**days, "known_seq": known_seq, **matrix.params(book)}


def publish(session: AsyncSession, event: type[MovementState], condition: str, params: Mapping[str, Any]) -> None:
    """Publish the state of each movement `m` that fulfils the condition."""
    publish_query(session, event, f"{_state_of(event)} WHERE {condition} ORDER BY m.account_no, m.month, m.revision", params)


async def list_movements(
    session: AsyncSession,
    unit: str,
    page: PageRequest,
    *,
    month: str | None = None,
    kind: str | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """List the movements of a unit's subtree (as of their detection), by account, month and revision."""
    row = MovementRow
    query = select(row).where(in_subtree(row.unit_code, unit))
    if month is not None:
        query = query.where(row.month == parse_month(month))
    if kind is not None:
        query = query.where(row.kind == kind)
    if state is not None:
        query = query.where(row.state == state)
    if page.after is not None:
        query = query.where(tuple_(row.account_no, row.month, row.revision) > tuple_(*page.after))
    found = await session.execute(query.order_by(row.account_no, row.month, row.revision).limit(page.limit + 1))
    answer = paged(found.scalars().all(), page, lambda item: (item.account_no, item.month, item.revision))
    said = await readings.of_movements(session, [item.movement_id for item in answer["items"]])
    return {**answer, "items": [_item(item) | said[item.movement_id] for item in answer["items"]]}


async def find_by_decision(session: AsyncSession, decision_id: UUID) -> MovementRow | None:
    """Return the movement that a decision was taken for, where the caller may see it."""
    return (await session.execute(select(MovementRow).where(MovementRow.decision_id == decision_id))).scalar_one_or_none()


async def open_movements(session: AsyncSession, account_no: str) -> Sequence[MovementRow]:
    """Return an account's open movements, newest month first."""
    query = select(MovementRow).where(MovementRow.account_no == account_no, MovementRow.state == "open")
    return (await session.execute(query.order_by(MovementRow.month.desc()))).scalars().all()


def _item(row: MovementRow) -> dict[str, Any]:
    names = (
        "movement_id account_no branch_code kind zero_months previous_fen current_fen state detected_at decision_id priority "
        "responsible_role responsible_unit in_person assist"
    )
    return {**{name: getattr(row, name) for name in names.split()}, "month": month_text(row.month)}


KIND = """
CASE WHEN j.zero_months BETWEEN 1 AND {raised} THEN 'zero_month'
     WHEN j.previous_fen > 0 AND j.current_fen > 0
          AND (j.previous_fen - j.current_fen)::numeric * 100 > j.previous_fen::numeric * {percent} THEN 'fall_over_half' END"""
"""SQL of `policy.movement_for`, for a row `j` that says how many months ago the last freight was (0: this month)."""

_NUMBERS = ("policy_version", "fall_over_percent", "zero_months_raised")


def _recent(month: date) -> str:
    """Return SQL of each account's freight in a month and the one before, and how many months ago, at most `back`, it had any.

    It reads the rows of quarters as they are (each has `begun` so many months ago): to make three months of each takes twice as
    long where a million accounts close.
    """
    current, previous = (f"fen_{one.month - quarter_start(one).month + 1}" for one in (month, add_months(month, -1)))
    return f"""
    SELECT account_no, coalesce(max({current}) FILTER (WHERE quarter = :quarter), 0) AS current_fen,
           coalesce(max({previous}) FILTER (WHERE quarter = :quarter_of_previous), 0) AS previous_fen,
           min(months_ago) FILTER (WHERE months_ago <= :back) AS zero_months
    FROM (
        SELECT q.*, CASE WHEN fen_3 > 0 AND begun >= 2 THEN begun - 2 WHEN fen_2 > 0 AND begun >= 1 THEN begun - 1
                         WHEN fen_1 > 0 THEN begun END AS months_ago
        FROM (SELECT *, {MONTHS_BETWEEN.format(later="CAST(:month AS date)", earlier="quarter")} AS begun
              FROM quarter_sums WHERE quarter BETWEEN :first_quarter AND :quarter) AS q
    ) AS z GROUP BY account_no"""


# Few accounts are found by the widest numbers of all branches; only those are asked which branch's numbers are theirs.
_KINDS = f"""kinds AS (
    SELECT j.*, {KIND.format(raised="CAST(:most_raised AS integer)", percent="CAST(:least_percent AS integer)")} AS wide_kind
    FROM recent j
)"""

# Decisions are looked up one by one (OFFSET 0): the planner takes a month that was just decided for one row, and reads it whole.
# Not on trial: there decisions have no index, and their tables are analyzed.
_WIDE_AT_CLOSE = """wide AS (
    SELECT j.*, d.branch_code AS decided_branch
    FROM kinds j
         LEFT JOIN LATERAL (SELECT branch_code FROM decisions WHERE month = :month AND account_no = j.account_no OFFSET 0) d
             ON true
    WHERE j.wide_kind IS NOT NULL OFFSET 0
)"""

WIDE_COLUMNS = "account_no, current_fen, previous_fen, zero_months, decided_branch, branch_code, outlet_code, district_code"


def _wide_on_trial(month: date) -> str:
    return f"""
WITH {DISTRICTS}, recent AS ({_recent(month)}), {_KINDS}
SELECT j.account_no, j.current_fen, j.previous_fen, j.zero_months, a.branch_code AS decided_branch, p.branch_code, p.outlet_code,
       d.district_code
FROM kinds j LEFT JOIN judged a ON a.account_no = j.account_no
     LEFT JOIN {PLACED_ONE.format(account="j.account_no")} AS p ON true LEFT JOIN districts d ON d.branch_code = p.branch_code
WHERE j.wide_kind IS NOT NULL"""


_FOUND = f"""found AS (
    SELECT * FROM (
        SELECT j.account_no, CAST(:month AS date) AS month, 1 AS revision, j.zero_months, j.previous_fen, j.current_fen,
               {KIND.format(raised=number("zero_months_raised"), percent=number("fall_over_percent"))} AS kind,
               {number("policy_version")} AS policy_version
        FROM wide j LEFT JOIN numbers n ON n.unit_code = j.decided_branch
        OFFSET 0
    ) AS judged_as WHERE kind IS NOT NULL
)"""

_COLUMNS = """
    account_no, month, revision, kind, zero_months, previous_fen, current_fen, decided_previous_fen, decided_current_fen, state,
    detected_at, judged_at, policy_version, service_tier, branch_code, district_code, outlet_code, unit_code, version, priority,
    responsible_role, responsible_unit, in_person, assist"""

_TRIED_COLUMNS = "account_no, kind, branch_code, responsible_role"
"""What policies are compared by."""

_NAMED = f""", natural_id('movement/' || account_no || '/' || to_char(month, 'YYYY-MM') || '/' || revision),
       natural_id('movement-decision/' || account_no || '/' || to_char(month, 'YYYY-MM') || '/' || revision),
       {DIGEST.format("o")},
       coalesce(CAST(:known_seq AS bigint), (SELECT c.known_seq FROM month_closes c WHERE c.month = :last_closed))"""

_STANDS = f"""LEFT JOIN {PLACED_ONE.format(account="f.account_no")} AS p ON true
         LEFT JOIN districts d ON d.branch_code = p.branch_code"""
_STANDS_ON_TRIAL = "JOIN wide p ON p.account_no = f.account_no CROSS JOIN LATERAL (SELECT p.district_code) AS d"


def _open(*, on_trial: bool) -> str:
    """Return the statement after the CTE `found`; on trial, where those accounts stand has been found, and little is kept."""
    kept = _TRIED_COLUMNS if on_trial else _COLUMNS
    return f"""{MATRIX}, opened AS (
    SELECT f.account_no, f.month, f.revision, f.kind, CASE WHEN f.kind = 'zero_month' THEN f.zero_months END AS zero_months,
           f.previous_fen, f.current_fen, f.previous_fen AS decided_previous_fen, f.current_fen AS decided_current_fen,
           'open' AS state, CAST(:instant AS timestamptz) AS detected_at, CAST(:instant AS timestamptz) AS judged_at,
           f.policy_version, here.service_tier, here.branch_code, here.district_code, here.outlet_code,
           coalesce(here.outlet_code, here.branch_code, {ROOT_UNIT}) AS unit_code, 1 AS version, here.priority,
           who.responsible_role, who.responsible_unit, who.in_person, who.assist
    FROM found f
         LEFT JOIN LATERAL (SELECT service_tier, quarter_fen, focus_from_fen FROM decisions
                            WHERE month = :quarter_month AND account_no = f.account_no {"" if on_trial else "OFFSET 0"}) t ON true
         {_STANDS_ON_TRIAL if on_trial else _STANDS}
         CROSS JOIN LATERAL (
             SELECT coalesce(t.service_tier, 'general') AS service_tier, p.branch_code, p.outlet_code, d.district_code,
                    coalesce(t.quarter_fen >= 3 * t.focus_from_fen, false) AS priority) AS here
         CROSS JOIN {responsible("f.kind", "here.service_tier", "here")} AS who
    OFFSET 0
)
INSERT INTO movements ({kept}{"" if on_trial else ", movement_id, decision_id, digest, known_seq"})
SELECT {kept}{"" if on_trial else _NAMED}
FROM opened o ORDER BY account_no, month"""


OPEN_FOUND = f"{DISTRICTS}, {_open(on_trial=False)}"
"""Opens what a CTE `found` lists, with the tier in force and the place of the account on the run's day (see `opening`)."""


def _state_of(event: type[MovementState]) -> str:
    instants = ", ".join(f"'{name}', {INSTANT.format(f'm.{name}')}" for name in ("detected_at", "judged_at"))
    plain = (
        "movement_id account_no revision kind zero_months previous_fen current_fen decided_previous_fen decided_current_fen "
        "state withdrawn_reason decision_id service_tier branch_code district_code outlet_code version priority in_person assist"
    )
    fields = ", ".join(f"'{name}', m.{name}" for name in plain.split())
    return f"""
SELECT m.account_no AS key, natural_id('{event.TYPE}/' || m.movement_id || '/' || m.version) AS event_id,
       json_build_object({fields}, 'month', to_char(m.month, 'YYYY-MM'), 'role', m.responsible_role,
                         'unit_code', m.responsible_unit, {instants}) AS data
FROM movements m"""
