"""Many connections, and many whose other side is killed: the kernel region's use stays what it was.

EXO_CONNECTIONS=100000 EXO_KILLED=10000 in the environment runs it in full size.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from liveregion import LiveRegion, region_file
from sidebyside import Launcher

from exo_um.bindings import lib

CONNECTIONS = int(os.environ.get("EXO_CONNECTIONS", "2000"))
KILLED = int(os.environ.get("EXO_KILLED", "200"))
HELD = 10000
KINDS = ("pair", "unix", "tcp", "seqpacket", "dgram", "udp", "fifo", "flights", "killed")
SETTLED_S = 10.0
# What a page or two of the first touch of something seldom used may come to, in bytes.
SLACK = 256 * 1024


@pytest.fixture(scope="session")
def connections(programs_folder: Path, require: Callable[[str], None]) -> Path:
    """The program that makes them, compiled."""
    require("gcc")
    program = programs_folder / "connections"
    source = Path(__file__).with_name("connections.c")
    subprocess.run(["gcc", "-O1", "-static", "-Wall", "-o", program, source], check=True)
    return program


def high_marks(kr: Any) -> dict[str, int]:
    """How many of each kind of object were ever in use at once, and the end of the heap.

    Names of FIFOs are remembered, up to a number of them, and are not in use.
    """
    marks = {"heap_next": int(kr.heap_next)}
    for name in (name for name in dir(kr) if name.endswith("_high") and name != "fifo_high"):
        value = getattr(kr, name)  # a number, or one for each kind
        for kind, mark in enumerate([value] if isinstance(value, int) else list(value)):
            marks[f"{name}[{kind}]"] = int(mark)
    return marks


class Use:
    """What an instance uses of its region."""

    def __init__(self, kernel_pid: int) -> None:
        self.file = region_file(kernel_pid)
        self.region = LiveRegion(kernel_pid)

    def settle(self) -> tuple[int, dict[str, int]]:
        """Wait until nothing of the past is left; gives the bytes backed, and the high marks."""
        deadline = time.monotonic() + SETTLED_S
        while (problems := self.region.problems()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not problems, problems
        return Path(self.file).stat().st_blocks * 512, high_marks(self.region.kr)


@contextlib.contextmanager
def running(launcher: Launcher, program: Path) -> Iterator[tuple[int, Callable[[str, int], None]]]:
    """The kernel process of an instance that runs it, and what has it make some of a kind."""
    launcher.fresh()
    process = launcher.start(
        launcher.exo_command([str(program)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin
    assert process.stdout

    def make(kind: str, some: int) -> None:
        process.stdin.write(f"{kind} {some}\n")
        assert process.stdout.readline() == "done\n"

    try:
        yield process.pid, make
    finally:
        process.stdin.close()
        status = process.wait(60)
        process.stdout.close()
    assert status == 0


def check_flat(marks: dict[str, int], after: dict[str, int]) -> None:
    """No object more has come into use."""
    grown = {name: (marks[name], after[name]) for name in marks}
    assert all(now <= then + 8 for then, now in grown.values()), grown


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_use_stays_flat(kind: str, launcher: Launcher, connections: Path) -> None:
    """As much is in use after all of them as after the first tenth, and no object more."""
    count = KILLED if kind in ("killed", "flights") else CONNECTIONS
    with running(launcher, connections) as (pid, make):
        make(kind, count // 10)
        use = Use(pid)
        size, marks = use.settle()
        make(kind, count - count // 10)
        size_after, marks_after = use.settle()
    assert size_after <= size + SLACK
    check_flat(marks, marks_after)


def test_many_at_once(launcher: Launcher, connections: Path) -> None:
    """So many stand at the same time, and are used; the second time by the same objects."""
    with running(launcher, connections) as (pid, make):
        make("held", HELD)
        use = Use(pid)
        marks = use.settle()[1]
        assert int(use.region.kr.object_high[lib.EXO_KIND_SOCK]) >= 2 * HELD
        make("held", HELD)
        check_flat(marks, use.settle()[1])
