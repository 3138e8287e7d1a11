"""A policy as a TOML file: read with the line of every key, so that a refusal can point at it, and written back."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

_ARRAY = re.compile(r"^\s*\[\[\s*([A-Za-z0-9_.\s-]+?)\s*\]\]")
_TABLE = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\s-]+?)\s*\]")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")
_AT = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")
LONGEST = 100_000
"""Characters of the longest file."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is refused: the line, the key that stands there, and the reason."""

    line: int
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, and on which line each key stands."""

    content: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)

    def line(self, *keys: str) -> int:
        """Return the line of the last of these keys, or of what they stand in; 1 where none is in the file."""
        return max((self._line(key) for key in keys), default=1)

    def _line(self, key: str) -> int:
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key.rpartition(".")[0]
        return 1


def read(text: str) -> Written | Refusal:
    """Read a file; one that is no TOML is a refusal with its line."""
    if len(text) > LONGEST:
        return Refusal(1, "", f"a policy has at most {LONGEST} characters")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        at = _AT.search(said)
        line = int(at[1]) if at is not None and at[1] else text.count("\n") + 1
        return Refusal(line, "", _AT.sub("", said))
    except ValueError as error:  # a number of thousands of digits
        return Refusal(1, "", str(error))
    except RecursionError:
        return Refusal(1, "", "it is nested too deeply")
    return Written(content, _lines(text))


def _lines(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if array := _ARRAY.match(line):
            name = _inside(_dotted(array[1]), counts)
            counts[name] = counts.get(name, -1) + 1
            prefix = f"{name}.{counts[name]}"
            found.setdefault(name, number)
            found[prefix] = number
        elif table := _TABLE.match(line):
            prefix = _inside(_dotted(table[1]), counts)
            found.setdefault(prefix, number)
        elif key := _KEY.match(line):
            name = _dotted(key[1])
            found.setdefault(f"{prefix}.{name}" if prefix else name, number)
    return found


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _inside(name: str, counts: Mapping[str, int]) -> str:
    """Return the name with the number of the array's row that it stands in."""
    path = ""
    parts = name.split(".")
    for part in parts[:-1]:
        path = f"{path}.{part}" if path else part
        if path in counts:
            path = f"{path}.{counts[path]}"
    return f"{path}.{parts[-1]}" if path else parts[-1]


def write(content: Mapping[str, Any]) -> str:
    """Write a document's content as a file, which reads back as the same."""
    plain = {name: value for name, value in content.items() if not _is_table(value)}
    lines = [f"{name} = {_value(value)}" for name, value in plain.items()]
    for name, value in content.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_value(inner)}" for key, inner in value.items() if inner is not None)]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{name}]]", *(f"{key} = {_value(inner)}" for key, inner in row.items() if inner is not None)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, Sequence) and len(value) > 0 and isinstance(value[0], Mapping))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | date):
        return str(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
    return "[" + ", ".join(_value(inner) for inner in value) + "]"
