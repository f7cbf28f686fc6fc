"""What `exo-um run` itself promises: statuses, messages, options and streams."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import struct
import subprocess
from collections.abc import Callable

import pytest
from sidebyside import Launcher, Outcome, Pair

NOT_X86_64 = r"(?i)32-bit|64-bit|x86|architecture|machine|format|class"


def elf(bits: int, machine: int) -> bytes:
    """The smallest ELF executable header for another machine."""
    size = 64 if bits == 64 else 52
    head = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HHI", 2, machine, 1)
    return head.ljust(size, b"\0")


def refusal(outcome: Outcome, status: int) -> str:
    """The message of a program that could not be started: one line, and nothing on stdout."""
    message = outcome.stderr.decode()
    assert outcome.status == status, outcome
    assert outcome.stdout == b""
    assert message.startswith("exo-um: ")
    assert message.count("\n") == 1, message
    assert message.endswith("\n")
    return message


@pytest.mark.parametrize("status", [0, 1, 42, 126, 127, 255])
def test_exit_status_is_the_programs(launcher: Launcher, status: int) -> None:
    outcome = launcher.exo(["sh", "-c", f"exit {status}"])
    assert outcome == Outcome(b"", b"", status, False, outcome.seconds)


@pytest.mark.parametrize("name", ["HUP", "INT", "KILL", "SEGV", "TERM", "USR1", "PIPE", "ALRM"])
def test_signal_gives_128_and_its_number(launcher: Launcher, name: str) -> None:
    outcome = launcher.exo(["bash", "-c", f"kill -{name} $$; sleep 10"])
    assert outcome.status == 128 + signal.Signals[f"SIG{name}"]
    assert outcome.stdout == b""


@pytest.mark.parametrize("program", ["nonesuch-program", "./nonesuch", "/nonesuch/program", ""])
def test_missing_program(launcher: Launcher, program: str) -> None:
    assert program in refusal(launcher.exo([program]), 127)


@pytest.mark.parametrize("name", ["plain", "directory", "text", "empty"])
def test_program_that_cannot_be_executed(launcher: Launcher, name: str) -> None:
    launcher.fresh(
        {"plain": "#!/bin/sh\n", "text": "no interpreter named\n", "empty": "", "directory/x": ""}
    )
    (launcher.work / "plain").chmod(0o644)
    for made in ("text", "empty"):
        (launcher.work / made).chmod(0o755)
    assert name in refusal(launcher.exo([f"./{name}"]), 126)


@pytest.mark.parametrize(
    "header",
    [elf(32, 3), elf(64, 183), elf(32, 62), elf(64, 243), elf(64, 62)[:40]],
    ids=["i386", "aarch64", "x32", "riscv64", "truncated"],
)
def test_foreign_program(launcher: Launcher, header: bytes) -> None:
    launcher.fresh({"foreign": header})
    assert re.search(NOT_X86_64, refusal(launcher.exo(["./foreign"]), 126))


def test_interpreter_scripts(launcher: Launcher) -> None:
    script = '#!/bin/sh -e\necho "$0: $*"\nfalse\necho not reached\n'
    launcher.fresh(
        {"script": script, "nested": "#!./script one argument\n", "lost": "#!/nonesuch/sh\n"}
    )
    assert launcher.exo(["./script", "a b", "c"]).stdout == b"./script: a b c\n"
    nested = launcher.exo(["./nested", "x"])
    assert (nested.stdout, nested.status) == (b"./script: one argument ./nested x\n", 1)
    lost = launcher.exo(["./lost"])
    assert "lost" in refusal(lost, lost.status)
    assert lost.status in {126, 127}


def test_program_is_looked_up_in_path(launcher: Launcher) -> None:
    launcher.fresh({"bin/mine": "#!/bin/sh\necho mine $0\n"})
    launcher.extra_env["PATH"] = f"{launcher.work}/bin:{launcher.environment()['PATH']}"
    assert launcher.exo(["mine"]).stdout.decode() == f"mine {launcher.work}/bin/mine\n"


def test_env(launcher: Launcher) -> None:
    launcher.extra_env["KEPT"] = "kept"
    flags = ["--env", "A=1", "--env", "LANG=a=b c", "--env", "EMPTY="]
    outcome = launcher.exo(["sh", "-c", 'echo "$A,$LANG,$EMPTY,${EMPTY-unset},$KEPT"'], flags=flags)
    assert outcome.stdout == b"1,a=b c,,,kept\n"


def test_cwd(launcher: Launcher) -> None:
    launcher.fresh({"inner/file": ""})
    outcome = launcher.exo(["sh", "-c", "pwd; ls"], flags=["--cwd", "inner"])
    assert outcome.stdout.decode() == f"{launcher.work}/inner\nfile\n"
    assert launcher.exo(["pwd"], flags=["--cwd", "/"]).stdout == b"/\n"
    lost = launcher.exo(["pwd"], flags=["--cwd", "nonesuch"])
    assert lost.status != 0
    assert lost.stdout == b""
    assert b"nonesuch" in lost.stderr


def total(value: object) -> float:
    """The sum of all numbers in a JSON value."""
    if isinstance(value, dict):
        return sum(total(item) for item in value.values())
    if isinstance(value, list):
        return sum(total(item) for item in value)
    return value if isinstance(value, int | float) else 0


def test_stats(launcher: Launcher) -> None:
    outcome = launcher.exo(["bash", "-c", "echo hi; exit 3"], flags=["--stats", "stats.json"])
    assert (outcome.stdout, outcome.status) == (b"hi\n", 3)
    stats = json.loads((launcher.work / "stats.json").read_text())
    assert {"calls", "sites", "boot_us"} <= set(stats)
    assert total(stats["calls"]) > 0


def test_options_end_at_the_program(launcher: Launcher) -> None:
    for argv in (["echo", "--help", "--", "-x"], ["/bin/echo", "--help", "--", "-x"]):
        assert launcher.exo(argv).stdout == launcher.command(argv).stdout
    assert launcher.exo_um is not None
    bare = [str(launcher.exo_um), "run", *launcher.exo_flags, "printf", "%s.", "--env", "a", "--"]
    assert launcher.command(bare).stdout == b"--env.a.--."


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"]], ids=" ".join)
def test_help_shows_examples(launcher: Launcher, command: list[str]) -> None:
    outcome = launcher.command([str(launcher.exo_um), *command])
    assert (outcome.status, outcome.stderr) == (0, b"")
    assert re.search(r"(?i)example", outcome.stdout.decode())
    assert re.search(r"(?m)^.*exo-um run .*(busybox|python|bash|ls)", outcome.stdout.decode())


@pytest.mark.parametrize(
    "command",
    [["run", "--nonesuch", "true"], ["run"], ["nonesuch"], ["run", "--env"]],
    ids=" ".join,
)
def test_wrong_usage(launcher: Launcher, command: list[str]) -> None:
    outcome = launcher.command([str(launcher.exo_um), *command])
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr != b""


def test_streams_pass_through(launcher: Launcher) -> None:
    data = bytes(range(256)) * 8192
    outcome = launcher.exo(["cat"], stdin=data)
    assert hashlib.sha256(outcome.stdout).digest() == hashlib.sha256(data).digest()
    both_ways = launcher.exo(
        ["bash", "-c", "read -r x; echo out $x; echo err $x >&2"], stdin=b"line\n"
    )
    assert (both_ways.stdout, both_ways.stderr) == (b"out line\n", b"err line\n")


@pytest.mark.parametrize(
    "redirections", ["<&-", ">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-", "7<&0 0<&-"]
)
def test_closed_streams(launcher: Launcher, redirections: str) -> None:
    guest = ["bash", "-c", "cat; a=$?; ls /proc/self/fd > fds; echo $a >> fds; echo out; exit $?"]
    seen = []
    for command in (guest, launcher.exo_command(guest)):
        launcher.fresh()
        outcome = launcher.command(["bash", "-c", f'exec "$@" {redirections}', "bash", *command])
        seen.append(
            (outcome.stdout, outcome.stderr, outcome.status, (launcher.work / "fds").read_text())
        )
    assert seen[0] == seen[1]


def test_arguments_up_to_the_limits(both: Callable[..., Pair]) -> None:
    many = ["bash", "-c", 'echo $# ${#1}; printf "%s" "$@" | md5sum', "_", *["x" * 1000] * 1200]
    pair = both(many)
    assert pair.native.stdout.startswith(b"1200 1000\n")
    assert not (difference := pair.difference()), difference
    too_many = (
        'x=$(head -c 100000 /dev/zero | tr "\\0" x); /bin/true $x $x; echo $?; y="$x $x $x $x $x"; '
    )
    too_many += "/bin/true $y $y $y $y $y $y $y $y $y $y $y $y $y $y $y; echo $?"
    pair = both(["bash", "-c", too_many])
    assert pair.native.stdout == b"0\n126\n"
    assert b"Argument list too long" in pair.native.stderr
    assert not (difference := pair.difference()), difference


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_to_exo_um_ends_the_guest(launcher: Launcher, number: signal.Signals) -> None:
    guest = ["bash", "-c", "echo ready; exec sleep 100"]
    with launcher.start(launcher.exo_command(guest), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(20) in {128 + number, -number}
