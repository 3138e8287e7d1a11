"""Live standing (即时排名): where an account stands in the running quarter, who is next, and how many yuan lie between.

The order is that of the close: freight of the quarter so far, earlier opened, account number. The counting is one narrow function
of the database (`live_standing`), since it counts accounts that its caller may not see; the yuan to the grades and the projection
to the quarter's end are worked out here.
"""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies, season
from services.tiering.models import BranchSeason, MonthTotal
from services.tiering.policies import PolicyDocument
from services.tiering.policy import grade_for
from services.tiering.season import CALENDAR, HISTORY_MONTHS, Season
from shared.clock import business_date, business_now
from shared.months import add_months, last_day, quarter_start, quarter_text
from shared.problems import NotFound

DOUBT = 0.15
"""So much of an expected month stands, as doubt, against what has come so far."""


class Projection(NamedTuple):
    """A quarter's freight as it is expected to end, and how others are expected to go on: times so much."""

    fen: int
    growth: float
    basis: season.Basis


async def read_standing(session: AsyncSession, account_no: str) -> dict[str, Any]:
    """Return where an account stands now, its neighbours, the yuan to each line, and its tier at quarter end if it goes on so.

    Raises NotFound where the caller may not see the account.
    """
    now = await business_now(session)
    today = business_date(now)
    quarter = quarter_start(today)
    found = await session.execute(
        text("SELECT branch_code, district_code FROM accounts WHERE account_no = :account"), {"account": account_no}
    )
    place = found.one_or_none()
    if place is None:
        raise NotFound("account", account_no)
    policy = (await policies.in_force(session, today)).of(place.branch_code, place.district_code)
    stands = await _stand(session, account_no, quarter, policy)
    return {
        "account_no": account_no,
        "quarter": quarter_text(quarter),
        "as_of": now,
        "branch_code": place.branch_code,
        "district_code": place.district_code,
        "policy_version": policy.policy_version,
        **_shown(stands, policy),
        "projection": await _projection(session, account_no, place.branch_code, today, policy, stands["sum_fen"]),
    }


def _shown(stands: dict[str, Any], policy: PolicyDocument) -> dict[str, Any]:
    fen = stands["sum_fen"]
    return {
        "amount_fen": fen,
        "service_tier": _tier(stands, policy),
        "place": stands["place"],
        "contribution_grade": grade_for(fen, policy),
        "above": _neighbour(stands["above_account"], stands["above_fen"]),
        "below": _neighbour(stands["below_account"], stands["below_fen"]),
        "to_next_place_fen": stands["to_next_fen"],
        "to_key_fen": stands["to_key_fen"],
        "to_vip_fen": stands["to_vip_fen"],
        "to_gold_fen": _to_grade(fen, policy.grades.gold_from_fen),
        "to_diamond_fen": _to_grade(fen, policy.grades.diamond_from_fen),
    }


def _tier(stands: dict[str, Any], policy: PolicyDocument) -> str | None:
    """Return the tier; without freight none, where the policy tiers none of those."""
    untiered = stands["place"] is None and not policy.tiers.zero_freight_is_general
    return None if untiered else stands["service_tier"]


async def _projection(
    session: AsyncSession, account_no: str, branch: str | None, today: date, policy: PolicyDocument, so_far_fen: int
) -> dict[str, Any]:
    """Return the quarter's end: the account where it is heading, among others who go on at the season's pace.

    Its place then is the place that it would have today with its projected sum over what theirs will have grown by.
    """
    quarter = quarter_start(today)
    projection = await _project(session, account_no, branch, quarter, today, so_far_fen)
    today_worth = max(round(projection.fen / projection.growth), min(projection.fen, 1))
    then = await _stand(session, account_no, quarter, policy, as_if_fen=today_worth)
    return {
        "amount_fen": projection.fen,
        "service_tier": _tier(then, policy),
        "place": then["place"],
        "contribution_grade": grade_for(projection.fen, policy),
        "basis": projection.basis,
    }


async def _stand(
    session: AsyncSession, account_no: str, quarter: date, policy: PolicyDocument, as_if_fen: int | None = None
) -> dict[str, Any]:
    found = await session.execute(
        text("SELECT * FROM live_standing(:account, :quarter, :last_day, :vip_n, :key_n, CAST(:as_if AS bigint))"),
        {
            "account": account_no,
            "quarter": quarter,
            "last_day": last_day(add_months(quarter, 2)),
            "vip_n": policy.tiers.vip_top_n,
            "key_n": policy.tiers.key_top_n,
            "as_if": as_if_fen,
        },
    )
    return dict(found.mappings().one())


def _neighbour(account_no: str | None, amount_fen: int | None) -> dict[str, Any] | None:
    return None if amount_fen is None else {"account_no": account_no, "amount_fen": amount_fen}


def _to_grade(sum_fen: int, from_fen: int) -> int | None:
    """Return how much more the quarter needs for a grade, null where it has it: a third of the quarter is compared."""
    return 3 * from_fen - sum_fen if sum_fen < 3 * from_fen else None


async def _project(
    session: AsyncSession, account_no: str, branch: str | None, quarter: date, today: date, so_far_fen: int
) -> Projection:
    """Return how the quarter is expected to end: what has come, and what the season lets expect of the days left."""
    current = today.replace(day=1)
    learnt = select(BranchSeason.season).where(BranchSeason.unit_code == branch, BranchSeason.month <= current)
    data = (await session.execute(learnt.order_by(BranchSeason.month.desc()).limit(1))).scalar()
    of_branch = Season.of(data) if data else CALENDAR
    first = add_months(current, -HISTORY_MONTHS)
    rows = await session.execute(
        select(MonthTotal.month, MonthTotal.amount_fen).where(MonthTotal.account_no == account_no, MonthTotal.month >= first)
    )
    totals: dict[date, int] = {row.month: row.amount_fen for row in rows}
    return project_quarter(totals, quarter, today, so_far_fen, of_branch)


def project_quarter(totals: dict[date, int], quarter: date, today: date, so_far_fen: int, of_branch: Season) -> Projection:
    """Return the projection of a quarter from an account's months, on a morning: today has not brought anything yet.

    The days left are expected to bring what the season says, times how the running month has done so far, with doubt.
    """
    current = today.replace(day=1)
    passed = season.share(current, date.fromordinal(today.toordinal() - 1), of_branch)
    months = [add_months(current, n - HISTORY_MONTHS) for n in range(HISTORY_MONTHS)]
    history = np.array([[totals.get(month, 0) for month in months]], dtype=np.int64)
    rest = [add_months(quarter, n) for n in range(3) if add_months(quarter, n) >= current]
    expected = [season.expect(history, month, of_branch, ahead) for ahead, month in enumerate(rest)]
    fen = [int(one.fen[0]) for one in expected]
    done = (totals.get(current, 0) + DOUBT * fen[0]) / ((passed + DOUBT) * fen[0]) if fen[0] else 1.0
    to_come = done * ((1 - passed) * fen[0] + sum(fen[1:]))
    if not any(fen) and passed > 0:  # no history: the month goes on as it began
        to_come = totals.get(current, 0) / passed * ((1 - passed) + len(fen) - 1)
    weights = [season.month_weight(add_months(quarter, n), of_branch) for n in range(3)]
    over = sum(weights[: 3 - len(rest)]) + passed * weights[3 - len(rest)]
    growth = sum(weights) / over if over > 0 else 1.0
    return Projection(so_far_fen + round(to_come), growth, season.basis_of(of_branch, own=bool(expected[0].own[0])))
