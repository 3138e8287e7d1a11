"""The HTTP base of the four services: what a route may ask for, and the application around its router.

A service's `routes.py` is `router = Router()` with functions like this one; its name is the operation in `shared/access.py`:

    @router.get("/v1/tiers", name="tiering.list_tiers", summary="Tiers of a quarter", responses=PROBLEMS)
    async def list_tiers(session: Session, caller: Caller, unit: UnitFilter, page: Page) -> TierList: ...

    @router.post("/v1/tasks/{task_id}/claim", name="retention.claim_task", summary="Claim a task", responses=PROBLEMS)
    async def claim_task(session: Session, caller: Caller, idempotent: Idempotent, task_id: Id) -> Task: ...

Every route of such a router asks for a token and checks its roles first, whatever it declares: 401, or 403 where the policy does
not let them do the operation.

* `Caller`: who asks; `caller_of(request)` gives a hot read the same for less.
* `Session`: a transaction in the caller's scope that commits *before* the answer is sent; a commit that fails is a 5xx.
* `UnitFilter`: the unit asked for, else the caller's own; 404 outside the caller's subtree. For a shipper it is the root: such a
  list filters by `caller.account_no` as well.
* `AccountInScope`: the path's `account_no`, 404 unless it is an account in the caller's subtree (or the shipper's own).
* `Idempotent`: the header `Idempotency-Key` (shared/idempotency.py); every POST declares it, a PUT may.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from shared import api_page, direct, idempotency, identity, observability
from shared.access import POLICY, Reach, Role, Rule, check_policy
from shared.db import Database
from shared.edge import Edge
from shared.problems import MEDIA_TYPE, Forbidden, Invalid, NotFound, Problem
from shared.schemas import AccountNo, UnitCode
from shared.settings import Settings, load_settings

_REFUSALS = {
    400: "The Host header or the connection is not as it should be.",
    401: "No bearer token, or one that is not believed.",
    403: "The caller's roles do not allow the operation.",
    404: "It does not exist, or lies outside the caller's unit.",
    409: "The state of the thing does not allow it, or the first request with this Idempotency-Key still runs.",
    413: "The body has more than 1 MiB.",
    415: "The body is not application/json.",
    422: "The request is not valid.",
    500: "The request failed here.",
    503: "A server that the answer needs is away.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text_, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, text_ in _REFUSALS.items()
}
"""The refusals of every operation, for its OpenAPI description."""


async def _root_unit(request: Request) -> str | None:
    """Return the code of the organisation's root, None before there is one. It never changes, so it is asked for once."""
    state = request.app.state
    if state.root_unit is None:
        async with state.database.transaction() as session:
            state.root_unit = (await session.execute(text("SELECT unit_code FROM units WHERE kind = 'hq'"))).scalar()
    known: str | None = state.root_unit
    return known


async def _authorize(request: Request) -> identity.Caller:
    """Return who asks. Raises Unauthorized, or Forbidden where the policy does not let the caller's roles do the operation."""
    state = request.app.state
    header: bytes = request.scope["crm.headers"].get(b"authorization", b"")
    caller: identity.Caller = await state.identity.caller(header.decode("latin-1"))
    rule: Rule = state.rules[request.scope["route"].name]
    if not rule.roles & caller.roles:
        raise Forbidden("Your roles do not allow this operation.")
    if caller.unit_code is None and rule.reach is not Reach.ROOT:
        return caller
    root = state.root_unit or await _root_unit(request)
    if rule.reach is Reach.ROOT and root is not None and caller.unit_code != root:
        raise Forbidden("Only the organisation's root unit may do this.", "root-unit-only")
    whole = caller.unit_code == root or rule.reach is Reach.ROOT
    return replace(caller, everything=True) if whole else caller


def caller_of(request: Request) -> identity.Caller:
    """Return who asks: for a hot read, which saves the cost of a FastAPI dependency (about 15 microseconds)."""
    caller: identity.Caller = request.scope["crm.caller"]
    return caller


async def _caller(request: Request) -> identity.Caller:
    return caller_of(request)


Caller = Annotated[identity.Caller, Depends(_caller)]
"""Who asks, with the right to ask this."""


async def _session(request: Request, caller: Caller) -> AsyncIterator[AsyncSession]:
    async with request.app.state.database.transaction(caller.scope) as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""The transaction of the request; FastAPI ends a "function" scope, and so commits, before it sends the answer."""


async def _unit(
    request: Request,
    session: Session,
    caller: Caller,
    unit: Annotated[
        UnitCode | None, Query(description="Only what lies in this unit's subtree; default: the caller's own unit.")
    ] = None,
) -> str:
    if Role.SHIPPER in caller.roles and unit is None:
        return await _root_unit(request) or ""
    own = caller.unit_code or ""
    if unit is None or unit == own:
        return own
    inside = text("SELECT 1 FROM unit_ancestors WHERE unit_code = :unit AND ancestor_code = :own")
    if (await session.execute(inside, {"unit": unit, "own": own})).first() is None:
        raise NotFound("unit", unit)
    return unit


UnitFilter = Annotated[str, Depends(_unit)]
"""The unit whose subtree a list shows."""


async def _account(
    session: Session, caller: Caller, account_no: Annotated[AccountNo, Path(description="Number of the settlement account.")]
) -> str:
    found = await session.execute(
        text(
            "SELECT 1 FROM accounts x WHERE x.account_no = :account AND (:whole OR x.account_no = :own OR EXISTS (SELECT FROM "
            "unit_ancestors a WHERE a.unit_code = x.unit_code AND a.ancestor_code = :unit))"
        ),
        {"account": account_no, "whole": caller.everything, "own": caller.account_no, "unit": caller.unit_code},
    )
    if found.first() is None:
        raise NotFound("account", account_no)
    return account_no


AccountInScope = Annotated[str, Depends(_account)]
"""The account named in the path, where the caller may see it."""


async def _idempotent(
    request: Request,
    session: Session,
    caller: Caller,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=idempotency.MAX_KEY + 2,
            pattern=idempotency.KEY,
            description="Sent again with the same key, a request has its effect once.",
        ),
    ] = None,
) -> None:
    if key is None:
        return
    digest = idempotency.hash_request(
        caller, request.method, request.url.path, request.scope["query_string"], await request.body()
    )
    request.scope["crm.claim"] = await idempotency.claim(session, caller, request.scope["route"].name, key, digest)


Idempotent = Annotated[None, Depends(_idempotent)]
"""The parameter that a POST declares."""


class Route(APIRoute):
    """A route that answers authorized callers only, before it reads what they sent.

    It keeps its answer with an Idempotency-Key's effect, in the transaction that is still open.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if direct.is_marked(self.endpoint):
            self.app = direct.answer(self, self.app, _authorize)

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the handler, which returns when the answer is rendered and before the session commits."""
        handle = super().get_route_handler()
        known = frozenset(one.alias for one in get_flat_params(self.dependant) if isinstance(one.field_info, params.Query))

        async def answer(request: Request) -> Response:
            request.scope["crm.caller"] = await _authorize(request)
            _refuse_unknown(request.query_params.keys() - known, known)
            try:
                response: Response = await handle(request)
            except idempotency.Replay as first:
                headers = {"Idempotency-Replayed": "true"}
                return Response(first.body, first.status, headers, media_type="application/json")
            claim: idempotency.Claim | None = request.scope.get("crm.claim")
            if claim is not None:
                await claim.keep(response.status_code, bytes(response.body))
            return response

        return answer


def _refuse_unknown(unknown: Set[str], known: Set[str]) -> None:
    """Refuse parameters that the operation does not have: a filter with a slip in its name would quietly show everything."""
    if unknown:
        allowed = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        shown = ", ".join(f"`{name[:40]}`" for name in sorted(unknown)[:3])
        raise Invalid(f"There is no parameter {shown} here; allowed: {allowed}.", "unknown-parameter")


def Router(*rooms: APIRouter) -> APIRouter:  # noqa: N802 - reads like the class it makes
    """Make a service's router, or one that holds the routes of several rooms."""
    router = APIRouter(route_class=Route, generate_unique_id_function=lambda route: route.name)
    for room in rooms:
        router.routes.extend(room.routes)
    return router


def create_app(service: str, router: APIRouter, title: str, settings: Settings | None = None) -> FastAPI:
    """Make a service's application. `settings` default to the environment, read when it starts.

    Raises RuntimeError where routes and the access policy differ, or a POST does not take an Idempotency-Key.
    """
    operations = list(_check_routes(router))
    check_policy(service, operations)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _opened(app, service):
            yield

    app = FastAPI(
        title=title,
        version="1",
        lifespan=lifespan,
        docs_url=None,  # ours: FastAPI's loads its scripts from other machines
        redoc_url=None,
        routes=list(router.routes),  # an included router would match each request twice
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.settings = settings
    app.state.allowed_hosts = frozenset()
    app.state.root_unit = None
    app.state.operations = router.routes
    app.state.rules = {operation: POLICY[operation] for operation in operations}
    app.state.checks = {}
    for path in ("/healthz", "/readyz", "/metrics"):
        app.add_api_route(path, _probe(service), name=f"probe{path}", include_in_schema=False)
    app.add_route("/docs", _show_api, include_in_schema=False)
    app.add_middleware(Edge, service=service, state=app.state)
    for kind, handler in ((Problem, _on_problem), (RequestValidationError, _on_invalid), (HTTPException, _on_http)):
        app.add_exception_handler(kind, handler)
    _describe(app)
    return app


@asynccontextmanager
async def _opened(app: FastAPI, service: str) -> AsyncIterator[None]:
    settings: Settings = app.state.settings or load_settings()
    app.state.settings = settings
    database = Database(service, settings.database_url(service), "web", settings.pool_size)
    await database.open()
    app.state.database = database
    app.state.identity = identity.Identity(settings)
    app.state.cursor_key = hmac.digest(identity.data_key(settings), b"cursors", hashlib.sha256)
    app.state.allowed_hosts = frozenset(host.encode() for host in settings.allowed_hosts)
    app.state.checks["database"] = lambda: _ask(database)
    if settings.kafka_bootstrap:
        app.state.checks["bus"] = observability.bus_check(settings.kafka_bootstrap)
    try:
        yield
    finally:
        await database.close()


async def _ask(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("SELECT 1"))


async def _show_api(request: Request) -> Response:
    return HTMLResponse(api_page.render(request.app.openapi()))


def _probe(service: str) -> Callable[[Request], Awaitable[Response]]:
    async def probe(request: Request) -> Response:
        answer = await observability.answer_probe(request.scope["route"].path, service, request.app.state.checks)
        assert answer is not None
        status, media_type, body = answer
        return Response(body, status, media_type=media_type)

    return probe


def _check_routes(router: APIRouter) -> Iterator[str]:
    for route in router.routes:
        if not isinstance(route, Route):
            raise RuntimeError(f"{route} is open to everybody: its router is made with shared.http.Router()")  # noqa: TRY004
        if "POST" in (route.methods or ()) and all(needed.call is not _idempotent for needed in route.dependant.dependencies):
            raise RuntimeError(f"{route.name} is a POST and does not declare `idempotent: Idempotent`")
        yield route.name


def _answer(problem: Problem) -> Response:
    return Response(problem.body(observability.trace_id()), problem.status, problem.headers, media_type=MEDIA_TYPE)


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """Say what is wrong and where, never what was sent: it may be personal."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"where": ".".join(map(str, fault["loc"]))[:200], "what": fault["msg"].removeprefix("Value error, ")}
        for fault in error.errors()[:20]
    ]
    return _answer(
        Invalid(
            "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:3]), "invalid-request", extra={"errors": faults}
        )
    )


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slugs = {404: ("no-such-path", "There is nothing at this address"), 405: ("method-not-allowed", "Method not allowed")}
    slug, title = slugs.get(error.status_code, ("invalid-request", "The request is not valid"))
    headers = {"Allow": _methods_at(request)} if error.status_code == 405 else error.headers
    return _answer(Problem(error.status_code, slug, title, headers=headers))


def _methods_at(request: Request) -> str:
    """Name all methods of an address: Starlette names those of the first route that matches."""
    path = get_route_path(request.scope)
    routes: list[APIRoute] = request.app.state.operations
    return ", ".join(sorted(method for route in routes if route.path_regex.match(path) for method in route.methods or ()))


def _describe(app: FastAPI) -> None:
    """Add to the OpenAPI document what FastAPI cannot know: the problem's shape and the bearer token."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = {
                "type": "object",
                "required": ["type", "title", "status"],
                "properties": {
                    "type": {"type": "string", "description": "Stable: /problems/<slug>."},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "trace_id": {"type": "string"},
                },
            }
            parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
            document["security"] = [{"bearer": []}]
        schema: dict[str, Any] = app.openapi_schema or {}
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
