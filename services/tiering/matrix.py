"""Who answers for a movement (维护职责矩阵): role and unit, whether in person, and who assists. Data of the policy.

Source: T-31 (VIP: the district head), T-32 (key: the branch manager, in person), T-33 (general: the outlet, with the care group),
T-34 (riser and four decliners: the branch manager), T-35 (the others: outlet and care group).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from services.tiering.placement import ROOT_UNIT
from services.tiering.policies import PolicyBook
from services.tiering.policies.document import Responsibility


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


def params(book: PolicyBook) -> dict[str, list[Any]]:
    """Return the parameters of MATRIX: the rows of the whole organisation (unit "") and of every branch that differs."""
    rows: list[Sequence[Any]] = []
    for unit, document in (("", book.base), *((branch, book.units[branch]) for branch in book.branches)):
        for row in document.responsibility:
            assist = "[" + ",".join(one.model_dump_json() for one in row.assist) + "]"
            rows.append((unit, row.kind if row.scope == "quarter" else row.tier, row.role, row.level, row.in_person, assist))
    names = ("unit", "what", "role", "level", "in_person", "assist")
    columns = zip(*rows, strict=True)
    return {f"matrix_{name}": list(column) for name, column in zip(names, columns, strict=True)}


MATRIX = """
matrix AS (
    SELECT unit, what, role, level, in_person, assist::jsonb AS assist
    FROM unnest(CAST(:matrix_unit AS text[]), CAST(:matrix_what AS text[]), CAST(:matrix_role AS text[]),
                CAST(:matrix_level AS text[]), CAST(:matrix_in_person AS boolean[]), CAST(:matrix_assist AS text[]))
        AS m (unit, what, role, level, in_person, assist)
)"""

_UNIT = f"""coalesce(CASE {{level}} WHEN 'district' THEN {{place}}.district_code WHEN 'branch' THEN {{place}}.branch_code
    WHEN 'outlet' THEN coalesce({{place}}.outlet_code, {{place}}.branch_code) END, {ROOT_UNIT})"""


def responsible(kind: str, tier: str, place: str) -> str:
    """Return a LATERAL `who (responsible_role, responsible_unit, in_person, assist)` for a row with these SQL expressions.

    `place` is the alias of a row with district_code, branch_code and outlet_code. It needs the CTE MATRIX.
    """
    unit = _UNIT.format(level="m.level", place=place)
    helper = _UNIT.format(level="a.value ->> 'level'", place=place)
    return f"""LATERAL (
    SELECT m.role AS responsible_role, {unit} AS responsible_unit, m.in_person,
           (SELECT coalesce(jsonb_agg(jsonb_build_object('role', a.value ->> 'role', 'unit_code', {helper})
                                      ORDER BY a.place), '[]')
            FROM jsonb_array_elements(m.assist) WITH ORDINALITY AS a (value, place)) AS assist
    FROM matrix m
    WHERE m.what IN ({kind}, {tier}) AND m.unit IN ({place}.branch_code, '')
    ORDER BY m.unit = '', m.what = {tier} LIMIT 1
)"""
