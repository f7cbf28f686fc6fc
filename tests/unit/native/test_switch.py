"""The windowed switch on other machines, under qemu-user, and in a debugger."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NATIVE = ROOT / "native"
TIMEOUT_S = 60
COMMAND = ["-O2", "-g", "-D_GNU_SOURCE", "-DEXO_HOSTED=1", f"-I{NATIVE}", f"-I{NATIVE}/include"]
COMMAND += ["-ffunction-sections", "-Wl,--gc-sections"]

# Breakpoints in a context that runs; then another one, which does not, is looked at.
GDB = """\
set pagination off
break leave_it
run
bt
delete
break go_on
continue
set $sp = its.sp
set $pc = its.pc
bt
kill
"""


def run(*command: str | Path) -> str:
    """Run a command, which must succeed; what it says."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(compiler: str, machine: str, program: Path, *options: str) -> Path:
    """Compile tests/native/switch.c for a machine."""
    sources = [
        ROOT / "tests" / "native" / "switch.c",
        NATIVE / "host" / "stack.c",
        NATIVE / "arch" / machine / "switch.S",
    ]
    run(compiler, *COMMAND, *options, "-o", program, *sources, "-lm", "-pthread")
    return program


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("machine", ["aarch64", "riscv64"])
def test_other_machines(
    machine: str, level: str, tmp_path: Path, require: Callable[[str], None]
) -> None:
    compiler = f"{machine}-linux-gnu-gcc"
    require(compiler)
    require(f"qemu-{machine}")
    program = build(compiler, machine, tmp_path / "switch", "-static", level)
    run(f"qemu-{machine}", program)


def frames(trace: str) -> list[str]:
    """Return the functions of a gdb backtrace, the innermost first."""
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+)", trace, re.MULTILINE)


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_gdb_unwinds(level: str, tmp_path: Path, require: Callable[[str], None]) -> None:
    require("gcc")
    require("gdb")
    program = build("gcc", "x86_64", tmp_path / "switch", level)
    script = tmp_path / "script"
    script.write_text(GDB)
    output = run("gdb", "-batch", "-nx", "-x", script, program)
    running, suspended = output.split("hit Breakpoint 2")
    assert frames(running) == ["leave_it", "mix", "mix_there", "exo_switch_begin"]
    assert frames(suspended) == [
        "exo_switch",
        "exo_stack_switch",
        "back",
        "count_there",
        "exo_switch_begin",
    ]
    assert "Backtrace stopped" not in output
