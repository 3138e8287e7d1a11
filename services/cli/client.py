"""What commands ask the services over HTTP, as a person of a role and a unit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.common import CommandError, ask_one, connected_settings

if TYPE_CHECKING:
    import httpx2

SECONDS = 30.0
RoleOption = Annotated[str, typer.Option("--role", help="In which role you ask.")]
UnitOption = Annotated[str | None, typer.Option("--as-unit", help="Of which unit you are; default: the organisation's root.")]
PersonOption = Annotated[str | None, typer.Option("--as", help="Who you are; the name is stored with what you do.")]


class Refused(CommandError):  # noqa: N818 - says what happened
    """A service refused: the problem that it answered with."""

    def __init__(self, problem: dict[str, Any], status: int) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or status), 2 if status < 500 else 1)
        self.problem = problem


class Door:
    """A service's HTTP door."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer. Raises Refused with the problem, CommandError where nobody answers."""
        return (await self._answer(method, path, body)).json()

    async def fetch(self, path: str) -> bytes:
        """Return the content of a file. Raises like `ask`."""
        return (await self._answer("GET", path)).content

    async def _answer(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        import httpx2

        try:
            answer = await self._client.request(method, path, json=body)
        except httpx2.TransportError as error:
            raise CommandError("The suite does not answer; is it running (make run)?") from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
        except ValueError:
            problem = {"detail": answer.text[:300]}
        raise Refused(problem, answer.status_code)

    async def pages(self, path: str) -> list[dict[str, Any]]:
        """Return all items of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor = None
        while True:
            more = f"{'&' if '?' in path else '?'}limit=200" + (f"&cursor={cursor}" if cursor else "")
            page = await self.ask("GET", path + more)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items


@asynccontextmanager
async def door(service: str, role: str, unit: str | None = None, person: str | None = None) -> AsyncIterator[Door]:
    """Open a service's door for a person of a role and a unit (None: the root)."""
    import httpx2

    from shared.identity import make_token
    from shared.local.workplace import Workplace

    settings = connected_settings()
    root = unit or await ask_one(
        settings, "customer", lambda _, connection: connection.fetchval("SELECT unit_code FROM units WHERE kind = 'hq'")
    )
    try:
        token = make_token(settings, role, root or "HQ", person)
    except ValueError as error:
        raise CommandError(f"{error}.", 2) from None
    url = Workplace(settings.local).read_state().get("http", f"http://{settings.http_host}:{settings.http_port}")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=f"{url}/{service}", headers=headers, timeout=SECONDS, trust_env=False) as client:
        yield Door(client)
