"""The suite's own customer service, served as `crm serve customer` does, and ended with the bench."""

from __future__ import annotations

import sys

from services.cli.processes import serve
from shared.local.children import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    serve("customer", int(sys.argv[1]))
