"""Replay (重算): every close decided again from the ledger as it stands, by the same statements, and compared by digests.

The decisions are made on temporary tables that stand before the real ones, in a transaction of its own: nothing is published and
nothing stays. Where a digest differs the late charge that did it is named, from the restatements.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.closing import decide_month
from services.tiering.scores import again
from shared.db import Database
from shared.months import last_day

SHADOWED = ("decisions", "movements", "quarter_movements", "milestones", "month_closes", *again.SHADOWED)
MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class LateEvent:
    """A charge that came after a close had decided on its month."""

    charge_no: str
    version: int
    account_no: str
    month: date
    change_fen: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that comes out otherwise today, what of it, and the late charges that did it.

    `fields` is empty where only one of the two exists; `late` is empty where no charge explains it: then the directory or the
    policy says something else than it did. What a month was scored with (`score_model`) is of no account.
    """

    what: str
    account_no: str | None
    month: date
    fields: tuple[str, ...]
    late: tuple[LateEvent, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found: how much it compared, how many digests differ, and the first of those of each kind."""

    months: tuple[date, ...]
    compared: dict[str, int]
    different: int
    differences: tuple[Difference, ...]


async def replay(database: Database, until: date, told: Callable[[date], None] = lambda _: None) -> Replayed:
    """Decide all months again that were closed and end by a day; `told` hears of each month before it is decided."""
    async with database.transaction(isolation="REPEATABLE READ") as session:
        closes = [row for row in await session.execute(_CLOSES) if last_day(row.month) <= until]
        scored = await again.read_models(session, [close.month for close in closes])
        relearned = []
        await _prepare(session)
        for close in closes:
            told(close.month)
            await session.execute(_BEGIN, {"month": close.month})
            await decide_month(session, close.month, close.closed_at, await policies.in_force(session, last_day(close.month)))
            await session.execute(text("ANALYZE pg_temp.decisions"))
            if close.month in scored:
                relearned.append(await again.score(session, scored[close.month]))
        return await _compare(session, [close.month for close in closes], relearned)


async def _prepare(session: AsyncSession) -> None:
    """Put empty tables before the decided ones, and totals summed from the charges before the kept ones."""
    for table in SHADOWED:
        await session.execute(text(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP"))
    await session.execute(text("SET LOCAL work_mem = '64MB'"))
    for statement in _TOTALS:
        await session.execute(text(statement))
    # A statement that this connection has prepared before means the real tables until it is planned anew.
    await session.execute(text("DISCARD PLANS"))


async def _compare(session: AsyncSession, months: Sequence[date], relearned: Sequence[again.Relearned]) -> Replayed:
    models = [one for one in relearned if one.fields]
    compared: dict[str, int] = {}
    different = len(models)
    found: list[Any] = []
    for what, (rows, key) in _COMPARED.items():
        params: dict[str, Any] = {"months": list(months)}
        counts = (await session.execute(text(_COUNT.format(rows=rows, key=key)), params)).one()
        compared[what] = counts.compared
        different += counts.different
        if counts.different:
            params["most"] = MOST_SHOWN
            found += [(what, row) for row in await session.execute(text(_DIFFERENT.format(rows=rows, key=key)), params)]
    differences = [
        Difference(what, row.account_no, row.month, tuple(sorted(row.fields or ())), await _late(session, what, row))
        for what, row in found
    ]
    differences += [Difference("score_model", None, one.month, one.fields, await _late_of_all(session, one)) for one in models]
    return Replayed(tuple(months), {**compared, "score_model": len(relearned)}, different, tuple(differences))


async def _late(session: AsyncSession, what: str, row: Any) -> tuple[LateEvent, ...]:
    """Return the late charges of the account itself; where it had none, those of its district, whose ranks it shares.

    Those since the decision come first. One that came before it had changed an earlier close, on which this one builds: scores
    do, and how long a tier or grade has been held.
    """
    builds_on = what == "score" or set(row.fields or ("",)) <= {"grade_since", "tier_since"}
    own, district = ([(statement, since) for since in (row.decided_at, None)] for statement in (_OWN_LATE, _DISTRICTS_LATE))
    places = {"account_no": row.account_no, "month": row.month, "district": row.district_code}
    for statement, since in [*own, *district] if builds_on else [own[0], district[0], own[1], district[1]]:
        found = (await session.execute(statement, {**places, "since": since})).all()
        if found:
            return tuple(LateEvent(**late._mapping) for late in found)
    return ()


async def _late_of_all(session: AsyncSession, one: again.Relearned) -> tuple[LateEvent, ...]:
    """Return the late charges since a month was scored, else those of before: its models are learned from all accounts."""
    for since in (one.scored_at, None):
        found = (await session.execute(_ALL_LATE, {"month": one.month, "since": since})).all()
        if found:
            return tuple(LateEvent(**late._mapping) for late in found)
    return ()


_CLOSES = text("SELECT month, closed_at FROM month_closes WHERE state = 'closed' AND closed_at IS NOT NULL ORDER BY month")
_BEGIN = text("INSERT INTO month_closes (month, state) VALUES (:month, 'closing')")
_TOTALS = (
    "CREATE TEMP TABLE month_totals ON COMMIT DROP AS "
    "SELECT account_no, month, sum(amount_fen)::bigint AS amount_fen, count(*) AS charges, "
    "date_trunc('quarter', month::timestamp)::date AS quarter FROM charges GROUP BY account_no, month",
    "CREATE UNIQUE INDEX ON pg_temp.month_totals (account_no, month)",
    "ANALYZE pg_temp.month_totals",
    "CREATE TEMP TABLE quarter_sums ON COMMIT DROP AS "
    "SELECT account_no, quarter, coalesce(sum(amount_fen) FILTER (WHERE month = quarter), 0)::bigint AS fen_1, "
    "coalesce(sum(amount_fen) FILTER (WHERE month - quarter BETWEEN 1 AND 31), 0)::bigint AS fen_2, "
    "coalesce(sum(amount_fen) FILTER (WHERE month - quarter > 31), 0)::bigint AS fen_3, sum(amount_fen)::bigint AS sum_fen "
    "FROM pg_temp.month_totals GROUP BY account_no, quarter",
    "ANALYZE pg_temp.quarter_sums",
)

_INPUTS = ", ".join(
    f"i.{name}"
    for name in (
        *(
            "branch_code",
            "unit_code",
            "first_month",
            "active_months",
            "recency",
            "age",
            "log_gaps_ppm",
            "total_fen",
            "repeat_fen",
        ),
        *(
            "amount_fen",
            "previous_fen",
            "before_previous_fen",
            "months_12",
            "charges_12",
            "amount_12_fen",
            "naive_fen",
            "level_fen",
        ),
        *("judged", "naive_square", "level_square"),
    )
)

# A decision of before there were digests has none and is not compared. Of movements those are compared that the close itself
# found; later revisions are what late charges made of them.
_COMPARED = {
    "decision": ("SELECT * FROM {table} WHERE month = ANY(CAST(:months AS date[]))", "month, account_no"),
    "movement": (
        "SELECT m.*, m.detected_at AS decided_at FROM {table} m JOIN public.month_closes c ON c.month = m.month "
        "WHERE m.revision = 1 AND m.detected_at = c.closed_at AND m.month = ANY(CAST(:months AS date[]))",
        "month, account_no",
    ),
    "quarter_movement": (
        "SELECT m.*, m.detected_at AS decided_at, (m.quarter + INTERVAL '2 months')::date AS month FROM {table} m "
        "WHERE (m.quarter + INTERVAL '2 months')::date = ANY(CAST(:months AS date[]))",
        "month, account_no",
    ),
    "score": (
        f"SELECT s.*, {_INPUTS}, m.scored_at AS decided_at, d.district_code FROM {{table}} s "
        "LEFT JOIN {schema}.score_inputs i ON i.month = s.month AND i.account_no = s.account_no "
        "LEFT JOIN public.score_models m ON m.month = s.month "
        "LEFT JOIN public.decisions d ON d.month = s.month AND d.account_no = s.account_no "
        "WHERE s.month = ANY(CAST(:months AS date[]))",
        "month, account_no",
    ),
}
_TABLES = {"decision": "decisions", "movement": "movements", "quarter_movement": "quarter_movements", "score": "scores"}


def _rows(what: str, schema: str) -> str:
    return f"({_COMPARED[what][0].format(table=f'{schema}.{_TABLES[what]}', schema=schema)})"


_COMPARED = {
    what: (f"{_rows(what, 'public')} AS a FULL JOIN {_rows(what, 'pg_temp')} AS b", key) for what, (_, key) in _COMPARED.items()
}
_DIFFERS = "a.digest IS DISTINCT FROM b.digest AND NOT (a.account_no IS NOT NULL AND a.digest IS NULL)"
_COUNT = f"""
SELECT count(*) AS compared, count(*) FILTER (WHERE {_DIFFERS}) AS different FROM {{rows}} USING ({{key}})"""

# What follows from another thing that differs is left out: when it was so decided, and by which digest.
_DIFFERENT = f"""
SELECT month, account_no, coalesce(a.decided_at, b.decided_at) AS decided_at,
       coalesce(a.district_code, b.district_code) AS district_code,
       CASE WHEN a.digest IS NOT NULL AND b.digest IS NOT NULL THEN (
           SELECT array_agg(x.key) FROM jsonb_each(to_jsonb(a)) x JOIN jsonb_each(to_jsonb(b)) y ON y.key = x.key
           WHERE x.value IS DISTINCT FROM y.value
             AND x.key NOT IN ('digest', 'state', 'judged_at', 'withdrawn_reason', 'version', 'known_seq',
                             'changed', 'jump', 'risk', 'at_risk_fen'))
       END AS fields
FROM {{rows}} USING ({{key}}) WHERE {_DIFFERS} ORDER BY month, account_no LIMIT :most"""

_LATE = """
SELECT r.charge_no, r.version, r.account_no, r.month, r.change_fen FROM public.restatements r {joins}
WHERE {condition} AND (CAST(:since AS timestamptz) IS NULL OR r.at >= :since) ORDER BY r.seq LIMIT 20"""
_OWN_LATE = text(_LATE.format(joins="", condition="r.account_no = :account_no AND r.month <= :month"))
_DISTRICTS_LATE = text(
    _LATE.format(
        joins="JOIN public.decisions d ON d.account_no = r.account_no AND d.month = :month",
        condition="d.district_code = :district AND r.month BETWEEN CAST(:month AS date) - INTERVAL '5 months' AND :month",
    )
)
_ALL_LATE = text(_LATE.format(joins="", condition="r.month <= :month"))
