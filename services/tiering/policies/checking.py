"""What is refused in a policy file (规则校验), with the line and the reason, and what a good one sets.

A file is judged as it would count: laid over what its unit inherits on its day, then under what the units below have.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite
from typing import Any

from pydantic import ValidationError

from services.tiering.policies import toml
from services.tiering.policies.book import (
    LEVELS,
    Place,
    Resolved,
    Version,
    chain_of,
    covered,
    deepest,
    flat,
    may_set,
    resolve,
)
from services.tiering.policies.document import BEGINNING, SECTIONS, keys
from services.tiering.policies.toml import Refusal, Written
from services.tiering.policies.versions import PolicyHistory
from shared.problems import Invalid

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
HEADER = ("policy_version", "unit", "effective_from", "locks")
LAST_DAY = date(2100, 12, 31)
MOST_REFUSALS = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that was found good."""

    policy_version: str
    unit_code: str | None
    effective_from: date | None
    content: Mapping[str, Any]
    locks: tuple[str, ...]
    document: str

    @property
    def digest(self) -> str:
        """Return what the draft says, shortened: the same for the same unit, locks and values."""
        said = json.dumps([self.unit_code, self.locks, self.content], sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()

    def version(self, day: date) -> Version:
        """Return the draft as the version that it would be from a day on."""
        return Version(self.policy_version, self.unit_code, day, self.content, self.locks)


def refuse(refusals: list[Refusal]) -> Invalid:
    """Return the problem that says what is wrong with a file."""
    shown = [{"line": one.line, "key": one.key, "reason": one.reason} for one in refusals[:MOST_REFUSALS]]
    first = shown[0]
    at = (
        f"line {first['line']}: {first['key']}: {first['reason']}" if first["key"] else f"line {first['line']}: {first['reason']}"
    )
    more = f" ({len(refusals) - 1} more)" if len(refusals) > 1 else ""
    return Invalid(f"The policy is refused, {at}{more}.", "policy-invalid", extra={"errors": shown})


def unit_of(text: str) -> str | None:
    """Return the unit that a file names, whatever else it says."""
    written = toml.read(text)
    unit = None if isinstance(written, Refusal) else written.content.get("unit")
    return unit if isinstance(unit, str) else None


def check(text: str, published: PolicyHistory, today: date, closed: date | None, day: date | None = None) -> Draft:
    """Return what a file drafts. Raises Invalid `policy-invalid` with every line and reason.

    `closed` is the last closed month: nothing becomes effective in it or before. It is judged for `day`, else for the day that
    it names, else for today.
    """
    written = toml.read(text)
    if isinstance(written, Refusal):
        raise refuse([written])
    refusals = [*_header(written, published.tree, closed), *_keys(written)]
    if refusals:
        raise refuse(refusals)
    draft = _draft(written, text, published.tree)
    day = day or draft.effective_from or max(today, BEGINNING)
    refusals = [*_inherited(draft, written, published, day), *_values(draft, written, published, day)]
    if not refusals:
        refusals = [_refusal(written, at, reason) for at, reason in contradicted_below(draft, published, day)]
    if refusals:
        raise refuse(sorted(refusals, key=lambda one: one.line))
    return draft


def _draft(written: Written, text: str, tree: Mapping[str, Place]) -> Draft:
    unit = written.content.get("unit")
    content = {name: value for name, value in written.content.items() if name not in HEADER}
    return Draft(
        policy_version=written.content["policy_version"],
        unit_code=None if unit is None or tree[unit].kind == "hq" else unit,
        effective_from=written.content.get("effective_from"),
        content=json.loads(json.dumps(content, default=str)),
        locks=tuple(written.content.get("locks", ())),
        document=text,
    )


def _header(written: Written, tree: Mapping[str, Place], closed: date | None) -> Iterator[Refusal]:
    content = written.content
    version = content.get("policy_version")
    if not isinstance(version, str) or VERSION.fullmatch(version) is None or version == "effective":
        wanted = "a version is wanted: 1-64 letters, digits, points, dashes or underscores, for instance BR-SP.1"
        yield Refusal(written.line("policy_version"), "policy_version", wanted)
    unit = content.get("unit")
    kind = None
    if unit is not None:
        place = tree.get(unit) if isinstance(unit, str) else None
        kind = place.kind if place is not None else None
        if place is None:
            yield Refusal(written.line("unit"), "unit", f"there is no unit {unit}")
        elif kind not in LEVELS[:3]:
            yield Refusal(
                written.line("unit"), "unit", f"{unit} is an {kind}: the lowest unit with a policy of its own is a branch"
            )
    yield from _day(written, closed)
    yield from _locks(written, kind)


def _day(written: Written, closed: date | None) -> Iterator[Refusal]:
    day = written.content.get("effective_from")
    if day is None:
        return
    if not isinstance(day, date) or isinstance(day, datetime) or not BEGINNING <= day <= LAST_DAY:
        yield Refusal(written.line("effective_from"), "effective_from", "a day is wanted, like 2018-04-01")
    elif closed is not None and day.replace(day=1) <= closed:
        yield Refusal(written.line("effective_from"), "effective_from", closed_reason(day, closed))


def closed_reason(day: date, closed: date) -> str:
    """Return why nothing becomes effective on a day of a closed month."""
    return f"{day} lies in a closed month: {closed:%Y-%m} is closed, and what was decided stays"


def _locks(written: Written, kind: str | None) -> Iterator[Refusal]:
    locks = written.content.get("locks", [])
    line = written.line("locks")
    if not isinstance(locks, list) or not all(isinstance(lock, str) for lock in locks):
        yield Refusal(line, "locks", "a list of keys or sections is wanted")
        return
    if locks and kind == "branch":
        yield Refusal(line, "locks", "a branch has nobody below it whom a lock would bind")
    for lock in locks:
        if not any(covered(lock, key) for key in keys()):
            yield Refusal(line, "locks", f"there is no key {lock}")


def _keys(written: Written) -> Iterator[Refusal]:
    known = set(keys())
    for name, value in written.content.items():
        if name in SECTIONS and not isinstance(value, dict):
            yield Refusal(written.line(name), name, f"a section is wanted: [{name}]")
        elif name not in SECTIONS and name not in known and name not in HEADER:
            yield Refusal(written.line(name), name, "there is no such key")
    for key, value in flat(written.content).items():
        if "." in key and key not in known:
            yield Refusal(written.line(key), key, "there is no such key")
        elif isinstance(value, float) and not isfinite(value):
            yield Refusal(written.line(key), key, "a finite number is wanted")


def _inherited(draft: Draft, written: Written, published: PolicyHistory, day: date) -> Iterator[Refusal]:
    """Refuse keys that are decided higher up, or locked there."""
    if draft.unit_code is None:
        return
    place = published.tree[draft.unit_code]
    above = above_of(draft, published, day)
    for key in flat(draft.content):
        if not may_set(key, place.kind):
            yield Refusal(written.line(key), key, f"it is decided per {deepest(key)}: a {place.kind} has no value of its own")
        elif key in above.locks:
            lock = above.locks[key]
            yield Refusal(written.line(key), key, f"it is locked by {lock.unit_code or 'HQ'} ({lock.policy_version})")


def above_of(draft: Draft, published: PolicyHistory, day: date) -> Resolved:
    """Return what the draft's unit inherits on a day."""
    newest = published.newest(day)
    newest.pop(draft.unit_code, None)
    return resolve(chain_of(published.tree[draft.unit_code or ""], newest, published.tree), [])


def _values(draft: Draft, written: Written, published: PolicyHistory, day: date) -> Iterator[Refusal]:
    """Refuse values of a wrong type or size, contradictions, and units that nobody knows."""
    newest = published.newest(day) | {draft.unit_code: draft.version(day)}
    place = published.tree.get(draft.unit_code) if draft.unit_code is not None else None
    found: list[tuple[tuple[str, ...], str]] = []
    try:
        document = resolve(chain_of(place, newest, published.tree), found).document
    except ValidationError as error:
        for one in error.errors():
            key = ".".join(str(part) for part in one["loc"] if part != "[key]")
            yield Refusal(written.line(key), key, one["msg"])
        return
    for at, reason in found:
        yield _refusal(written, at, reason)
    for unit in document.entitlements.non_insured_units:
        if unit not in published.tree and "entitlements.non_insured_units" in flat(draft.content):
            key = "entitlements.non_insured_units"
            yield Refusal(written.line(key), key, f"there is no unit {unit}")


def _refusal(written: Written, at: tuple[str, ...], reason: str) -> Refusal:
    """Return a refusal of keys that do not agree: at the last of them that the file sets."""
    key = max((key for key in at if key in written.lines), key=written.line, default=at[-1])
    return Refusal(written.line(key), key, reason)


def contradicted_below(draft: Draft, published: PolicyHistory, day: date) -> list[tuple[tuple[str, ...], str]]:
    """Return where the draft would make a unit below, or a version already published for later, contradict itself."""
    later = sorted({version.effective_from for version in published.versions if version.effective_from > day})
    found: list[tuple[tuple[str, ...], str]] = []
    for when in (day, *later):
        newest = published.newest(when)
        mine = newest.get(draft.unit_code)
        if mine is not None and mine.effective_from > day:
            break
        newest |= {draft.unit_code: draft.version(day)}
        for unit in newest:
            if unit is None or unit == draft.unit_code:
                continue
            place = published.tree.get(unit)
            if place is None or (draft.unit_code is not None and draft.unit_code not in place.path):
                continue
            broken: list[tuple[tuple[str, ...], str]] = []
            resolve(chain_of(place, newest, published.tree), broken)
            found += [(at, f"{unit} ({newest[unit].policy_version}) would contradict it: {reason}") for at, reason in broken]
    return list(dict.fromkeys(found))
