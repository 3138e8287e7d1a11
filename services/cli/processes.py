"""The processes of the suite: one of a kind per container, or all of them under `crm suite`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.common import connected_settings, run, service_name

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from shared.settings import Settings

Service = Annotated[str, typer.Argument(help="customer, tiering, retention or tickets.")]
PORTS = {"customer": 8001, "tiering": 8002, "retention": 8003, "tickets": 8004}
SHUTDOWN_SECONDS = 15


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (serve, work, relay, migrate):
        app.command()(command)


def serve(
    service: Annotated[str, typer.Argument(help="customer, tiering, retention, tickets, or all behind one port.")],
    port: Annotated[int | None, typer.Option(help="8001-8004 for one service, 8000 for all, unless set.")] = None,
) -> None:
    """Serve HTTP: one service alone, or all four under /customer, /tiering, /retention, /tickets."""
    from importlib import import_module

    import uvicorn

    from shared.observability import configure_logging

    settings = connected_settings()
    if service == "all":
        from services.suite.gateway import create_gateway

        application, number = create_gateway(settings), port or settings.http_port
    else:
        name = service_name(service)
        application, number = import_module(f"services.{name}.main").app, port or PORTS[name]
        application.state.settings = settings
    configure_logging(settings.log_level, settings.log_format, service)
    uvicorn.run(
        application,
        host=settings.http_host,
        port=number,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def work(service: Service) -> None:
    """Handle a service's events and run its schedules, until it is ended."""
    from importlib import import_module

    worker = import_module(f"services.{service_name(service)}.worker").WORKER
    settings = connected_settings()
    _run_until_ended(settings, service, worker.run(settings))


def relay(service: Service) -> None:
    """Send a service's events from its outbox to Kafka, until it is ended."""
    settings = connected_settings()
    _run_until_ended(settings, service, _relay(service_name(service), settings))


def migrate(service: Annotated[str | None, typer.Argument(help="One service; all four unless named.")] = None) -> None:
    """Bring the tables to their newest revision, as their owner (`CRM_<SERVICE>_OWNER_URL`)."""
    from shared.migrations import upgrade
    from shared.settings import SERVICES

    settings = connected_settings()
    for name in [service_name(service)] if service else SERVICES:
        run(upgrade(name, settings.owner_url(name)))
        typer.echo(f"{name}: newest revision")


async def _relay(service: str, settings: Settings) -> None:
    import asyncio

    from shared.db import Database
    from shared.observability import bus_check
    from shared.probes import probes
    from shared.relay import Relay
    from shared.worker import until_signalled

    database = Database(service, settings.database_url(service), "worker", 1)
    await database.open()
    sending = asyncio.create_task(Relay(database, settings.bootstrap(), settings.slot).run(), name="relay")
    try:
        async with probes(settings.probe_port, service, {"bus": bus_check(settings.bootstrap())}):
            await until_signalled([sending])
    finally:
        sending.cancel()
        await asyncio.wait([sending], timeout=SHUTDOWN_SECONDS)
        await database.close()


def _run_until_ended(settings: Settings, service: str, work: Coroutine[Any, Any, None]) -> None:
    """Run a process's main task on the fast event loop; what ends it badly goes into the log with its stack."""
    import asyncio

    import uvloop

    from shared.observability import configure_logging

    configure_logging(settings.log_level, settings.log_format, service)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
