"""Rounds (轮次) of a service's schedules, told by its scheduler to the consumer in the same process."""

import asyncio


class Rounds:
    """One round is what was due at one instant S."""

    def __init__(self) -> None:
        self._round = asyncio.Event()

    def running(self) -> asyncio.Event:
        """Return what is set when the round that runs now, or the next one, ends."""
        return self._round

    def end(self) -> None:
        """Say that a round has ended; the next begins."""
        self._round.set()
        self._round = asyncio.Event()
