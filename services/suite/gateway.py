"""All four services behind one port, with the suite's own health and a plain page for whoever opens it in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from services.suite import history, page
from shared.clock import business_now, shanghai
from shared.db import is_infrastructure
from shared.identity import make_token
from shared.local.workplace import Workplace
from shared.problems import MEDIA_TYPE, Problem
from shared.settings import SERVICES, Settings


def create_gateway(settings: Settings) -> Starlette:
    """Return the application that `crm serve all` runs."""
    apps = {name: import_module(f"services.{name}.main").app for name in SERVICES}

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    gateway = Starlette(
        routes=[
            Route("/", _front_page),
            Route("/healthz", _health),
            *(Mount(f"/{name}", app=app) for name, app in apps.items()),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))],
        lifespan=lifespan,
        exception_handlers={HTTPException: _refuse},
    )
    gateway.state.settings = settings
    gateway.state.customer = apps["customer"]
    return gateway


async def _read_clock(request: Request) -> dict[str, Any]:
    """Return the business clock and how far the replay is.

    `running` from the first answer until the last close has settled, `none` where there is nothing to replay.
    """
    async with request.app.state.customer.state.database.transaction() as session:
        now = await business_now(session)
        row = (await session.execute(text("SELECT at, driven FROM business_clock"))).first()
    state = "none" if row is None else "running" if row.driven else "done"
    return {
        "clock": shanghai(now).isoformat(timespec="seconds"),
        "replay": {"state": state, "business_date": shanghai(now).date().isoformat()},
    }


async def _health(request: Request) -> Response:
    try:
        return JSONResponse({"status": "ok", **await _read_clock(request)})
    except Exception as error:
        if not is_infrastructure(error):
            raise
        return JSONResponse({"status": "unavailable"}, 503)


async def _front_page(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    try:
        clock = await _read_clock(request)
        async with request.app.state.customer.state.database.transaction(page.EVERYTHING) as session:
            accounts = await page.accounts(session)
            root = await page.root_unit(session)
    except Exception as error:
        if not is_infrastructure(error):
            raise
        return HTMLResponse(page.AWAY, 503)
    token = make_token(settings, "ops_hq", root) if settings.local_identity and root else None
    origin = history.origin(history.kept(Workplace(settings.local)))
    return HTMLResponse(
        page.render(clock, origin, accounts, token, str(request.base_url).rstrip("/")), headers={"Cache-Control": "no-store"}
    )


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer what no service answers, in the services' own way."""
    assert isinstance(error, HTTPException)
    slug, title, detail = (
        ("no-such-path", "There is nothing at this address", f"The services are below /{', /'.join(SERVICES)}.")
        if error.status_code == 404
        else ("method-not-allowed", "Method not allowed", "This address is only read.")
    )
    return Response(Problem(error.status_code, slug, title, detail).body(), error.status_code, error.headers, MEDIA_TYPE)
