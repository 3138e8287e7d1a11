"""A service's worker process: its consumer and its scheduler. Any task that ends, ends the process."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared import idempotency
from shared.consumer import Consumer, Dispatcher, Subscription
from shared.db import Database
from shared.observability import bus_check, lag_check
from shared.probes import probes
from shared.rounds import Rounds
from shared.scheduler import Schedule, Scheduler
from shared.settings import Settings

SHUTDOWN_SECONDS = 20
HOUSEKEEPING = (Schedule("forget_idempotency_keys", idempotency.forget),)
"""What every service does beside its own schedules, after them."""
Background = Callable[[Database], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Worker:
    """The two doors of a service that nobody knocks at: something happened, time passed.

    `background` is work that people ask for and do not wait for: each runs for ever beside the doors, on the worker's database.
    """

    service: str
    subscriptions: Sequence[Subscription]
    schedules: Sequence[Schedule]
    background: Sequence[Background] = ()

    async def run(self, settings: Settings) -> None:
        """Work until SIGTERM or SIGINT; every wait is bounded."""
        database = Database(self.service, settings.database_url(self.service), "worker")
        await database.open()
        dispatcher, rounds = Dispatcher(self.service, self.subscriptions), Rounds()
        consumer = Consumer(database, dispatcher, settings.bootstrap(), settings.slot, rounds)
        tasks = [
            asyncio.create_task(consumer.run(), name="consumer"),
            asyncio.create_task(Scheduler(database, (*self.schedules, *HOUSEKEEPING), rounds).run(), name="scheduler"),
            *(asyncio.create_task(_held(work, database), name=work.__name__) for work in self.background),
        ]
        checks = {"lag": lag_check(self.service, settings.lag_limit), "bus": bus_check(settings.bootstrap())}
        try:
            async with probes(settings.probe_port, self.service, checks):
                await until_signalled(tasks)
        finally:
            for task in tasks:
                task.cancel()
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await asyncio.gather(*tasks, return_exceptions=True)
                await database.close()


async def _held(work: Background, database: Database) -> None:
    await work(database)


async def until_signalled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Return at SIGTERM or SIGINT; raise what a task raised when it ends first."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waiting = asyncio.create_task(stop.wait(), name="signals")
    done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()
        raise RuntimeError(f"the {task.get_name()} ended")
