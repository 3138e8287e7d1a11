"""The OpenAPI document of a service as a plain page: it needs no script and nothing from other machines."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from shared.access import POLICY

Json = Mapping[str, Any]
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code{background:#f3f3f3;padding:.1em .3em}td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
    "h2{margin:2rem 0 .2rem;font-size:1.1rem}"
)


def render(document: Json) -> str:
    """Return the page: each operation with who may do it, what it takes and what it answers."""
    parts = document["components"]["schemas"]
    operations = "".join(
        _operation(method.upper(), path, operation, parts)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>'
        f'<p>The same for programs: <a href="openapi.json">OpenAPI</a>.</p>{operations}</html>'
    )


def _operation(method: str, path: str, operation: Json, parts: Json) -> str:
    rule = POLICY.get(operation["operationId"])
    who = f"<p>For {', '.join(sorted(rule.roles))}.</p>" if rule else ""
    rows = "".join(_rows(operation, parts))
    return (
        f"<h2>{escape(operation.get('summary', ''))}</h2><p><code>{method} {escape(path)}</code></p>"
        f"<p>{escape(operation.get('description', ''))}</p>{who}<table>{rows}</table>"
    )


def _rows(operation: Json, parts: Json) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        where = f"{parameter['in']}{'' if parameter.get('required') else ', optional'}"
        yield _row(parameter["name"], where, _kind(parameter["schema"]), parameter.get("description", ""))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        yield from _members("body", body["schema"], parts)
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json") if status.startswith("2") else None
        if content:
            yield from _members(status, content["schema"], parts)


def _members(where: str, schema: Json, parts: Json) -> Iterator[str]:
    """Yield a row for each member of a body, and of the items of a list."""
    named = parts.get(schema.get("$ref", "").rpartition("/")[2], schema)
    for name, member in named.get("properties", {}).items():
        yield _row(name, where, _kind(member), member.get("description", ""))
        if member.get("type") == "array" and "$ref" in member.get("items", {}):
            yield from _members(f"{where}, {name}[]", member["items"], parts)


def _row(name: str, where: str, kind: str, about: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{escape(where)}<td>{escape(kind)}<td>{escape(about)}</tr>"


def _kind(schema: Json) -> str:
    """Return the type in few words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")
