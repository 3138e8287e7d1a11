"""A trial decides what the close would have decided, under both policies, in whatever parts its months are done."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

import pytest
from sqlalchemy import text

from services.tiering.closing import decide_month
from services.tiering.policies.book import PolicyBook, Version, make_book
from services.tiering.policies.lifecycle import draft
from services.tiering.policies.versions import history
from services.tiering.replaying import SHADOWED
from services.tiering.trials import requests as trials
from services.tiering.trials import whatif
from shared.clock import SHANGHAI
from shared.db import Database, Scope
from shared.months import add_months, month_text
from tests.tiering.make import World, account, at, charge

TRIED = """
policy_version = "tried"
[tiers]
vip_top_n = 1
key_top_n = 2
zero_freight_is_general = false
[grades]
gold_from_fen = 10_000
diamond_from_fen = 20_000
[bands]
a_percent = 20
b_percent = 50
[movements]
fall_over_percent = 20
zero_months_raised = 1
[quarter]
decliner_n = 1
fall_percent = 5
[focus]
focus_from_fen = 1_000
"""
CONTENT = {name: value for name, value in tomllib.loads(TRIED).items() if name != "policy_version"}
EVERYBODY = Scope(everything=True)
_LIMIT = text("SHOW idle_in_transaction_session_timeout")
MONTHS = [add_months(date(2018, 2, 1), n) for n in range(10)]


async def ten_months(world: World) -> None:
    """Accounts that rise, fall, stop, come back and move, of three branches and none; the last of the months is closed."""
    names = [f"A{n:02d}" for n in range(24)]
    await world.open(*(account(name, ("B1", "B2", "B3")[n % 3]) for n, name in enumerate(names)), account("Z", None))
    for month in (date(2017, 11, 1), date(2017, 12, 1), date(2018, 1, 1), *MONTHS):
        await world.post(
            *(
                charge(f"{name}-{month}", name, (n * 7919 * month.month) % 40_000, at(f"{month:%Y-%m}-10"))
                for n, name in enumerate([*names, "Z"], start=1)
                if (n + month.month) % 7 > 1
            )
        )
    async with world.db.transaction() as session:
        await session.execute(text("INSERT INTO month_closes (month, state) VALUES (:month, 'closed')"), {"month": MONTHS[-1]})


async def decided(world: World, book: PolicyBook, months: Sequence[date]) -> Counter[tuple[str, ...]]:
    """What the close itself decides under a policy: how many of a unit hold or are what in a month."""
    axes = " UNION ALL ".join(
        f"SELECT coalesce(branch_code, 'HQ'), month, '{axis}', coalesce({axis}::text, 'none') FROM decisions"
        + ("" if axis == "grade" else " WHERE extract(month FROM month) % 3 = 0")
        for axis in whatif.AXES
    )
    query = (
        f"SELECT * FROM ({axes} "
        "UNION ALL SELECT coalesce(branch_code, 'HQ'), month, 'monthly', kind FROM movements "
        "UNION ALL SELECT coalesce(branch_code, 'HQ'), month, 'tasks', responsible_role FROM movements "
        "UNION ALL SELECT branch_code, (quarter + INTERVAL '2 months')::date, 'quarterly', kind FROM quarter_movements "
        "UNION ALL SELECT branch_code, (quarter + INTERVAL '2 months')::date, 'tasks', responsible_role FROM quarter_movements"
        ") AS f (unit, month, what, value) WHERE month >= :first"
    )
    async with world.db.transaction() as session:
        for table in SHADOWED:
            await session.execute(text(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP"))
        await session.execute(text("DISCARD PLANS"))
        for month in [add_months(months[0], -n) for n in (4, 3, 2, 1)] + list(months):
            await decide_month(session, month, datetime.combine(add_months(month, 1), time(0, 30), SHANGHAI), book)
        rows = (await session.execute(text(query), {"first": months[0]})).all()
        await session.execute(text("DISCARD PLANS"))
    return Counter((row.unit, month_text(row.month), row.what, row.value) for row in rows)


def shown(units: Sequence[dict[str, Any]], side: str) -> Counter[tuple[str, ...]]:
    """The same as a trial shows it."""
    found: Counter[tuple[str, ...]] = Counter()
    for unit in units:
        for month, counts in unit["result"].items():
            for what, part in counts.items():
                if what in whatif.AXES:
                    found.update({(unit["unit_code"], month, what, value): n for value, n in part.get(side, {}).items()})
                elif what == "tasks":
                    found.update({(unit["unit_code"], month, what, role): n[side] for role, n in part.items()})
                else:
                    for rule_set, kinds in part.items():
                        found.update({(unit["unit_code"], month, rule_set, kind): n[side] for kind, n in kinds.items()})
    return +found


@pytest.mark.row("T-27")
async def test_both_sides_are_what_the_close_decides(world: World) -> None:
    await ten_months(world)
    async with world.db.transaction() as session:
        await draft(session, EVERYBODY, "ann", TRIED)
        asked = await trials.ask(session, EVERYBODY, "ann", "tried", month_text(MONTHS[0]), month_text(MONTHS[-1]))
        published = await history(session)
    assert await trials.run_next(world.db)
    (trial,) = await world.rows("SELECT * FROM policy_trials")
    assert (trial["state"], trial["done_steps"], trial["steps"], trial["error"]) == ("done", 11, 11, None)
    units = await world.rows("SELECT unit_code, result FROM policy_trial_units WHERE trial_id = :id", id=asked["trial_id"])
    today = published.newest(MONTHS[-1])
    tried = today | {None: Version("tried", None, MONTHS[0], CONTENT)}
    for side, versions in (("today", today), ("tried", tried)):
        expected = await decided(world, make_book(versions, published.tree), MONTHS)
        assert {key[2] for key in expected} >= {*whatif.AXES, "monthly", "quarterly", "tasks"}
        assert shown(units, side) == expected, side


async def test_a_part_that_is_ready_first_may_wait_for_the_other(world: World) -> None:
    own = Database(world.db.service, world.db.url, "worker", 1)
    try:
        async with own.transaction(isolation="REPEATABLE READ") as session:
            limits = [(await session.execute(_LIMIT)).scalar_one()]
            await whatif.part(session, {}, MONTHS)
            limits.append((await session.execute(_LIMIT)).scalar_one())
    finally:
        await own.close()
    assert limits == ["1min", "0"]


def test_months_are_done_in_two_parts_the_second_beginning_with_a_quarter() -> None:
    two_years = whatif.months_of(date(2017, 1, 1), date(2018, 12, 1))
    assert whatif.parts_of(two_years) == [two_years[:12], two_years[12:]]
    assert whatif.parts_of(MONTHS) == [MONTHS[:5], MONTHS[5:]]
    assert whatif.parts_of(two_years[:3]) == [two_years[:3]]
    assert whatif.parts_of(two_years[1:2]) == [two_years[1:2]]
    assert whatif.parts_of(two_years[2:4]) == [[date(2017, 3, 1)], [date(2017, 4, 1)]]
