"""Each C program here prints the same natively and under exo-um, however its calls are caught.

The programs are compiled once per session, dynamic and static. What they print does not depend
on the run: a line that differs between native and exo-um is a system call that differs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Launcher, Outcome, Pair

HERE = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in HERE.glob("*.c") if path.stem != "fuzz_exec")
KINDS = {"dynamic": [], "static": ["-static"]}
INCLUDED = re.compile(r'#include "(\w+\.c)"')
known: dict[tuple[str, str], Outcome] = {}  # natively, from the test before
WAYS = {"default": [], "no-patch": ["--no-patch"], "seccomp": ["--intercept", "seccomp"]}
MORE = {
    "relay": {"copies": ["--zero-copy", "off"]},
    "lines": {"bells": ["--batch", "off"]},
}
# Both tests of a program are for one worker, which knows what the first has seen.
EACH = pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=pytest.mark.xdist_group(f"{name}-{kind}"))
        for name in PROGRAMS
        for kind in KINDS
    ],
)


def compiled(name: str, kind: str) -> Path:
    """The program's binary, from a cache that its source and flags are the key of."""
    flags = ["-O2", "-pthread", "-w", *KINDS[kind]]
    sources = [HERE / f"{name}.c", *sorted(HERE.glob("*.h"))]
    sources += [HERE / other for other in INCLUDED.findall(sources[0].read_text())]
    key = hashlib.sha256(repr(flags).encode() + b"".join(path.read_bytes() for path in sources))
    folder = Path(tempfile.gettempdir()) / f"exo-guests-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        pytest.fail(f"{folder} belongs to somebody else", pytrace=False)
    binary = folder / f"{name}-{kind}-{key.hexdigest()[:16]}"
    if not binary.exists():
        fresh = binary.with_suffix(f".{os.getpid()}")
        subprocess.run(["gcc", *flags, "-o", fresh, sources[0]], check=True)
        fresh.rename(binary)
    return binary


def run_native(launcher: Launcher, name: str, kind: str) -> Outcome:
    """The program's native outcome, which must be a success."""
    binary = compiled(name, kind)
    shutil.copy(binary, launcher.fresh() / name)
    launcher.hand_over(launcher.work)
    outcome = launcher.command([f"./{name}"], timeout=60)
    assert not outcome.timed_out, outcome
    assert outcome.status == 0, outcome.stdout.decode(errors="replace")
    return outcome


@pytest.mark.timeout(400)
@EACH
def test_native(name: str, kind: str, require: Callable[[str], None], native: Launcher) -> None:
    """The program holds what it promises on the host's own kernel, twice with the same output."""
    require("gcc")
    first, second = (run_native(native, name, kind) for _ in range(2))
    known[name, kind] = first
    assert not (difference := Pair(first, second).difference()), difference


@pytest.mark.timeout(400)
@EACH
def test_guest(name: str, kind: str, require: Callable[[str], None], launcher: Launcher) -> None:
    """Output and status under exo-um are the native ones, in each of its ways."""
    require("gcc")
    native = known.get((name, kind)) or run_native(launcher, name, kind)
    for way, flags in (WAYS | MORE.get(name, {})).items():
        shutil.copy(compiled(name, kind), launcher.fresh() / name)
        launcher.hand_over(launcher.work)
        exo = launcher.exo([f"./{name}"], flags=flags)
        assert not (difference := Pair(native, exo).difference()), f"{way}:\n{difference}"
