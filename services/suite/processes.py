"""The suite's own processes: one for HTTP, and for each service one that handles events and one that sends them."""

from __future__ import annotations

import os
from functools import partial

from services.suite.forked import Nursery
from shared.local.supervisor import Job
from shared.local.workplace import Workplace
from shared.settings import PREFIX, SERVICES, Settings

RANK = 1
"""They end before the servers."""
PATIENCE_SECONDS = 2.0
"""Long enough for a transaction; whoever takes longer is killed, which loses nothing."""


def jobs(nursery: Nursery, settings: Settings, place: Workplace, port: int) -> list[Job]:
    """Return one job for each process."""
    environment = _environment(settings, place)
    commands = {"web": ["serve", "all", "--port", str(port)]}
    for service in SERVICES:
        commands[f"{service}-work"] = ["work", service]
        commands[f"{service}-relay"] = ["relay", service]
    return [
        Job(name, partial(nursery.launch, command, environment, place.logs / f"{name}.log"), RANK, PATIENCE_SECONDS)
        for name, command in commands.items()
    ]


def _environment(settings: Settings, place: Workplace) -> dict[str, str]:
    """Return our environment with the servers in it; a process needs no owner of tables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or "OWNER" not in name}
    own |= {f"{PREFIX}{name.upper()}_DATABASE_URL": settings.database_url(name) for name in SERVICES}
    own |= {f"{PREFIX}KAFKA_BOOTSTRAP": settings.bootstrap(), f"{PREFIX}LOCAL": str(place.root)}
    return own
