"""One database and four roles per service: who owns, who connects, and the two hats a connection wears.

`{service}_owner` owns the database and migrates it; `{service}_app` is what the processes log in as and has no right
of its own: it must put on `{service}_web` (sees what the caller's scope allows) or `{service}_worker` (sees all rows)
first, by SET ROLE. None of them is superuser or bypasses row-level security; nobody else may connect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import asyncpg

ROLES_LOCK = 0x63726D31  # two test runs on one server must not create the same role at once


async def ensure_databases(admin_url: str, services: Iterable[str], password: Callable[[str], str]) -> None:
    """Make the roles and the database of every service, where they are missing.

    `password(role)` gives a login role's password.
    """
    connection = await asyncpg.connect(admin_url, ssl=False)
    try:
        for service in services:
            await _ensure_roles(connection, service, password)
            await _create(connection, service, service, "template1")
    finally:
        await connection.close()


async def create_database(admin_url: str, service: str, database: str, template: str = "template1") -> None:
    """Make one more database for a service whose roles exist, for instance for a test; does nothing if it is there."""
    connection = await asyncpg.connect(admin_url, ssl=False)
    try:
        await _create(connection, service, database, template)
    finally:
        await connection.close()


async def drop_database(admin_url: str, database: str) -> None:
    """Remove a database with everyone who is still connected to it."""
    connection = await asyncpg.connect(admin_url, ssl=False)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    finally:
        await connection.close()


async def _ensure_roles(connection: asyncpg.Connection, service: str, password: Callable[[str], str]) -> None:
    owner, app = f"{service}_owner", f"{service}_app"
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ROLES_LOCK)
        known = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        for role in (owner, app):
            verb = "ALTER" if role in known else "CREATE"
            await connection.execute(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{password(role)}'")
        for hat in (f"{service}_web", f"{service}_worker"):
            if hat not in known:
                await connection.execute(f'CREATE ROLE "{hat}" NOLOGIN')
            await connection.execute(f'GRANT "{hat}" TO "{app}" WITH INHERIT FALSE, SET TRUE')


async def _create(connection: asyncpg.Connection, service: str, database: str, template: str) -> None:
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
        await connection.execute(f'CREATE DATABASE "{database}" OWNER "{service}_owner" TEMPLATE "{template}"')
    await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{service}_app"')
    await connection.execute(f'GRANT TEMPORARY ON DATABASE "{database}" TO "{service}_worker"')
