"""The tables that every service's database has: outbox, fence, parked events, clock, schedules, directory."""

from shared.kernel.tables import metadata

__all__ = ["metadata"]
