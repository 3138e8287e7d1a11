"""The radar (异动雷达): who is on course for a fall or a month without freight, days before the month ends (T-29).

A charge can only take an account off its course, never put it on it; what puts it there is time that passes without charges. So
each account is judged once a day, at 00:30, and an alert keeps the amount from which it no longer holds: a reader compares it
with the month's total of this second, and the next morning's run writes it down. Nothing is done per charge.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

from sqlalchemy import case, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import paces, policies, season
from services.tiering.models import MonthTotal, RadarAlert
from services.tiering.placement import ROOT_UNIT
from services.tiering.policies.document import Radar
from services.tiering.season import FLAT
from services.tiering.standing import DOUBT
from shared.clock import business_date, business_now
from shared.db import driver
from shared.directory import in_subtree
from shared.events.envelope import Event
from shared.events.radar import RadarCleared, RadarRaised
from shared.months import last_day, month_text, parse_month
from shared.outbox import publish_query
from shared.paging import PageRequest, paged


class Course(NamedTuple):
    """Where a month is heading: to what amount, from which one on it would be well, and what is raised about it, if anything."""

    projected_fen: int
    clear_from_fen: int
    kind: str | None
    season_explained: bool


def judge(previous_fen: int, to_date_fen: int, expected_fen: int, expected_charges: int, share: float, radar: Radar) -> Course:
    """Hold a month to date against its pace; the set-based SQL of the daily run says the same.

    The days left are expected to bring what the season says, times how the days so far have done against it, with doubt. On
    course for a fall is a projection below what the rule of the fall allows, by more than chance explains: charges still to come
    scatter, those of an account with few charges most, and so does what so few due ones say of its pace. For a zero month it is
    nothing at all. Nothing is said where too little of the month was due yet; nor where fewer charges were due than the policy
    asks for, unless the season itself lets expect the fall.
    """
    due = expected_fen * share
    pace = (expected_fen - due) / (due + DOUBT * expected_fen) if expected_fen else 0.0
    projected = to_date_fen + pace * (to_date_fen + DOUBT * expected_fen)
    well = previous_fen * (100 - radar.fall_percent) / 100
    due_charges = expected_charges * share
    to_come = pace * (well + DOUBT * expected_fen) / (1 + pace)  # of a month that ends exactly there
    scatter = sqrt(to_come * (2 * expected_fen / max(1, expected_charges)) + to_come * to_come / (due_charges + 1))
    clear_from = max(0, ceil((well - pace * DOUBT * expected_fen - sureness(radar) * scatter) / (1 + pace)))
    by_season = (previous_fen - expected_fen) * 100 > previous_fen * radar.fall_percent
    sayable = share * 100 >= radar.from_share_percent and (by_season or due_charges >= radar.least_charges)
    on_course = previous_fen > 0 and sayable and to_date_fen < clear_from
    kind = ("zero_month" if to_date_fen == 0 else "fall_over_half") if on_course else None
    projected_fen = round(projected)
    return Course(projected_fen, clear_from, kind, season.explains(expected_fen, projected_fen, radar.fall_percent))


def sureness(radar: Radar) -> float:
    """Return by how many standard deviations a projection must lie below the line, so that chance leaves it there this often."""
    return NormalDist().inv_cdf(radar.from_probability_percent / 100)


async def run(session: AsyncSession, instant: datetime) -> None:
    """Keep the paces of last night, prepare a month that begins, and judge every account of the running month."""
    today = business_date(instant)
    yesterday = today - timedelta(days=1)
    month = today.replace(day=1)
    await paces.keep(session, yesterday)
    await paces.prepare(session, month)
    if month <= yesterday:
        await _judge_all(session, month, yesterday, instant)


async def list_alerts(
    session: AsyncSession, unit: str, page: PageRequest, *, month: str | None = None, state: str | None = None
) -> dict[str, Any]:
    """List the alerts of a month (without one the running one) in a unit's subtree, by account.

    An alert that a charge of this second takes back is shown as cleared, though its record says so only from the next morning.
    """
    wanted = parse_month(month) if month else business_date(await business_now(session)).replace(day=1)
    now_fen = case((MonthTotal.amount_fen.is_(None), 0), else_=MonthTotal.amount_fen)
    shown = case((now_fen >= RadarAlert.clear_from_fen, "cleared"), else_=RadarAlert.state)
    query = (
        select(RadarAlert, now_fen.label("now_fen"), shown.label("shown"))
        .outerjoin(MonthTotal, (MonthTotal.account_no == RadarAlert.account_no) & (MonthTotal.month == RadarAlert.month))
        .where(RadarAlert.month == wanted, RadarAlert.rule == "season", in_subtree(RadarAlert.unit_code, unit))
    )
    if state is not None:
        query = query.where(shown == state)
    if page.after is not None:
        query = query.where(RadarAlert.account_no > page.after[0])
    found = (await session.execute(query.order_by(RadarAlert.account_no).limit(page.limit + 1))).all()
    return paged([_item(row.RadarAlert, row.now_fen, row.shown) for row in found], page, lambda item: (item["account_no"],))


def _item(row: RadarAlert, now_fen: int, state: str) -> dict[str, Any]:
    names = (
        "alert_id account_no branch_code kind raised_on raised_at judged_at previous_fen to_date_fen expected_fen "
        "expected_to_date_fen projected_fen clear_from_fen season_explained basis policy_version"
    )
    days_left = (last_day(row.month) - row.raised_on).days + 1
    item = {name: getattr(row, name) for name in names.split()}
    return item | {"month": month_text(row.month), "state": state, "now_fen": now_fen, "lead_days": days_left}


async def _judge_all(session: AsyncSession, month: date, yesterday: date, instant: datetime) -> None:
    """Judge all accounts by two rules: their seasonal pace, and the calendar's days alone, which it is measured against."""
    book = await policies.in_force(session, yesterday)
    seasons = await paces.read_seasons(session, month)
    branches = sorted({*seasons.of_branch, *book.units})
    days_left = (last_day(month) - yesterday).days
    leads = season.lead_weights(month, yesterday)
    rows = [
        (rule, branch, *_numbers(book.of(branch), season.share(month, yesterday, of), days_left), sure * sureness(radar))
        for branch in [None, *branches]
        for radar in [book.of(branch).radar]
        for rule, of, sure in (("season", seasons.of(branch), 1), ("flat", FLAT, 0))
    ]
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True))
    connection = await driver(session)
    # Statistics know nothing of a month that has just begun: a plan for its "one row" reads all alerts once for each account.
    await connection.execute("SET LOCAL enable_nestloop = off; SET LOCAL plan_cache_mode = force_generic_plan")
    moved = await connection.fetchrow(_JUDGE, month, yesterday + timedelta(days=1), instant, [*leads], *map(list, columns))
    await connection.execute("SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL plan_cache_mode TO DEFAULT")
    for event, happened in ((RadarRaised, "raised"), (RadarCleared, "cleared")):
        if moved[happened]:
            publish_query(session, event, _EVENT[event], {"month": month, "instant": instant})


def _numbers(policy: policies.PolicyDocument, share: float, days_left: int) -> tuple[Any, ...]:
    radar = policy.radar
    raises = days_left >= radar.days_before_end and policy.movements.judged
    return share, radar.fall_percent, radar.from_share_percent, radar.least_charges, raises, policy.policy_version


# `judge` for all accounts and both rules; says whether the season's rule raised or cleared anything. The flat rule expects the
# month before again, whatever the season, and raises whatever is projected below the line; what stands of it is only counted, so
# it is not written again. Alerts are raised until some days before the month's end; those that stand are judged on to its last
# day. Each step is computed once and kept: the planner would put one step's formula into the next wherever it is named, and
# reckon for an account what it has reckoned a hundred times.
_JUDGE = f"""
WITH numbers AS (
    SELECT * FROM unnest($5::text[], $6::text[], $7::float8[], $8::integer[], $9::integer[], $10::integer[], $11::boolean[],
                         $12::text[], $13::float8[])
        AS n (rule, branch_code, share, fall_percent, from_share_percent, least_charges, raises, policy_version, sureness)
), base AS (
    SELECT *, CASE WHEN rule = 'flat' THEN ARRAY[0, 0, 0]::float8[] ELSE $4::float8[] END AS weights
    FROM numbers WHERE branch_code IS NULL
), judged AS MATERIALIZED (
    SELECT base.rule, b.account_no, b.previous_fen, coalesce(t.amount_fen, 0) AS to_date_fen, a.branch_code, a.district_code,
           coalesce(a.unit_code, {ROOT_UNIT}) AS unit_code,
           CASE WHEN base.rule = 'flat' THEN b.previous_fen ELSE b.expected_fen END AS expected_fen,
           CASE WHEN base.rule = 'flat' THEN 1000 ELSE b.expected_charges END AS expected_charges,
           CASE WHEN base.rule = 'flat' THEN 'calendar' ELSE b.basis END AS basis,
           CASE WHEN base.rule = 'flat' THEN 0::float8 ELSE {DOUBT}::float8 END AS doubt,
           least(1, greatest(0.001, coalesce(n.share, base.share) + b.leads[1] * base.weights[1]
                                    + b.leads[2] * base.weights[2] + b.leads[3] * base.weights[3])) AS share,
           coalesce(n.fall_percent, base.fall_percent) AS fall_percent,
           coalesce(n.from_share_percent, base.from_share_percent) AS from_share_percent,
           coalesce(n.least_charges, base.least_charges) AS least_charges,
           coalesce(n.raises, base.raises) AS raises, coalesce(n.policy_version, base.policy_version) AS policy_version,
           coalesce(n.sureness, base.sureness) AS sureness, coalesce(o.state = 'open', false) AS stands, o.alert_id
    FROM month_baselines b CROSS JOIN base
         LEFT JOIN month_totals t ON t.account_no = b.account_no AND t.month = $1 AND t.quarter BETWEEN $1 - 62 AND $1
         LEFT JOIN accounts a ON a.account_no = b.account_no
         LEFT JOIN numbers n ON n.rule = base.rule AND n.branch_code = a.branch_code
         LEFT JOIN radar_alerts o ON o.month = $1 AND o.account_no = b.account_no AND o.rule = base.rule
    WHERE b.month = $1 AND b.previous_fen > 0
), sayable AS MATERIALIZED (
    SELECT * FROM (
        SELECT j.*, share * 100 >= from_share_percent
               AND ((previous_fen - expected_fen)::numeric * 100 > previous_fen::numeric * fall_percent
                    OR expected_charges * share >= least_charges) AS sayable
        FROM judged j WHERE stands OR raises
    ) AS s WHERE stands OR sayable
), pace AS MATERIALIZED (
    SELECT s.*, CASE WHEN expected_fen > 0 THEN (expected_fen - expected_fen * share)
                                                / (expected_fen * share + doubt * expected_fen) ELSE 0 END AS pace,
           previous_fen * (100 - fall_percent) / 100::float8 AS well
    FROM sayable s
), course AS MATERIALIZED (
    SELECT p.*, round(to_date_fen + pace * (to_date_fen + doubt * expected_fen))::bigint AS projected_fen,
           greatest(0, ceil((well - pace * doubt * expected_fen - sureness * (
               sqrt(to_come * (2 * expected_fen / greatest(1, expected_charges)::float8)
                    + to_come * to_come / (expected_charges * share + 1)))) / (1 + pace)))::bigint AS clear_from_fen
    FROM (SELECT *, pace * (well + doubt * expected_fen) / (1 + pace) AS to_come FROM pace OFFSET 0) AS p
), found AS (
    SELECT c.*, to_date_fen < clear_from_fen AS on_course FROM course c
), written AS (
INSERT INTO radar_alerts AS r (
    alert_id, rule, account_no, month, kind, state, raised_on, raised_at, cleared_at, judged_at, previous_fen, to_date_fen,
    expected_fen, expected_to_date_fen, projected_fen, clear_from_fen, season_explained, basis, policy_version, branch_code,
    district_code, unit_code, version)
SELECT coalesce(f.alert_id, natural_id('radar/' || f.rule || '/' || f.account_no || '/' || to_char($1::date, 'YYYY-MM'))), f.rule,
       f.account_no, $1,
       CASE WHEN f.to_date_fen = 0 THEN 'zero_month' ELSE 'fall_over_half' END,
       CASE WHEN f.on_course THEN 'open' ELSE 'cleared' END, $2::date, $3::timestamptz,
       CASE WHEN NOT f.on_course THEN $3::timestamptz END, $3::timestamptz, f.previous_fen,
       f.to_date_fen, f.expected_fen, round(f.expected_fen * f.share)::bigint, f.projected_fen, f.clear_from_fen,
       (f.expected_fen - f.projected_fen)::numeric * 100 <= f.expected_fen::numeric * f.fall_percent, f.basis, f.policy_version,
       f.branch_code, f.district_code, f.unit_code, 1
FROM found f WHERE CASE WHEN NOT f.stands THEN f.on_course AND f.raises ELSE f.rule = 'season' OR NOT f.on_course END
ON CONFLICT (month, account_no, rule) DO UPDATE
SET kind = EXCLUDED.kind, state = EXCLUDED.state, cleared_at = EXCLUDED.cleared_at, judged_at = EXCLUDED.judged_at,
    raised_on = CASE WHEN r.state = 'open' THEN r.raised_on ELSE EXCLUDED.raised_on END,
    raised_at = CASE WHEN r.state = 'open' THEN r.raised_at ELSE EXCLUDED.raised_at END,
    previous_fen = EXCLUDED.previous_fen, to_date_fen = EXCLUDED.to_date_fen, expected_fen = EXCLUDED.expected_fen,
    expected_to_date_fen = EXCLUDED.expected_to_date_fen, projected_fen = EXCLUDED.projected_fen,
    clear_from_fen = EXCLUDED.clear_from_fen, season_explained = EXCLUDED.season_explained, basis = EXCLUDED.basis,
    policy_version = EXCLUDED.policy_version, branch_code = EXCLUDED.branch_code, district_code = EXCLUDED.district_code,
    unit_code = EXCLUDED.unit_code, version = r.version + CASE WHEN r.state = EXCLUDED.state THEN 0 ELSE 1 END
RETURNING r.rule, r.raised_at, r.cleared_at
)
SELECT coalesce(bool_or(raised_at = $3), false) AS raised, coalesce(bool_or(cleared_at = $3), false) AS cleared
FROM written WHERE rule = 'season'"""

_INSTANT = "(to_char(a.judged_at AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+08:00')"
_FIELDS = (
    "alert_id account_no kind state previous_fen to_date_fen expected_fen projected_fen season_explained branch_code "
    "district_code version"
)
_STATE = (
    "SELECT a.account_no AS key, natural_id('{type}/' || a.alert_id || '/' || a.version) AS event_id, json_build_object("
    + ", ".join(f"'{name}', a.{name}" for name in _FIELDS.split())
    + f", 'month', to_char(a.month, 'YYYY-MM'), 'raised_on', a.raised_on, 'judged_at', {_INSTANT}) AS data "
    "FROM radar_alerts a WHERE a.month = :month AND a.rule = 'season' AND a.{column} = :instant ORDER BY a.account_no"
)
_EVENT: Mapping[type[Event], str] = {
    RadarRaised: _STATE.format(type=RadarRaised.TYPE, column="raised_at"),
    RadarCleared: _STATE.format(type=RadarCleared.TYPE, column="cleared_at"),
}
