"""A small service on a real database: every part of the HTTP base has a route that uses it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from unittest import mock

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI, Query
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access import ALL, HQ_OPERATORS, POLICY, STAFF, Reach, Rule
from shared.db import before_commit
from shared.http import PROBLEMS, AccountInScope, Caller, Idempotent, Router, Session, UnitFilter, create_app
from shared.paging import Page, paged
from shared.problems import Conflict
from shared.schemas import AnswerModel, Instant, StrictModel
from shared.settings import Settings
from tests.conftest import Server
from tests.serving import bearer, serving, settings_of

RULES = {
    "tickets.list_rows": Rule(ALL, Reach.UNIT),
    "tickets.list_wall": Rule(ALL, Reach.UNIT),
    "tickets.read_row": Rule(ALL, Reach.ACCOUNT),
    "tickets.make_row": Rule(STAFF, Reach.UNIT),
    "tickets.put_all": Rule(HQ_OPERATORS, Reach.ROOT),
    "tickets.read_open": Rule(STAFF, Reach.OPEN),
    "tickets.read_bare": Rule(STAFF, Reach.OPEN),
}
UNITS = {"HQ": None, "D1": "HQ", "D2": "HQ", "B1": "D1", "B2": "D1", "B3": "D2", "O1": "B1"}
ACCOUNTS = {"A-B1": "B1", "A-O1": "O1", "A-B2": "B2", "A-B3": "B3", "A-HQ": "HQ"}


class Row(StrictModel):
    """What the toy's POST takes."""

    name: str = Field(max_length=200)
    count: int = 1
    at: Instant | None = None
    then: Literal["answer", "refuse", "crash", "fail-commit", "cut", "wait"] = "answer"


class Made(AnswerModel):
    """What it answers."""

    name: str
    number: int


@dataclass
class Halt:
    """Where a request waits: it says that it got there, and is told to go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Toy:
    """The running toy."""

    app: FastAPI
    client: httpx2.AsyncClient
    settings: Settings
    owner: asyncpg.Connection
    halt: Halt

    def bearer(
        self, role: str = "ops_hq", unit: str | None = "HQ", account: str | None = None, person: str | None = None
    ) -> dict[str, str]:
        return bearer(self.settings, role, unit, account, person)

    async def rows(self, source: str) -> int:
        return await self.owner.fetchval("SELECT count(*) FROM inbox WHERE source = $1", source)


async def go_wrong(session: AsyncSession, then: str, owner: asyncpg.Connection, halt: Halt) -> None:
    """What may happen after a write and before its commit."""
    if then == "refuse":
        raise Conflict("row-is-closed", "The row is closed.")
    if then == "crash":
        raise KeyError("13812345678 secret of the house")
    if then == "fail-commit":
        await session.execute(text("INSERT INTO judged_late VALUES (1), (1)"))
    if then == "wait":
        halt.reached.set()
        await halt.go_on.wait()
    if then == "cut":
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()

        async def cut(_session: Any) -> None:
            await owner.execute("SELECT pg_terminate_backend($1, 1000)", pid)

        before_commit(session, cut)


def make_toy(owner: asyncpg.Connection, halt: Halt) -> FastAPI:
    router = Router()

    @router.get("/v1/rows", name="tickets.list_rows", responses=PROBLEMS)
    async def list_rows(
        session: Session, unit: UnitFilter, page: Page, q: Annotated[str | None, Query()] = None
    ) -> dict[str, Any]:
        found = await session.execute(
            text(
                "SELECT account_no, unit_code FROM accounts WHERE unit_code IN (SELECT unit_code FROM unit_ancestors "
                "WHERE ancestor_code = :unit) AND account_no > :after ORDER BY account_no LIMIT :limit"
            ),
            {"unit": unit, "after": page.after[0] if page.after else "", "limit": page.limit + 1},
        )
        return paged(found.all(), page, lambda row: (row.account_no,))

    @router.get("/v1/wall", name="tickets.list_wall", responses=PROBLEMS)
    async def list_wall(session: Session) -> list[str]:
        return list((await session.execute(text("SELECT account_no FROM accounts ORDER BY account_no"))).scalars())

    @router.get("/v1/rows/{account_no}", name="tickets.read_row", responses=PROBLEMS)
    async def read_row(account_no: AccountInScope) -> dict[str, str]:
        return {"account_no": account_no}

    @router.post("/v1/rows", name="tickets.make_row", status_code=201, responses=PROBLEMS)
    async def make_row(session: Session, caller: Caller, idempotent: Idempotent, row: Row) -> Made:
        insert = "INSERT INTO inbox (source, event_id) VALUES (:name, gen_random_uuid()::text)"
        await session.execute(text(insert), {"name": row.name})
        number = (await session.execute(text("SELECT nextval('numbers')"))).scalar_one()
        await go_wrong(session, row.then, owner, halt)
        return Made(name=row.name, number=number)

    @router.put("/v1/all", name="tickets.put_all", responses=PROBLEMS)
    async def put_all(caller: Caller) -> dict[str, bool]:
        return {"everything": caller.everything}

    @router.get("/v1/open", name="tickets.read_open", responses=PROBLEMS)
    async def read_open(caller: Caller) -> dict[str, str]:
        return {"actor": caller.actor}

    @router.get("/v1/bare", name="tickets.read_bare", responses=PROBLEMS)
    async def read_bare() -> dict[str, bool]:
        return {"bare": True}

    return create_app("tickets", router, "Toy")


@pytest.fixture(scope="session")
async def toy(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Toy]:
    name = await postgres.fresh("tickets")
    settings = settings_of("tickets", postgres, name, tmp_path_factory.mktemp("toy"))
    owner = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + f"/{name}", ssl=False)
    await owner.execute("CREATE SEQUENCE numbers; CREATE TABLE judged_late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    await owner.execute("GRANT ALL ON judged_late, numbers TO tickets_web")
    await fill_tree(owner, UNITS, ACCOUNTS)
    halt = Halt()
    with mock.patch.dict(POLICY, RULES, clear=True):
        app = make_toy(owner, halt)
    async with serving(app, settings) as client:
        yield Toy(app, client, settings, owner, halt)
    await owner.close()


async def fill_tree(owner: asyncpg.Connection, units: dict[str, str | None], accounts: dict[str, str]) -> None:
    """Write an organisation tree and accounts into a service's directory tables."""
    kinds = {"H": "hq", "D": "district", "B": "branch", "O": "outlet"}
    for unit, parent in units.items():
        await owner.execute("INSERT INTO units VALUES ($1, $2, $3, 1)", unit, kinds[unit[0]], parent)
        depth, above = 0, unit
        while above is not None:
            await owner.execute("INSERT INTO unit_ancestors VALUES ($1, $2, $3)", unit, above, depth)
            depth, above = depth + 1, units[above]
    for account, unit in accounts.items():
        await owner.execute(
            "INSERT INTO accounts (account_no, unit_code, opened_on, status, provisional, sequence) "
            "VALUES ($1, $2, '2018-01-01', 'open', false, 1)",
            account,
            unit,
        )
