"""What a program inherits of signals from whoever starts exo-um."""

from __future__ import annotations

import re

import pytest
from sidebyside import Launcher

STATUS = ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]
# The runtime needs these itself, and /proc tells what the host knows.
OWN = 1 << (7 - 1) | 1 << (11 - 1) | 1 << (31 - 1)


def masks(text: bytes) -> list[int]:
    """The masks in the lines of /proc/PID/status, without the runtime's own signals."""
    return [int(word, 16) & ~OWN for word in re.findall(rb"\t([0-9a-f]{16})\n", text)]


@pytest.mark.parametrize("ignored", ["PIPE", "XFSZ", "PIPE,XFSZ", "INT,HUP,TSTP,USR1", "CHLD"])
@pytest.mark.parametrize("blocked", ["USR2", "PIPE,TERM,CHLD,ALRM"])
def test_dispositions_and_mask(launcher: Launcher, ignored: str, blocked: str) -> None:
    """SIGPIPE and SIGXFSZ too, which Python changes before exo-um is asked."""
    start = ["env", "--default-signal", f"--ignore-signal={ignored}", f"--block-signal={blocked}"]
    native = launcher.command([*start, *STATUS])
    exo = launcher.command([*start, *launcher.exo_command(STATUS)])
    assert (native.status, exo.status) == (0, 0), exo
    assert masks(exo.stdout) == masks(native.stdout)


@pytest.mark.parametrize("number", [7, 11, 31])
def test_ignored_signals_of_the_runtime(launcher: Launcher, number: int) -> None:
    """SIGBUS, SIGSEGV and SIGSYS, ignored by the caller, are ignored by the program."""
    start = ["env", f"--ignore-signal={number}"]
    argv = ["sh", "-c", f"kill -{number} $$; echo alive; exec sh -c 'kill -{number} $$; echo too'"]
    exo = launcher.command([*start, *launcher.exo_command(argv)])
    assert (exo.status, exo.stdout) == (0, b"alive\ntoo\n"), exo
