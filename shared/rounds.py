"""What a service's scheduler tells the consumer in the same process: the rounds (轮次), and whether anybody waits for it."""

import asyncio


class Rounds:
    """One round is what was due at one instant S."""

    def __init__(self) -> None:
        self._round = asyncio.Event()
        self._awaited = asyncio.Event()
        self._awaited.set()

    def running(self) -> asyncio.Event:
        """Return what is set when the round that runs now, or the next one, ends."""
        return self._round

    def end(self) -> None:
        """Say that a round has ended; the next begins."""
        self._round.set()
        self._round = asyncio.Event()

    def hurry(self, somebody_waits: bool) -> None:
        """Say whether somebody waits for the service to have read its events: as a rule somebody does."""
        if somebody_waits:
            self._awaited.set()
        else:
            self._awaited.clear()

    def awaited(self) -> asyncio.Event:
        """Return what is set as long as somebody waits for the service to have read its events."""
        return self._awaited
