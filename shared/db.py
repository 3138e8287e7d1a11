"""One service's database: sessions for the rooms, a raw pool for hot reads, and the only commit in the code base."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

Role = Literal["web", "worker"]
T = TypeVar("T")
NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
"""PostgreSQL's own names for constraints, so that models and SQL files agree."""

INFRASTRUCTURE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "another operation is in progress": PostgreSQL died in a query
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # serialization failures and deadlocks
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
)
"""Errors that pass: retried in place, never parked."""

CONNECT_SECONDS = 30
SETTINGS: dict[Role, dict[str, str]] = {
    "web": {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "15s",
        # For flash and memory. At the default of 4 each read scans the whole closure of units for the caller's scope.
        "random_page_cost": "1.1",
    },
    "worker": {"idle_in_transaction_session_timeout": "60s"},
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see: a unit's subtree, one account, or everything (the root unit)."""

    unit_code: str | None = None
    account_no: str | None = None
    everything: bool = False


def is_infrastructure(error: BaseException) -> bool:
    """Say whether an error, or the driver's error under it, will pass by itself."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, INFRASTRUCTURE):
            return True
        seen = getattr(seen, "orig", None) or seen.__cause__
    return False


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is answered: an outage of the database is waited out, any other error is raised."""
    delay = 0.05
    while True:
        try:
            return await ask()
        except Exception as error:
            if not is_infrastructure(error):
                raise
            await asyncio.sleep(random.uniform(0.02, delay))  # noqa: S311 - jitter, not a secret
            delay = min(2.0, delay * 2)


async def connect(url: str, settings: dict[str, str] | None = None) -> asyncpg.Connection:
    """Open one driver connection, waiting up to 30 s for a server that is just starting.

    A server on this machine is asked without TLS unless the URL names an sslmode.
    """
    deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
    while True:
        try:
            return await asyncpg.connect(url, server_settings=settings or {}, timeout=10, **_tls(url))
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)


def _tls(url: str) -> dict[str, bool]:
    parts = urlsplit(url)
    named = "sslmode" in parse_qs(parts.query) or parts.hostname not in {"127.0.0.1", "localhost"}
    return {} if named else {"ssl": False}


class HotReads:
    """Connections for reads that are one statement and set their scope in it: it ends with the statement, so nothing is reset.

    At most `size` ask at a time, each with its statements kept prepared. A connection that was lost is replaced by the next read.
    """

    def __init__(self, url: str, settings: dict[str, str], size: int = 4) -> None:
        self.url = url
        self.settings = settings
        self.idle: list[asyncpg.Connection] = []
        self._turns = asyncio.Semaphore(size)

    async def row(self, query: str, *values: object) -> asyncpg.Record | None:
        """Return the only row of a query, None where there is none."""
        async with self._turns:
            connection = self.idle.pop() if self.idle else await self._open()
            if connection.is_closed():
                connection = await self._open()
            try:
                return await connection.fetchrow(query, *values)
            except asyncpg.PostgresError:
                raise
            except BaseException:
                connection.terminate()  # nobody knows what it would answer next
                raise
            finally:
                self.idle.append(connection)

    async def _open(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.url, server_settings=self.settings, timeout=10, **_tls(self.url))

    def close(self) -> None:
        """End all connections."""
        while self.idle:
            self.idle.pop().terminate()


async def driver(session: AsyncSession) -> asyncpg.Connection:
    """Return the driver's connection inside the session's transaction, for set-based SQL with arrays."""
    known: asyncpg.Connection | None = session.info.get("driver")
    if known is not None and known.is_in_transaction():
        return known
    adapter = await (await session.connection()).get_raw_connection()
    raw = adapter.driver_connection
    assert isinstance(raw, asyncpg.Connection)
    if not raw.is_in_transaction():
        # SQLAlchemy begins with its first statement. A `SELECT 1` for that alone was a third of a small transaction's time.
        await cast(Any, adapter.dbapi_connection)._start_transaction()
    session.info["driver"] = raw
    return raw


def before_commit(session: AsyncSession, hook: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Run the hook once at the end of the transaction, before it commits; after it nothing more is written."""
    hooks = session.info.setdefault("before_commit", [])
    if hook not in hooks:
        hooks.append(hook)


class Database:
    """A service's database as one role: `worker` sees all rows, `web` what the request's Scope allows."""

    def __init__(self, service: str, url: str, role: Role, pool_size: int = 4) -> None:
        self.service = service
        self.url = url
        self.role = role
        self.settings = {"role": f"{service}_{role}", "application_name": f"{service}_{role}", **SETTINGS[role]}
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=False,
            pool_use_lifo=True,  # few connections that know their statements, rather than all of them a little
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False, autoflush=True)
        self.hot = HotReads(url, self.settings)

    async def connect(self) -> asyncpg.Connection:
        """Open a connection of its own in this role (LISTEN, snapshots, the relay)."""
        return await connect(self.url, self.settings)

    async def open(self) -> None:
        """Check that the role has no way round row-level security. Raises PermissionError with one sentence if it has."""
        connection = await self.connect()
        try:
            bypasses = await connection.fetchval(
                "SELECT r.rolsuper OR r.rolbypassrls OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid) "
                "FROM pg_roles r WHERE r.rolname = current_user"
            )
        finally:
            await connection.close()
        if bypasses:
            raise PermissionError(
                f"the role {self.settings['role']} owns tables or bypasses row-level security; use deploy/postgres.sql"
            )

    async def close(self) -> None:
        """Close all pools."""
        self.hot.close()
        await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self, scope: Scope | None = None, isolation: str | None = None) -> AsyncIterator[AsyncSession]:
        """Open a session whose work commits at the end, all or nothing; the outbox is written last."""
        async with self._sessions() as session:
            if isolation is not None:
                await session.connection(execution_options={"isolation_level": isolation})
            if scope is not None:
                await set_scope(session, scope)
            yield session
            for hook in session.info.pop("before_commit", ()):
                await hook(session)
            session.info.pop("driver", None)  # the pool may give it to another transaction now
            await session.commit()


async def set_scope(session: AsyncSession, scope: Scope) -> None:
    """Tell row-level security who asks, until the transaction ends."""
    await session.execute(
        text(
            "SELECT set_config('crm.unit', :unit, true), set_config('crm.account', :account, true), "
            "set_config('crm.everything', :everything, true)"
        ),
        {
            "unit": scope.unit_code or "",
            "account": scope.account_no or "",
            "everything": "on" if scope.everything else "off",
        },
    )
