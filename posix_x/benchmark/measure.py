"""Runs exo-bench natively and in instances, alternately, and sums up what it prints."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exo_um

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NATIVE = Path(exo_um.__file__).parent / "_native"
BENCH = NATIVE / "exo-bench"
MALLOC = NATIVE / "libexo_malloc.so"
TIMEOUT_S = 60
ROUNDS = 5
LEVEL = 1.05  # a ratio above is slower


class MeasureError(Exception):
    """A case could not be run; the text says which and why."""


@dataclass(frozen=True)
class Case:
    """What is measured; linux and exo are the names of exo-bench's cases, one unless told."""

    name: str
    title: str
    linux: str = ""
    calls: tuple[str, ...] = ()
    preload: bool = False


CASES = (
    Case("getpid", "getpid", calls=("getpid",)),
    Case("clock_gettime", "clock_gettime, by the vDSO", calls=()),
    Case("open", "open + close, cached path", calls=("open", "openat", "close")),
    Case("read", "read 64 B of a cached file", calls=("read", "pread64")),
    Case("write", "write 64 B to a cached file", calls=("write", "pwrite64")),
    Case("pipe", "pipe: write + read 64 B", calls=("pipe", "pipe2")),
    Case("fork", "fork + exit + wait", calls=("fork", "vfork", "clone", "clone3", "wait4")),
    Case("switch", "switch between 2 processes by pipes", calls=("futex", "poll", "epoll_wait")),
    Case("ring", "queue 56 B: exo's ring, Linux's pipe", linux="pipe"),
    Case("alloc", "malloc + free of 32 x 64 B: exo's, libc's", preload=True),
)


@dataclass(frozen=True)
class Figure:
    """One case's result; times in TSC cycles."""

    case: str
    title: str
    linux: float
    linux_p99: float
    exo: float
    exo_p99: float
    ratio: float


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which `share` of the others lie (nearest rank)."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def find_exo_um() -> str:
    """Return the exo-um beside this Python, else whatever PATH has."""
    beside = Path(sys.executable).parent / "exo-um"
    return str(beside) if beside.exists() else "exo-um"


def sample(argv: list[str], env: dict[str, str]) -> list[float]:
    """Start a program once and return the numbers that it prints. Errors: MeasureError."""
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"{argv[-2]}: no end after {TIMEOUT_S} s") from error
    except OSError as error:
        raise MeasureError(f"{argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise MeasureError(f"{argv[-2]}: {reason[0]}")
    return [float(line) for line in done.stdout.split()]


def measure(cases: Sequence[Case], rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """Run all cases, each side in turn, and return the figures. Errors: MeasureError."""
    samples: dict[tuple[str, bool], list[float]] = {}
    exo_um_path = find_exo_um()
    with tempfile.NamedTemporaryFile(prefix="posix-x-") as file:
        file.write(bytes(4096))
        file.flush()
        for number in range(rounds):
            for case in cases:
                tell(f"round {number + 1} of {rounds}: {case.name}")
                for exo in (False, True) if number % 2 == 0 else (True, False):
                    argv = [str(BENCH), case.name if exo else case.linux or case.name, file.name]
                    env = {"LD_PRELOAD": str(MALLOC)} if exo and case.preload else {}
                    options = [f"--env={name}={value}" for name, value in env.items()]
                    side = [exo_um_path, "run", *options, *argv] if exo else argv
                    samples.setdefault((case.name, exo), []).extend(sample(side, {}))
    return [_figure(case, samples[case.name, False], samples[case.name, True]) for case in cases]


def _figure(case: Case, linux: list[float], exo: list[float]) -> Figure:
    medians = quantile(linux, 0.5), quantile(exo, 0.5)
    return Figure(
        case.name,
        case.title,
        medians[0],
        quantile(linux, 0.99),
        medians[1],
        quantile(exo, 0.99),
        medians[1] / medians[0],
    )


def report(figures: Sequence[Figure], rounds: int) -> dict[str, Any]:
    """Return the figures with the overall line's numbers and where they were measured."""
    ratios = [figure.ratio for figure in figures]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
        },
        "rounds": rounds,
        "unit": "TSC cycles, medians; ratio exo-um / Linux",
        "figures": [asdict(figure) for figure in figures],
        "geometric_mean": math.exp(sum(map(math.log, ratios)) / len(ratios)),
        "slower": [figure.case for figure in figures if figure.ratio > LEVEL],
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def kept() -> Path:
    """Return where the last whole run is kept, for `posix-x analyze`."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "exo-um" / "benchmark.json"


def keep(result: dict[str, Any]) -> None:
    """Keep a whole run, where that is possible."""
    try:
        kept().parent.mkdir(parents=True, exist_ok=True)
        kept().write_text(json.dumps(result, indent=2) + "\n")
    except OSError:
        return
