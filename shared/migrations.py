"""Runs a service's Alembic revisions (`services/<service>/migrations/versions`), one at a time per database."""

import importlib
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared import kernel
from shared.db import connect

LOCK = 7410
"""Advisory lock: two processes that start together migrate one after the other."""


def config(service: str, connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for a service; the shared environment takes the connection from it."""
    module = importlib.import_module(f"services.{service}")
    assert module.__file__
    cfg = Config()
    cfg.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    cfg.set_main_option("version_locations", str(Path(module.__file__).parent / "migrations" / "versions"))
    cfg.set_main_option("path_separator", "os")
    cfg.attributes["connection"] = connection
    return cfg


async def upgrade(service: str, owner_url: str, revision: str = "head") -> None:
    """Bring the service's database to a revision, the newest one. Repeats do nothing."""

    def run(connection: Connection) -> None:
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        command.upgrade(config(service, connection), revision)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(owner_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


async def differences(service: str, owner_url: str) -> list[object]:
    """Return what the models say and the migrated database does not, or the reverse: empty when they match."""
    models = importlib.import_module(f"services.{service}.models")
    both = sa.MetaData()
    for source in (kernel.metadata, models.Base.metadata):
        for table in source.sorted_tables:
            table.to_metadata(both)

    def run(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), both))

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(owner_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(run)
    finally:
        await engine.dispose()
