"""Who answers for a movement (维护职责矩阵): role and unit, whether in person, and who assists. Data of the policy.

Source: T-31 (VIP: the district head), T-32 (key: the branch manager, in person), T-33 (general: the outlet, with the care group),
T-34 (riser and four decliners: the branch manager), T-35 (the others: outlet and care group).
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from services.tiering.placement import ROOT_UNIT
from services.tiering.policies import PolicyBook
from services.tiering.policies.document import PolicyDocument, Responsibility


class Place(NamedTuple):
    """Where an account stands; a level it has not is None."""

    district_code: str | None
    branch_code: str | None
    outlet_code: str | None


class Responsible(NamedTuple):
    """Who owes a talk about a movement."""

    role: str
    unit_code: str
    in_person: bool
    assist: tuple[tuple[str, str], ...]


def unit_at(level: str, place: Place, root: str) -> str:
    """Return the account's unit of a level: an outlet that it has not is its branch's, any other missing one is the root's."""
    found = {
        "district": place.district_code,
        "branch": place.branch_code,
        "outlet": place.outlet_code or place.branch_code,
    }
    return found.get(level) or root


def responsible_for(rows: Iterable[Responsibility], tier: str, kind: str | None, place: Place, root: str) -> Responsible:
    """Return who answers: by the kind of a quarterly movement where the matrix has it, else by the account's tier."""
    by_name = {row.kind if row.scope == "quarter" else row.tier: row for row in rows}
    row = by_name[kind] if kind is not None and kind in by_name else by_name[tier]  # type: ignore[index]
    assist = tuple((one.role, unit_at(one.level, place, root)) for one in row.assist)
    return Responsible(row.role, unit_at(row.level, place, root), row.in_person, assist)


def params(book: PolicyBook) -> dict[str, str]:
    """Return the parameter of MATRIX: the rows of the whole organisation (unit "") and of every branch that differs, by name."""
    units = (("", book.base), *((branch, book.units[branch]) for branch in book.branches))
    return {"matrix": json.dumps({unit: _by_name(document) for unit, document in units})}


def _by_name(document: PolicyDocument) -> dict[str, Any]:
    names = {"role", "level", "in_person", "assist"}
    return {
        str(row.kind if row.scope == "quarter" else row.tier): row.model_dump(mode="json", include=names)
        for row in document.responsibility
    }


# One value that is looked into by key: thousands of movements ask, and there may be rows of hundreds of branches.
MATRIX = "matrix AS (SELECT CAST(:matrix AS jsonb) AS rows)"

_UNIT = f"""coalesce(CASE {{level}} WHEN 'district' THEN {{place}}.district_code WHEN 'branch' THEN {{place}}.branch_code
    WHEN 'outlet' THEN coalesce({{place}}.outlet_code, {{place}}.branch_code) END, {ROOT_UNIT})"""


def responsible(kind: str, tier: str, place: str) -> str:
    """Return a LATERAL `who (responsible_role, responsible_unit, in_person, assist)` for a row with these SQL expressions.

    `place` is the alias of a row with district_code, branch_code and outlet_code. It needs the CTE MATRIX.
    """
    unit = _UNIT.format(level="m.found ->> 'level'", place=place)
    helper = _UNIT.format(level="a.value ->> 'level'", place=place)
    own, base = f"rows -> {place}.branch_code", "rows -> ''"
    return f"""LATERAL (
    SELECT m.found ->> 'role' AS responsible_role, {unit} AS responsible_unit, (m.found -> 'in_person')::boolean AS in_person,
           CASE WHEN m.found -> 'assist' = '[]' THEN '[]' ELSE (
               SELECT jsonb_agg(jsonb_build_object('role', a.value ->> 'role', 'unit_code', {helper}) ORDER BY a.place)
               FROM jsonb_array_elements(m.found -> 'assist') WITH ORDINALITY AS a (value, place)) END AS assist
    FROM (SELECT coalesce({own} -> ({kind}), {own} -> ({tier}), {base} -> ({kind}), {base} -> ({tier})) AS found
          FROM matrix OFFSET 0) AS m
    WHERE m.found IS NOT NULL
)"""
