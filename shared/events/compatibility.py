"""What may change in an event type within its major version, and what needs a new type `.v2`.

Old and new versions of publisher and reader run side by side, and old events are read for ever, so a change must work in
both directions: new readers read what was ever published, and readers that are still old read what is published now. That
leaves little: an optional field may come, an optional field may go, an open list of known values may grow, words in
descriptions may change. Everything else is refused, also a loosened limit: an old reader would park what lies beyond it.
"""

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_FIXED = (
    *("type", "format", "pattern", "const", "default", "x-topic", "x-key"),
    *("additionalProperties", "uniqueItems", "minItems", "maxItems", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
"""Keywords that stay as they are: each says which values a reader accepts, or where and in which order it finds them."""

_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def incompatible_changes(old: Schema, new: Schema) -> list[str]:
    """Return what an older or newer reader would not survive, one sentence each; empty where the change is compatible.

    Both are exported schemas of one type, as `shared/events/schemas/` holds them.
    """
    return list(_compare("the event", inlined(old), inlined(new)))


def inlined(schema: Schema) -> dict[str, Any]:
    """Return the schema without `$defs`, each reference replaced by what it refers to (events are never recursive)."""
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, Mapping):
            return node
        target = definitions[node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else {}
        merged = {**target, **{keyword: value for keyword, value in node.items() if keyword not in {"$ref", "$defs"}}}
        return {keyword: resolve(value) for keyword, value in merged.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def _compare(path: str, old: Schema, new: Schema) -> list[str]:
    found = [
        f"{path}: {keyword} changed from {_shown(old, keyword)} to {_shown(new, keyword)}"
        for keyword in _FIXED
        if old.get(keyword, _ABSENT) != new.get(keyword, _ABSENT)
    ]
    found += _compare_values(path, old, new)
    found += _compare_fields(path, old, new)
    if "items" in old and "items" in new:
        found += _compare(f"{path}[]", old["items"], new["items"])
    elif ("items" in old) != ("items" in new):
        found.append(f"{path}: what the list holds changed")
    for keyword in _LISTS:
        found += _compare_alternatives(path, old.get(keyword, []), new.get(keyword, []))
    return found


_ABSENT = object()


def _shown(schema: Schema, keyword: str) -> str:
    return json.dumps(schema[keyword]) if keyword in schema else "nothing"


def _compare_values(path: str, old: Schema, new: Schema) -> list[str]:
    """A closed list stays as it is: readers refuse what is not on it. An open one, of values that rules know, may grow."""
    if ("enum" in old) != ("enum" in new):
        return [f"{path}: the list of allowed values {'is new' if 'enum' in new else 'was dropped'}"]
    before, after = old.get("enum", []), new.get("enum", [])
    found = [f"{path}: the value {json.dumps(value)} was removed" for value in before if value not in after]
    found += [f"{path}: the value {json.dumps(value)} is new" for value in after if value not in before]
    known = new.get("x-known-values", [])
    found += [
        f"{path}: the known value {json.dumps(value)} was removed"
        for value in old.get("x-known-values", [])
        if value not in known
    ]
    return found


def _compare_fields(path: str, old: Schema, new: Schema) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    must, must_now = set(old.get("required", [])), set(new.get("required", []))
    found = [f"{path}.{name} was required and is gone" for name in sorted(must - set(after))]
    found += [f"{path}.{name} is new and required" for name in sorted(must_now - set(before))]
    for name in before.keys() & after.keys():
        if (name in must) != (name in must_now):
            found.append(f"{path}.{name} is {'now' if name in must_now else 'no longer'} required")
    for name, schema in after.items():
        if name in before:
            found += _compare(f"{path}.{name}", before[name], schema)
    return sorted(found)


def _compare_alternatives(path: str, old: list[Schema], new: list[Schema]) -> list[str]:
    """Alternatives (a value or null) are compared pairwise, in their order; their number stays."""
    if len(old) != len(new):
        return [f"{path}: the alternatives changed (null was added or taken away, or a type)"]
    return [change for before, after in zip(old, new, strict=True) for change in _compare(path, before, after)]
