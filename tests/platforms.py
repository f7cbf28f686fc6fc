"""What the tests of the platforms share: real command lines, programs of tests/guest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from command_table import TABLE, command_line
from sidebyside import Launcher, Pair

GUESTS = Path(__file__).parent / "guest"


def check_command(
    case: dict[str, Any],
    require: Callable[[str], None],
    both: Callable[..., Pair],
    flags: Sequence[str] = (),
) -> None:
    """Same stdout, stderr and exit status; the native run must end with the status of the table."""
    argv = command_line(case)
    for program in {argv[0], *case.get("needs", [])}:
        require(program)
    pair = both(
        argv,
        stdin=case.get("stdin", "").encode(),
        files=case.get("files", {}),
        setup=case.get("setup", ""),
        timeout=case.get("timeout", 120),
        flags=flags,
    )
    native = pair.native
    assert not native.timed_out, f"native run timed out: {native}"
    assert native.status == case.get("status", 0), f"native run failed: {native}"
    assert not (difference := pair.difference(TABLE["normalise"] + case.get("normalise", []))), (
        difference
    )


def check_guest(
    name: str, require: Callable[[str], None], launcher: Launcher, flags: Sequence[str]
) -> None:
    """A C program of tests/guest says the same as natively."""
    require("gcc")
    launcher.fresh()
    build = ["gcc", "-O2", "-pthread", "-w", f"-I{GUESTS}", "-o", name, str(GUESTS / f"{name}.c")]
    assert launcher.command(build).status == 0
    native = launcher.command([f"./{name}"])
    assert native.status == 0
    exo = launcher.exo([f"./{name}"], flags=flags)
    assert not (difference := Pair(native, exo).difference()), difference
    assert b"exo-um" not in exo.stderr
