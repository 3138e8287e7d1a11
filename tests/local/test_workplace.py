"""One suite at a time in a directory; the next one waits for one that is ending."""

import json
import stat
import threading
from pathlib import Path

import pytest

from shared.local.workplace import OccupiedError, Workplace
from tests.local.processes import start_python

HOLDER = """
import sys, time
from pathlib import Path
from shared.local.workplace import Workplace
place = Workplace(Path(sys.argv[1]))
with place.occupied():
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_second_suite_is_refused_with_one_sentence(tmp_path: Path) -> None:
    holder = start_python(HOLDER, str(tmp_path))
    try:
        with pytest.raises(OccupiedError) as refusal, Workplace(tmp_path).occupied():
            pass
        assert str(tmp_path) in str(refusal.value)
        assert "\n" not in str(refusal.value)
    finally:
        holder.kill()
        holder.wait()


def test_the_next_suite_waits_for_one_that_is_ending(tmp_path: Path) -> None:
    holder = start_python(HOLDER, str(tmp_path))
    (tmp_path / "holder.json").write_text(json.dumps({"pid": holder.pid, "parent": 1, "is": "ending"}))
    over = threading.Event()

    def end() -> None:
        over.set()
        holder.kill()

    threading.Timer(2.5, end).start()
    with Workplace(tmp_path).occupied():
        assert over.is_set()
    holder.wait()


def test_after_kill_9_of_the_holder_the_lock_is_free(tmp_path: Path) -> None:
    holder = start_python(HOLDER, str(tmp_path))
    holder.kill()
    holder.wait()
    with Workplace(tmp_path).occupied():
        pass


def test_the_state_file_is_private_and_a_reset_forgets_data_but_not_keys(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    with place.occupied():
        place.write_state({"http": "http://127.0.0.1:8000"})
        assert stat.S_IMODE(place.state_file.stat().st_mode) == 0o600
        assert place.read_state()["http"].endswith(":8000")
        for name in ("postgres", "kafka", "history", "keys"):
            (tmp_path / name).mkdir()
        place.reset()
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["keys", "logs", "rejected"]
        assert place.read_state() == {}
