"""What a benchmark job is, and what jobs share: compiling their guests and finding programs."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
CACHE = HERE.parent / "build" / "benchmarks"


class UnavailableError(Exception):
    """A job cannot run on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Job:
    """One thing worth measuring.

    command: the program to start, natively and with `exo-um run` before it.
    source: "wall" measures the whole process's time; "output" takes the numbers that the program
        prints, one per line and in `unit`.
    rounds: how often each side is started.
    """

    title: str
    unit: str
    better: Literal["less", "more"]
    command: Callable[[], list[str]]
    source: Literal["wall", "output"] = "output"
    rounds: int = 5
    setup: Callable[[], None] = lambda: None


def guest(name: str, *options: str) -> str:
    """Compile guest/NAME.c, if it changed, and return the program's path."""
    source, program = HERE / "guest" / f"{name}.c", CACHE / name
    newest = max(source.stat().st_mtime, (HERE / "guest" / "clock.h").stat().st_mtime)
    if not program.exists() or program.stat().st_mtime < newest:
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [find("gcc"), "-O2", "-Wall", *options, "-o", str(program), str(source)]
        subprocess.run(command, check=True)
    return str(program)


def find(program: str) -> str:
    """Return the path of program on this machine."""
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path
