"""The two sides of a comparison: a command as it is, and the same command under exo-um.

Every run is bounded twice, by a limit and by the time without new output, and what it leaves
running is killed: its process group, whatever carries its mark, and its orphans (run.py makes
itself their reaper). Called by the suites.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from sidebyside import MARK, SEARCH_PATH, kill_everything

POLL_S = 0.05
stopping = threading.Event()  # set, it ends the present run and lets none begin


@dataclass(frozen=True)
class Side:
    """One of the two; prefix is put in front of every command."""

    name: str
    prefix: tuple[str, ...] = ()


def sides(exo_um: Path, flags: Sequence[str] = ()) -> tuple[Side, Side]:
    """Natively, and under the given exo-um."""
    return Side("native"), Side("exo-um", (str(exo_um), "run", *flags, "--"))


@dataclass(frozen=True)
class Bounds:
    """Seconds that a run may take, and seconds that it may be silent."""

    limit_s: float
    silent_s: float


@dataclass(frozen=True)
class Ended:
    """How a run ended; status is negative after a signal, late says which bound it hit."""

    status: int
    late: str
    text: str


def environment(home: Path, more: Mapping[str, str], mark: str) -> dict[str, str]:
    """The fixed environment of both sides."""
    return {
        "PATH": SEARCH_PATH,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SHELL": "/bin/sh",
        **more,
        MARK: mark,
    }


def run(
    side: Side,
    argv: Sequence[str],
    log: Path,
    cwd: Path,
    bounds: Bounds,
    more_env: Mapping[str, str] | None = None,
) -> Ended:
    """Run argv on a side, with stdout and stderr in log; the text may not be valid UTF-8."""
    if stopping.is_set():
        raise RuntimeError("stopped")
    mark = uuid.uuid4().hex
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*side.prefix, *argv],
            cwd=cwd,
            env=environment(cwd, more_env or {}, mark),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o022,
        ) as process,
    ):
        late = watch(process, log, bounds)
        kill_everything(process.pid, mark)
        status = process.wait()
    return Ended(status, late, log.read_text("utf-8", "backslashreplace"))


def watch(process: subprocess.Popen[bytes], log: Path, bounds: Bounds) -> str:
    """Wait for the end of a process; gives '' then, else the bound that it went past."""
    began = heard = time.monotonic()
    size = 0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
            return ""
        now = time.monotonic()
        if stopping.is_set():
            return "stopped"
        if (grown := log.stat().st_size) != size:
            size, heard = grown, now
        if now - began > bounds.limit_s:
            return f"took more than {bounds.limit_s:.0f} s"
        if now - heard > bounds.silent_s:
            return f"silent for {bounds.silent_s:.0f} s"


def orphans() -> Iterator[psutil.Process]:
    """Children of this process, which it adopted; zombies among them are reaped."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
            else:
                yield process


def sweep() -> list[str]:
    """Kill every orphan and its offspring; for use while nothing runs. Gives their names."""
    names = []
    for orphan in orphans():
        with contextlib.suppress(psutil.Error):
            for process in [*orphan.children(recursive=True), orphan]:
                names.append(f"{process.pid} {process.name()}")
                process.send_signal(signal.SIGKILL)
            orphan.wait(5)
    return names
