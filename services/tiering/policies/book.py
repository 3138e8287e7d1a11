"""What is in force on one day (当日规则): the organisation's document, and what districts and branches have of their own.

A unit's document is resolved from the root down: HQ, its district, the branch. Each level replaces single keys; a key that a
level above has locked, or that is decided higher up, stays as it was inherited. All of this is pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.tiering.policies.document import DEEPEST, SECTIONS, Level, PolicyDocument, keys, plain, read_document

LEVELS: tuple[Level, ...] = ("hq", "district", "branch", "outlet")


@dataclass(frozen=True, slots=True)
class Version:
    """One published document, as it was written: only the keys that it sets."""

    policy_version: str
    unit_code: str | None
    effective_from: date
    content: Mapping[str, Any]
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose document a value comes from."""

    unit_code: str | None
    policy_version: str | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A unit's document, where each of its values comes from, and which are locked by whom."""

    document: PolicyDocument
    origins: Mapping[str, Origin]
    locks: Mapping[str, Origin]


@dataclass(frozen=True, slots=True)
class Place:
    """A unit of the organisation tree with the units above it, root first, itself last."""

    unit_code: str
    kind: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """The policy of a day: for the whole organisation, and of every district and branch that differs from it."""

    base: PolicyDocument
    units: Mapping[str, PolicyDocument] = field(default_factory=dict)
    branches: tuple[str, ...] = ()
    """The branches among `units`, in order."""

    def of(self, branch_code: str | None, district_code: str | None = None) -> PolicyDocument:
        """Return what counts for a branch; for a branch that nobody knows, what counts for its district."""
        for unit in (branch_code, district_code):
            if unit is not None and unit in self.units:
                return self.units[unit]
        return self.base

    def documents(self) -> list[PolicyDocument]:
        """Return every document that counts for some account."""
        return [self.base, *(self.units[branch] for branch in self.branches)]

    def branch_rows(self, *names: str) -> dict[str, list[Any]]:
        """Return the numbers of all branches that differ, as columns `unit_code` and the names: see NUMBERS."""
        rows = [self.units[branch] for branch in self.branches]
        return {"unit_code": list(self.branches)} | {name: [NUMBERS[name][1](row) for row in rows] for name in names}

    def params(self, *names: str) -> dict[str, Any]:
        """Return the parameters of `numbers_cte` and `number`: `<name>` of the base, `branch_<name>` of those that differ."""
        base = {name: NUMBERS[name][1](self.base) for name in names}
        return base | {f"branch_{name}": values for name, values in self.branch_rows(*names).items()}


NUMBERS: dict[str, tuple[str, Callable[[PolicyDocument], Any]]] = {
    "policy_version": ("text", lambda d: d.policy_version),
    "vip_top_n": ("integer", lambda d: d.tiers.vip_top_n),
    "key_top_n": ("integer", lambda d: d.tiers.key_top_n),
    "zero_freight_is_general": ("boolean", lambda d: d.tiers.zero_freight_is_general),
    "diamond_from_fen": ("bigint", lambda d: d.grades.diamond_from_fen),
    "gold_from_fen": ("bigint", lambda d: d.grades.gold_from_fen),
    "a_percent": ("integer", lambda d: d.bands.a_percent),
    "b_percent": ("integer", lambda d: d.bands.b_percent),
    # A rule set that is switched off finds nothing: no fall is over 100 %, no run is of 0 months.
    "fall_over_percent": ("integer", lambda d: d.movements.fall_over_percent if d.movements.judged else 100),
    "zero_months_raised": ("integer", lambda d: d.movements.zero_months_raised if d.movements.judged else 0),
    "quarter_judged": ("boolean", lambda d: d.quarter.judged),
    "riser_n": ("integer", lambda d: d.quarter.riser_n),
    "decliner_n": ("integer", lambda d: d.quarter.decliner_n),
    "rise_percent": ("integer", lambda d: d.quarter.rise_percent),
    "quarter_fall_percent": ("integer", lambda d: d.quarter.fall_percent),
    "focus_from_fen": ("bigint", lambda d: d.focus.focus_from_fen),
    "milestone_from_fen": ("bigint", lambda d: d.focus.milestone_from_fen),
    "claims_from_fen": ("bigint", lambda d: d.entitlements.claims_from_fen),
    "entitlements": ("jsonb", lambda d: d.entitlements.model_dump_json()),
    "responsibility": ("jsonb", lambda d: "[" + ",".join(row.model_dump_json() for row in d.responsibility) + "]"),
}
"""What the set-based SQL takes from a document: its type there, and where it stands."""


def numbers_cte(*names: str) -> str:
    """Return a CTE `numbers (unit_code, <names>)` of the branches that differ, from the parameters of `PolicyBook.params`.

    Columns of type jsonb stand in it as text: cast them where they are read.
    """
    arrays = [f"CAST(:branch_{name} AS {_array_type(name)}[])" for name in names]
    return (
        f"numbers AS (SELECT * FROM unnest(CAST(:branch_unit_code AS text[]), {', '.join(arrays)})\n"
        f"    AS n (unit_code, {', '.join(names)}))"
    )


def number(name: str, alias: str = "n") -> str:
    """Return the SQL of a number for a row that `numbers` is left-joined to as `alias`: the branch's own, else the base's."""
    return f"coalesce({alias}.{name}, CAST(:{name} AS {_array_type(name)}))"


def _array_type(name: str) -> str:
    return "text" if NUMBERS[name][0] == "jsonb" else NUMBERS[name][0]


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a document sets, with their values: `{"tiers.key_top_n": 12}`."""
    found: dict[str, Any] = {}
    for name in content:
        if name in SECTIONS and isinstance(content[name], Mapping):
            found |= {f"{name}.{key}": value for key, value in content[name].items()}
        elif name not in {"policy_version", "effective_from", "unit", "locks"}:
            found[name] = content[name]
    return found


def covered(lock: str, key: str) -> bool:
    """Say whether a lock (a key, or a whole section) covers a key."""
    return key == lock or key.startswith(f"{lock}.")


def deepest(key: str) -> Level:
    """Return the lowest level of the organisation that may set a key."""
    return next((level for name, level in DEEPEST.items() if covered(name, key)), "branch")


def may_set(key: str, kind: str) -> bool:
    """Say whether a unit of this kind may set a key at all, locks aside."""
    return kind in LEVELS and LEVELS.index(deepest(key)) >= LEVELS.index(kind)


def resolve(chain: Sequence[tuple[Version, str]], found: list[tuple[tuple[str, ...], str]] | None = None) -> Resolved:
    """Return what the last of a chain of (version, kind of its unit) has, the organisation's own document first.

    Raises pydantic's ValidationError where the values do not agree with each other; with `found` that is added to it instead.
    """
    root, _ = chain[0]
    first = Origin(root.unit_code, root.policy_version)
    given = flat(root.content)
    origins = {key: first if key in given else Origin(root.unit_code, None) for key in keys()}
    locks = {key: first for key in keys() for lock in root.locks if covered(lock, key)}
    content = {**root.content, "policy_version": root.policy_version, "effective_from": root.effective_from.isoformat()}
    for name in ("unit", "locks"):
        content.pop(name, None)
    for version, kind in chain[1:]:
        here = Origin(version.unit_code, version.policy_version)
        taken = {key: value for key, value in flat(version.content).items() if key not in locks and may_set(key, kind)}
        for key, value in taken.items():
            section, _, name = key.partition(".")
            content[section] = {**content.get(section, {}), name: value} if name else value
            origins[key] = here
        if taken:
            content["policy_version"] = f"{content['policy_version']}+{version.policy_version}"
            content["effective_from"] = max(str(content["effective_from"]), version.effective_from.isoformat())
        locks |= {key: here for key in keys() for lock in version.locks if covered(lock, key) and key not in locks}
    return Resolved(read_document(content, found), origins, locks)


def chain_of(place: Place | None, versions: Mapping[str | None, Version], tree: Mapping[str, Place]) -> list[tuple[Version, str]]:
    """Return the documents that count for a unit, the organisation's own first; without a place only that one."""
    path = place.path if place is not None else ()
    return [(versions[None], "hq"), *((versions[unit], tree[unit].kind) for unit in path if unit in versions)]


def make_book(versions: Mapping[str | None, Version], tree: Mapping[str, Place]) -> PolicyBook:
    """Return the book of a day from the newest version of each unit (None: the organisation's own) and the tree."""
    base = resolve([(versions[None], "hq")]).document
    own = {unit for unit in versions if unit is not None}
    units = {}
    for place in _sorted(tree.values()):
        if place.kind in {"district", "branch"} and own & set(place.path):
            # A unit that was moved may inherit what its own values do not agree with: the close goes on all the same.
            document = resolve(chain_of(place, versions, tree), []).document
            if document.policy_version != base.policy_version:
                units[place.unit_code] = document
    branches = tuple(unit for unit in units if tree[unit].kind == "branch")
    return PolicyBook(base, units, branches)


def _sorted(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: place.unit_code)


def content_of(document: PolicyDocument) -> dict[str, Any]:
    """Return a whole document as the content of an organisation's version."""
    return {name: value for name, value in plain(document).items() if name not in {"policy_version", "effective_from"}}
