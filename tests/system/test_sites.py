"""Of the system-call sites that real programs execute, almost all are patched."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from command_table import CASES, command_line, parameter
from sidebyside import Launcher

LEAST_SHARE = 0.95
# Below this many sites one that cannot be patched decides alone; such programs may keep one.
FEW_SITES = 20


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
