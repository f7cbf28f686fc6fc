"""Calls that a signal cuts short, and the signals' ends, as exo-um trace and strace write them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from sidebyside import Launcher

pytestmark = pytest.mark.any_user

SOURCE = Path(__file__).with_name("interrupted.c")


def lines(path: Path) -> set[str]:
    """The interrupted calls, without what differs from run to run."""
    varies = r"0x[0-9a-f]+|tv_sec=\d{3,}, tv_nsec=\d+|(msg\w+|sem\w+)\(\d+"
    found = re.sub(varies, "N", path.read_text()).splitlines()
    return {re.sub(r" += ", " = ", line) for line in found if "ERESTART" in line or "EINTR" in line}


@pytest.mark.parametrize("flags", [[], ["--no-patch"], ["--platform", "ptrace"]])
def test_interrupted_calls_are_written_as_strace_does(
    tmp_path: Path, launcher: Launcher, require: object, flags: list[str]
) -> None:
    """25 waits, each of which SIGALRM ends, without and with SA_RESTART."""
    require("gcc")  # type: ignore[operator]
    require("strace")  # type: ignore[operator]
    exo = launcher.exo_command(["x"])[0]
    program = tmp_path / "interrupted"
    subprocess.run(["gcc", "-O1", "-w", "-o", program, SOURCE], check=True)
    for tracer, out in (["strace"], "theirs"), ([exo, "trace", *flags], "ours"):
        subprocess.run([*tracer, "-o", out, program], cwd=tmp_path, check=True, timeout=60)
    theirs = lines(tmp_path / "theirs")
    assert len(theirs) >= 20
    assert any(line.startswith("rt_sigreturn") for line in theirs)
    assert lines(tmp_path / "ours") == theirs
