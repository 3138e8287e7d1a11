"""DuckDB in an environment of its own: it is a peer to measure against, and no dependency of the suite."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "duckdb.lock"


async def duckdb_python(local: Path) -> str:
    """Return the interpreter of the environment, made from the lock file where it is not there yet."""
    return await asyncio.to_thread(_python, local)


def _python(local: Path) -> str:
    stamp = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = local / f"duckdb-{stamp}"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(LOCK)]
        subprocess.run(command, check=True)
        (place / "complete").touch()
    return str(python)
