"""What a benchmark job is, and what jobs share: compiling their guests and finding programs."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
CACHE = HERE.parent / "build" / "benchmarks"
CLOCK = HERE.parent / "native" / "bench"  # clock.h, which posix-x benchmark has, too


class UnavailableError(Exception):
    """A job cannot run on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Job:
    """One thing worth measuring.

    command: the program to start, natively and with `exo-um run` before it; or
    contenders: the programs to compare, by name. The first is what the others are divided by.
    judged: the contenders that `must` and `aim` are for, by their median, their ratio to the first,
        or their ratio to the best of those that are not judged.
    source: "wall" measures the whole process's time; "output" takes the numbers that the program
        prints, one per line and in `unit`.
    rounds: how often each side is started.
    pinned: all of a side runs on the last CPU: where it runs would else decide more than who runs.
    """

    title: str
    unit: str
    better: Literal["less", "more"]
    command: Callable[[], list[str]] = list
    contenders: Callable[[], dict[str, list[str]]] | None = None
    judged: tuple[str, ...] = ("exo-um",)
    by: Literal["median", "ratio", "best"] = "ratio"
    must: float | None = None
    aim: float | None = None
    source: Literal["wall", "output"] = "output"
    rounds: int = 5
    pinned: bool = False
    setup: Callable[[], None] = lambda: None


def guest(name: str, *options: str) -> str:
    """Compile guest/NAME.c, if it changed, and return the program's path."""
    source, program = HERE / "guest" / f"{name}.c", CACHE / name
    newest = max(source.stat().st_mtime, (CLOCK / "clock.h").stat().st_mtime)
    if not program.exists() or program.stat().st_mtime < newest:
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [
            find("gcc"),
            "-O2",
            "-Wall",
            f"-I{CLOCK}",
            *options,
            "-o",
            str(program),
            str(source),
        ]
        subprocess.run(command, check=True)
    return str(program)


ROOT = HERE.parent / "native"
OPTIONS = ["-O2", "-Wall", "-DEXO_HOSTED=1", "-D_GNU_SOURCE"] + [
    f"-I{ROOT / folder}" for folder in ("", "include", "core")
]


def is_older(made: Path, *sources: Path) -> bool:
    """Whether a file is to be made anew from sources or the headers."""
    folders = (ROOT / "include" / "exo", ROOT / "core", ROOT / "host", HERE / "native")
    headers = [header for folder in folders for header in folder.glob("*.h")]
    newest = max(path.stat().st_mtime for path in (*sources, *headers))
    return not made.exists() or made.stat().st_mtime < newest


def core() -> Path:
    """Compile the core, if any of it changed, and return its archive."""
    archive, sources = CACHE / "core.a", sorted(ROOT.glob("core/*.c"))
    if not is_older(archive, *sources):
        return archive
    objects = CACHE / "core"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True)
    subprocess.run([find("gcc"), *OPTIONS, "-c", *map(str, sources)], check=True, cwd=objects)
    archive.unlink(missing_ok=True)
    subprocess.run([find("ar"), "rcs", archive, *sorted(objects.glob("*.o"))], check=True)
    return archive


def native(name: str, *sources: str) -> str:
    """Compile native/NAME.c with the core and more sources, if any changed; return the program."""
    files = [HERE / "native" / f"{name}.c", *(ROOT / source for source in sources)]
    program = CACHE / f"native-{name}"
    archive = core()
    if is_older(program, archive, *files):
        command = [find("gcc"), *OPTIONS, "-o", str(program), *map(str, files), str(archive)]
        subprocess.run([*command, "-lrt"], check=True)
    return str(program)


def find(program: str) -> str:
    """Return the path of program on this machine."""
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path
