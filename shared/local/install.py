"""Installs everything into `.venv`: the pinned packages, this checkout, Kafka's jars.

Runs on a bare Python with the standard library alone.

`python3 -I shared/local/install.py MARKER`, by the Makefile. A killed installation leaves `.venv/.installing` behind
and is begun afresh, since half a package looks installed to pip; a finished one leaves MARKER, whose name carries the
sum of what was asked for. Of two installations at once the second waits. It ends with the `make` that started it.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BEGUN = VENV / ".installing"
PR_SET_PDEATHSIG = 1
OLDEST = (3, 11)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _step(title: str, *command: str) -> None:
    started = time.monotonic()
    print(f"  {title} ...", flush=True)
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent, check=False)
    if done.returncode != 0:
        sys.exit(f"The installation stopped at: {title}. Run the same command again to complete it.")
    print(f"  {title}: {time.monotonic() - started:.0f} s", flush=True)


def install(marker: Path) -> None:
    """Bring `.venv` to what the lock files say and write the marker."""
    if BEGUN.exists() or not (VENV / "bin" / "pip").exists():
        shutil.rmtree(VENV, ignore_errors=True)
    for old in VENV.glob(".installed-*"):
        old.unlink()
    VENV.mkdir(exist_ok=True)
    BEGUN.touch()
    if not (VENV / "bin" / "pip").exists():
        _step("virtual environment", sys.executable, "-m", "venv", str(VENV))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    _step("Python packages, PostgreSQL, Java", *pip, "--require-hashes", "-r", "requirements.lock")
    _step("this checkout", *pip, "--no-build-isolation", "--no-deps", "-e", ".")
    _step("Apache Kafka", str(VENV / "bin" / "python"), "-m", "shared.local.jars")
    BEGUN.unlink()
    marker.touch()


def main(marker: Path) -> None:
    """Install unless another process has just done it."""
    if sys.version_info < OLDEST:
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; say which: make PYTHON=python3.12")
    _end_with_parent()
    with open(ROOT / ".venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            print("Installing what is missing into .venv", flush=True)
            install(marker)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(ROOT / sys.argv[1])
