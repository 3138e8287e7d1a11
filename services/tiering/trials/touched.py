"""Which reports a policy would change (涉及报表): those that come, go or fall due on another day, and whose figures move."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.policies.book import PolicyBook
from services.tiering.policies.document import Report
from services.tiering.policies.versions import tree
from services.tiering.trials.whatif import Shown
from shared.months import parse_month, quarter_text


async def reports_touched(session: AsyncSession, books: Mapping[str, PolicyBook], shown: Shown) -> list[dict[str, Any]]:
    """Return each report of either policy: its due days, what becomes of it, and how many of its issues would read otherwise.

    An issue is a period of a unit of the report's level; it reads otherwise where a branch below has other figures in it.
    """
    places = await tree(session)
    today, tried = ({report.type: report for report in books[side].base.reports} for side in ("today", "tried"))
    found = []
    for name in sorted(today.keys() | tried.keys()):
        before, after = today.get(name), tried.get(name)
        report = after or before
        assert report is not None
        issues = {
            (_period(report, month), _unit(report, places[unit].path, places) if unit in places else unit)
            for unit, month in _differing(shown)
        }
        found.append(
            {
                "type": name,
                "today_due_day": before and before.due_day,
                "tried_due_day": after and after.due_day,
                "becomes": _becomes(before, after),
                "issues": len(issues),
            }
        )
    return found


def _becomes(before: Report | None, after: Report | None) -> str:
    if before is None or after is None:
        return "new" if before is None else "gone"
    return "same" if before == after else "changed"


def _differing(shown: Shown) -> Iterator[tuple[str, str]]:
    for unit, months in shown.units.items():
        for month, counts in months.items():
            moved = any("changes" in part for part in counts.values())
            found = [kind for rule_set in counts.get("movements", {}).values() for kind in rule_set.values()]
            if moved or any(kind["gained"] or kind["lost"] for kind in found):
                yield unit, month


def _period(report: Report, month: str) -> str:
    return month if report.period == "month" else quarter_text(parse_month(month))


def _unit(report: Report, path: tuple[str, ...], places: Mapping[str, Any]) -> str:
    return next((unit for unit in path if places[unit].kind == report.level), path[0])
