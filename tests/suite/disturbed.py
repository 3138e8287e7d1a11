"""`crm suite` with a disturbed publisher: 5 % of the events twice, 5 % moved by up to 500 places within their window.

python -m tests.suite.disturbed HISTORY PORT SEED
"""

import random
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rich.console import Console

from services.suite import replaying
from services.suite.run import Options, run
from shared.replay import Replay
from shared.settings import load_settings
from shared.windows import Dated

TWICE, MOVED, PLACES = 0.05, 0.05, 500


def disturb(choose: random.Random, events: list[Dated]) -> Iterable[Dated]:
    """Repeat and move events of one window; where nothing is said of a share, the order stays."""
    places = [(float(place), event) for place, event in enumerate(events)]
    moved = [(place + choose.uniform(-PLACES, PLACES) if choose.random() < MOVED else place, event) for place, event in places]
    repeated = [(place + choose.uniform(0, PLACES), event) for place, event in places if choose.random() < TWICE]
    return [event for _, event in sorted([*moved, *repeated], key=lambda entry: entry[0])]


if __name__ == "__main__":
    history, port, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    replaying.Replay = partial(Replay, disturb=partial(disturb, random.Random(seed)))  # type: ignore[assignment,misc]
    sys.exit(run(load_settings(), Options(history, port), Console()))
