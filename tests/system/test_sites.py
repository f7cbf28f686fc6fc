"""Of the system-call sites that real programs execute, almost all are patched, some late."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_table import CASES, command_line, parameter
from sidebyside import Launcher

pytestmark = pytest.mark.any_user

LEAST_SHARE = 0.95
# Below this many sites one that cannot be patched decides alone; such programs may keep one.
FEW_SITES = 20
STRAYS = Path(__file__).with_name("strays.c").read_text()


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_sites_are_patched(
    case: dict[str, Any], require: Callable[[str], None], launcher: Launcher
) -> None:
    """--stats counts sites patched after a trap or remembered, and those that keep trapping."""
    argv = command_line(case)
    for program in {argv[0], *case.get("needs", [])}:
        require(program)
    work = launcher.fresh(case.get("files", {}))
    if setup := case.get("setup", ""):
        assert launcher.command(["bash", "-c", setup]).status == 0
        launcher.hand_over(work)
    stats = launcher.base / "stats.json"
    launcher.command(
        launcher.exo_command(argv, ["--stats", str(stats)]),
        stdin=case.get("stdin", "").encode(),
        timeout=case.get("timeout", 120),
    )
    sites = json.loads(stats.read_text())["sites"]
    patched = sites["patched"] + sites["remembered"]
    executed = patched + sites["trapping"]
    assert executed > 0
    assert patched / executed > LEAST_SHARE or (executed < FEW_SITES and sites["trapping"] <= 1)


@pytest.mark.parametrize("how", ["none", "exit", "exec", "killed"])
def test_alone_again(how: str, require: Callable[[str], None], launcher: Launcher) -> None:
    """A site that only a lone task may patch is patched once a CLONE_VM child has left."""
    require("gcc")
    launcher.fresh({"strays.c": STRAYS})
    assert launcher.command(["gcc", "-O2", "-o", "strays", "strays.c"]).status == 0
    stats = launcher.base / "stats.json"
    assert launcher.exo(["./strays", how], flags=["--stats", str(stats)]).status == 0
    calls = json.loads(stats.read_text())["calls"]["getppid"]
    assert calls["calls"] == 1000
    assert calls["trapped"] == 1
