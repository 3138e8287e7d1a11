"""Which history the suite in `.local` lives on: a folder of real files, or a simulated one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.clock import business_date, wall_now
from shared.history.csv_files import HistoryError
from shared.history.folder import folder_digest
from shared.local.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Choice:
    """The folder, its digest, and whether it was simulated."""

    folder: str
    digest: str
    simulated: bool


def choose(place: Workplace, asked: Path | None) -> Choice | None:
    """Return the history to replay: the one asked for or the one that is already there. None: one has to be simulated.

    Raises HistoryError where another history is in the directory already, and where the folder cannot be used.
    """
    here = kept(place)
    if asked is not None:
        digest = folder_digest(asked)
        if here is not None and here.digest != digest:
            kind = "a simulated history" if here.simulated else here.folder
            raise HistoryError(f"{place.root} holds {kind}, not {asked}: add RESET=1 to begin afresh with it.")
        return here or Choice(str(asked.resolve()), digest, simulated=False)
    return here


def kept(place: Workplace) -> Choice | None:
    """Return the history that the suite lives on, None before there is one."""
    note = place.root / "history.json"
    return Choice(**json.loads(note.read_text())) if note.exists() else None


def origin(chosen: Choice | None) -> str:
    """Say where the parcels come from; what was simulated is called so."""
    if chosen is None:
        return "No history"
    return "Simulated history" if chosen.simulated else f"History of {chosen.folder}"


def keep(place: Workplace, chosen: Choice) -> None:
    """Note the history that the suite lives on, once it is known to be usable."""
    draft = place.root / "history.json.new"
    draft.write_text(json.dumps(asdict(chosen)))
    draft.rename(place.root / "history.json")


def simulate(place: Workplace) -> Choice:
    """Generate the simulated history, unless it is there; it appears complete or not at all."""
    from shared.history import simulate as generator

    if not place.history.exists():
        generator.simulate(place.history, business_date(wall_now()))
    return Choice(str(place.history), folder_digest(place.history), simulated=True)
