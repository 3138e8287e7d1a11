"""Programs under measurement, each in a process of its own: started, told to go, asked what they did, ended.

A program is a module with `async def main(job) -> dict` that calls `await ready()` once it is set up. The bench talks to it in
lines of JSON, and reads the CPU clocks between its `ready` and its answer: imports and connections are not part of a figure.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from bench.measuring import Run, cpu_between, cpu_seconds
from shared.local.children import die_with_parent
from shared.observability import configure_logging

LINE_LIMIT = 1 << 20
START_SECONDS = 60.0


class ProgramError(Exception):
    """A program ended before it had answered."""


async def measure(
    module: str, job: dict[str, Any], seconds: float = 900.0, python: str = sys.executable
) -> tuple[Run, dict[str, Any]]:
    """Run a program once and return its figures (it answers with `amount` and `seconds`) and its whole answer.

    `python` is the interpreter of another environment where a program needs one.
    """
    process = await asyncio.create_subprocess_exec(
        python,
        *("-m", module, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        await _line(module, process.stdout, START_SECONDS)
        before = cpu_seconds()
        process.stdin.write(b"go\n")
        answer = await _line(module, process.stdout, seconds)
        run = Run(answer["amount"], answer["seconds"], cpu_between(before, cpu_seconds()))
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15.0)
        except TimeoutError:
            process.kill()
            await process.wait()
    return run, answer


async def _line(module: str, stream: asyncio.StreamReader, seconds: float) -> dict[str, Any]:
    line = await asyncio.wait_for(stream.readline(), seconds)
    if not line:
        raise ProgramError(f"{module} ended without an answer")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def ready() -> None:
    """Say that the program is set up, and wait for the word to go."""
    _say({"ready": True})
    await asyncio.to_thread(sys.stdin.readline)


def highest_memory_bytes() -> int:
    """Return the most memory that this process has had; getrusage would count the process that we were forked from, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def run_program(main: Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]) -> None:
    """Be a program: on the event loop that the suite's own processes use."""
    die_with_parent(int(sys.argv[1]))
    configure_logging("ERROR", "console")
    job = json.loads(sys.stdin.readline())
    gc.freeze()  # as the suite's own processes do, which are forked from one that has everything imported

    async def whole() -> None:
        _say(await main(job))
        await asyncio.to_thread(sys.stdin.read)  # the bench reads our CPU time before it lets us end

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
