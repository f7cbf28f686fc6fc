"""The protocol of rings with many producers and consumers, checked by spin within bounds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[3] / "models" / "ring.pml"
COMPILE = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4000", "-o", "pan", "pan.c"]


@pytest.mark.parametrize(
    ("producers", "consumers", "messages", "more"),
    [(2, 1, 1, ""), (1, 2, 3, ""), (2, 2, 1, ""), (2, 1, 2, "-DUNHARMED")],
)
def test_protocol(
    tmp_path: Path,
    require: Callable[[str], None],
    producers: int,
    consumers: int,
    messages: int,
    more: str,
) -> None:
    """No invalid end, no message twice, none lost, with one process killed anywhere."""
    require("spin")
    require("gcc")
    sizes = {"PRODUCERS": producers, "CONSUMERS": consumers, "MESSAGES": messages}
    defines = [*(f"-D{name}={value}" for name, value in sizes.items()), *more.split()]
    for command in (["spin", "-a", *defines, str(MODEL)], COMPILE, ["./pan", "-m500000"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "errors: 0" in done.stdout, done.stdout
    assert "not completed" not in done.stdout, done.stdout
