"""A small organisation whose accounts ship by a law of their own, for the tests of scores."""

import random
from collections.abc import Sequence
from datetime import date

from services.tiering.scores import rules
from shared.months import add_months
from tests.tiering.make import World, account, at, charge

BRANCHES = ("B1", "B2", "B3")


def chances(count: int, seed: int) -> list[tuple[float, float, int]]:
    """For each account: its chance to ship in a month, its chance to stop for good, and what a month is worth in fen."""
    draw = random.Random(seed)
    return [(draw.betavariate(4, 1.5), draw.betavariate(1, 12), int(draw.lognormvariate(9, 1)) + 100) for _ in range(count)]


async def live(world: World, accounts: int, first: str, months: int, seed: int = 11) -> None:
    """Let accounts open, ship and stop, month by month, each month closed and scored on the first of the next."""
    draw = random.Random(seed)
    alive = [True] * accounts
    await world.open(*(account(f"S{n:04d}", BRANCHES[n % 3]) for n in range(accounts)))
    month = date.fromisoformat(f"{first}-01")
    for _ in range(months):
        charges = []
        for n, (ships, stops, worth) in enumerate(chances(accounts, seed)):
            if alive[n] and draw.random() < ships:
                amount = max(1, int(worth * draw.gammavariate(4, 0.25)))
                charges.append(charge(f"{month}-{n}", f"S{n:04d}", amount, at(f"{month.isoformat()[:7]}-10")))
                alive[n] = draw.random() >= stops
        for start in range(0, len(charges), 500):
            await world.post(*charges[start : start + 500])
        month = add_months(month, 1)
        await world.run(month.isoformat())


def expected_inputs(months: Sequence[int]) -> dict[str, int]:
    """What an account is scored on, of its freight month by month (the last one is the closed month)."""
    shipped = [place for place, fen in enumerate(months) if fen > 0][-rules.WINDOW_MONTHS :]
    last = len(months) - 1
    return {
        "active_months": len(shipped),
        "recency": last - shipped[-1],
        "age": last - shipped[0],
        "total_fen": sum(months),
        "repeat_fen": sum(months[place] for place in shipped[1:]),
        "months_12": sum(fen > 0 for fen in months[-12:]),
        "amount_12_fen": sum(months[-12:]),
    }
