"""Hot reads: operations that are answered without what FastAPI does for every other one.

FastAPI opens three exit stacks per request and solves a graph of dependencies; for a read of one row that is a third of the time.
An operation marked with `answered_directly` takes the request and values of its path, and nothing else. It is in the OpenAPI
document, in the access policy and in the metrics as any other; the caller is authorized first, and refusals are the same: a
request with a query, or with a value of the path that is not valid, goes the usual way.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def answered_directly(endpoint: Endpoint) -> Endpoint:
    """Mark an operation as a hot read; it asks `caller_of(request)` who the caller is."""
    endpoint.answered_directly = True  # type: ignore[attr-defined]
    return endpoint


def is_marked(endpoint: Callable[..., Any]) -> bool:
    """Say whether an operation is a hot read."""
    return getattr(endpoint, "answered_directly", False)


def answer(route: APIRoute, usual: ASGIApp, authorize: Callable[[Request], Awaitable[Any]]) -> ASGIApp:
    """Return the application of a route that is a hot read. Raises RuntimeError where it takes more than values of its path."""
    needed = route.dependant
    if needed.dependencies or needed.query_params or needed.header_params or needed.cookie_params or needed.body_params:
        raise RuntimeError(f"{route.name} is answered directly and takes more than the request and values of its path")
    name = needed.request_param_name or "request"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            await usual(scope, receive, send)
            return
        given = scope["path_params"]
        values: dict[str, Any] = {}
        for field in needed.path_params:
            values[field.name], errors = field.validate(given[field.alias], loc=("path", field.alias))
            if errors:
                await usual(scope, receive, send)
                return
        request = values[name] = Request(scope, receive)
        scope["crm.caller"] = await authorize(request)
        await (await route.endpoint(**values))(scope, receive, send)

    return app
