"""Puts the page of an account together from its ready parts; what depends on the clock is finished here.

That is the running month with the 13 before it, and the axes since the last close: a tier or grade without news at that close was
confirmed by it (tiering.month-closed) if the account was open by then. Pure, and the hottest code of the service: parts are text
as they are sent, and only what changes is read.
"""

import json
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson

from shared.clock import shanghai
from shared.ids import natural_id
from shared.months import add_months, month_text, quarter_start, quarter_text

MONTHS_SHOWN = 14


def put_together(account_no: str, row: Sequence[Any], *, to_shipper: bool) -> bytes:
    """Return the page as JSON in UTF-8 from the columns of `reading`, in their order.

    A shipper reads its own page, but not what the carrier thinks of it: to it the section of scores is empty.
    """
    head, opened_on, tier, grade, quarter_end, month, tiers_as_of, months, freight_as_of, scores = row[:10]
    movements, tasks, tickets, parcels, closed, closed_at, now = row[10:]
    if closed is not None and add_months(closed, 1) > opened_on:
        tiers_as_of = closed_at if tiers_as_of is None else max(tiers_as_of, closed_at)
        grade = _confirmed_grade(account_no, grade, month, closed)
        tier = _confirmed_tier(account_no, tier, quarter_end, closed, opened_on)
    opened = f"{opened_on}T00:00:00+08:00"
    nothing = f'{{"as_of":"{opened}","items":[]}}'
    if to_shipper or scores is None:
        scores = f'{{"as_of":"{opened}","month":null,"rfm":null,"clv_fen":null,"churn_risk":null,"forecast":null}}'
    return (
        f'{head},"tiers":{{"as_of":"{_instant(tiers_as_of) or opened}","service_tier":{tier or "null"},'
        f'"contribution_grade":{grade or "null"}}},"freight":{{"as_of":"{_instant(freight_as_of) or opened}",'
        f'"months":[{_months(months, now)}]}},"scores":{scores},"movements":{movements or nothing},"tasks":{tasks or nothing},'
        f'"tickets":{tickets or nothing},"parcels":{parcels or nothing}}}'
    ).encode()


def _months(amounts: str, now: datetime) -> str:
    running = shanghai(now)
    names, shown = _names(running.year, running.month)
    amount = orjson.loads(amounts).get
    return shown % tuple([amount(name, 0) for name in names])


@lru_cache(maxsize=4)
def _names(year: int, month: int) -> tuple[list[str], str]:
    """Return the months that end with the running one, and what is sent of them with a place for each amount."""
    running = date(year, month, 1)
    names = [month_text(add_months(running, -ago)) for ago in reversed(range(MONTHS_SHOWN))]
    return names, ",".join(f'{{"month":"{name}","amount_fen":%d}}' for name in names)


def _confirmed_grade(account_no: str, grade: str | None, month: date | None, closed: date) -> str | None:
    if grade is None or month is None or month >= closed:
        return grade
    return _changed(grade, month=month_text(closed), decision_id=_decision(account_no, closed))


def _confirmed_tier(account_no: str, tier: str | None, quarter_end: date | None, closed: date, opened_on: date) -> str | None:
    last = add_months(quarter_start(add_months(closed, 1)), -1)
    if tier is None or quarter_end is None or quarter_end >= last or add_months(last, 1) <= opened_on:
        return tier
    return _changed(tier, quarter=quarter_text(last), decision_id=_decision(account_no, last))


def _changed(said: str, **members: str) -> str:
    return json.dumps({**orjson.loads(said), **members}, ensure_ascii=False)  # with the spaces of what PostgreSQL hands over


def _decision(account_no: str, month: date) -> str:
    return str(natural_id("decision", account_no, month_text(month)))


def _instant(at: datetime | None) -> str | None:
    return None if at is None else shanghai(at).isoformat()
