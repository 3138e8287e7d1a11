"""The generated documents, all of them: OpenAPI per service, schemas and AsyncAPI of the events, the table of settings.

`python -m services.documents write` (`make docs`) writes them, `check` (`make check`) refuses stale ones with exit code 1.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from shared import contracts, settings

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "openapi"


def openapi(service: str) -> str:
    """Return a service's OpenAPI document, in a stable order."""
    document = import_module(f"services.{service}.main").app.openapi()
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check every document; returns the exit code."""
    if arguments not in (["write"], ["check"]):
        print("usage: python -m services.documents write|check", file=sys.stderr)  # noqa: T201
        return 2
    stale = []
    for service in settings.SERVICES:
        path = FOLDER / f"{service}.json"
        wanted = openapi(service)
        if arguments == ["write"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            stale.append(path.name)
    if stale:
        print(f"docs/openapi: {', '.join(stale)} stale: make docs", file=sys.stderr)  # noqa: T201
    return max(bool(stale), contracts.main(arguments), settings.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
