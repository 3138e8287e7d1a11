"""Applications under test: started with settings of their own, called through their whole ASGI stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from shared.identity import make_token
from shared.settings import Settings, load_settings
from tests.conftest import Server


def settings_of(service: str, postgres: Server, database: str, local: Path, **more: Any) -> Settings:
    """Settings of one service on a test database, with keys of its own."""
    return load_settings(**{f"{service}_database_url": postgres.url(f"{service}_app", database), "local": local} | more)


@asynccontextmanager
async def serving(app: FastAPI, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Start an application and lend a client of it."""
    app.state.settings = settings
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client,
    ):
        yield client


_tokens: dict[tuple[Path, str, str | None, str | None, str | None], str] = {}


def bearer(
    settings: Settings, role: str = "ops_hq", unit: str | None = None, account: str | None = None, person: str | None = None
) -> dict[str, str]:
    """The header of a caller; the same caller has the same token."""
    key = (settings.local, role, unit, account, person)
    if key not in _tokens:
        _tokens[key] = make_token(settings, role, unit, person, account)
    return {"Authorization": f"Bearer {_tokens[key]}"}
