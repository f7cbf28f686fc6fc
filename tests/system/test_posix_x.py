"""posix-x: what analyze finds is compared with what strace sees, and benchmark runs whole."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_user

POSIX_X = str(Path(sys.executable).parent / "posix-x")
SERVED, NOT_SERVED = 0, 3
SOURCE = """\
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((noinline)) static long ask(long nr, long other) { return syscall(nr, other); }
static long own(long number)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number) : "rcx", "r11", "memory");
    return result;
}
int main(int argc, char **argv)
{
    if (argc > 2)
        return syscall(atoi(argv[1])) < 0;
    ask(SYS_getpgid, 0);
    syscall(argc > 1 ? SYS_getppid : SYS_getuid);
    return own(argc > 1 ? SYS_gettid : SYS_getegid) < 0;
}
"""
# What strace -c is to see: name and arguments; each program's own process only.
RUNS = {
    "ls": ["/bin/ls", "-la", "/"],
    "sh": ["/bin/sh", "-c", "echo hello | cat; kill -0 $$; ulimit -a; wait"],
    "busybox": ["/bin/busybox", "sh", "-c", "echo hello; ls / | wc -l"],
    "make": ["/usr/bin/make", "-f", "-", "--eval=all:; @:"],
    "gofmt": ["/usr/bin/gofmt", "-h"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose caches are empty."""
    return {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def posix_x(home: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [POSIX_X, *argv], env=home, capture_output=True, text=True, timeout=60, check=False
    )


def analyzed(home: dict[str, str], program: str | Path) -> dict[str, dict]:
    """The calls that analyze finds, by name."""
    done = posix_x(home, "analyze", "--json", str(program))
    assert done.returncode in (SERVED, NOT_SERVED), done.stderr
    return {call["name"]: call for call in json.loads(done.stdout)["calls"]}


def seen(argv: list[str], folder: Path) -> set[str]:
    """The calls of a program's run, as strace counts them."""
    counts = folder / "counts"
    subprocess.run(
        ["strace", "-c", "-o", counts, *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    rows = [line.split() for line in counts.read_text().splitlines()]
    return {row[-1] for row in rows if row and re.fullmatch(r"\d+\.\d+", row[0])} - {"total"}


@pytest.mark.parametrize("name", RUNS)
def test_every_call_seen_was_found(name: str, home: dict[str, str], tmp_path: Path) -> None:
    found = analyzed(home, str(Path(RUNS[name][0]).resolve()))
    assert seen(RUNS[name], tmp_path) - found.keys() <= {"execve"}  # strace's own


@pytest.mark.parametrize("how", ["gcc", "gcc -static", "musl-gcc -static -s"])
def test_numbers_are_followed(how: str, home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    subprocess.run(
        [*how.split()[:1], "-O1", "-o", "a", "a.c", *how.split()[1:]], cwd=tmp_path, check=True
    )
    program = tmp_path / "a"
    found = analyzed(home, program)
    assert {"getpgid", "getppid", "getuid", "gettid", "getegid"} <= {
        name for name, call in found.items() if call["how"] == "sure"
    }
    assert seen([str(program)], tmp_path) - found.keys() <= {"execve"}
    if "-s" not in how.split():
        unresolved = json.loads(posix_x(home, "analyze", "--json", str(program)).stdout)[
            "unresolved"
        ]
        assert any(place["function"] == "main" for place in unresolved)


def elf(bits: int, machine: int) -> bytes:
    """The head of an executable for another machine."""
    head = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HHI", 2, machine, 1)
    return head.ljust(64, b"\0")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#!/bin/sh\n", "a script: analyze its interpreter, /bin/sh"),
        (b"text", "not an ELF file"),
        (elf(32, 3), "for i386"),
        (elf(64, 183), "for aarch64"),
        (elf(64, 62)[:40], "damaged"),
        (elf(64, 62)[:58].ljust(70, b"\xff"), "no code"),
        (None, "no such file"),
    ],
)
def test_what_cannot_be_read_gets_a_line(
    content: bytes | None, reason: str, home: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    done = posix_x(home, "analyze", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"posix-x: .*{re.escape(reason)}.*\n", done.stderr), done.stderr


def test_text_tells_tiers_and_score(home: dict[str, str]) -> None:
    done = posix_x(home, "analyze", "busybox")
    assert done.returncode == NOT_SERVED
    assert re.search(r"^none \(\d+\): not served\n  sure: .*\bmount\b", done.stdout, re.MULTILINE)
    assert re.search(r"^score: \d+", done.stdout, re.MULTILINE)
    assert re.search(r"^estimate: .*\n", done.stdout, re.MULTILINE)
    assert "\033" not in done.stdout


def test_a_reader_that_leaves_is_no_error(home: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{POSIX_X} analyze --json busybox | head -c 10"],
        env=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (len(done.stdout), done.stderr) == (10, "")


def test_wrong_command_lines_get_a_line(home: dict[str, str]) -> None:
    for argv in (
        ["analyze"],
        ["nothing"],
        ["benchmark", "nothing"],
        ["benchmark", "--rounds", "0"],
    ):
        done = posix_x(home, *argv)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1


def test_benchmark_measures_every_case(home: dict[str, str]) -> None:
    done = posix_x(home, "benchmark", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["figures"]) == 10
    for figure in result["figures"]:
        assert figure["ratio"] == pytest.approx(figure["exo"] / figure["linux"])
    ratios = [figure["ratio"] for figure in result["figures"]]
    assert result["geometric_mean"] == pytest.approx(math.prod(ratios) ** (1 / len(ratios)))
    estimate = json.loads(posix_x(home, "analyze", "--json", "ls").stdout)["estimate"]
    assert result["when"] in estimate["basis"]


def test_benchmark_as_text(home: dict[str, str]) -> None:
    done = posix_x(home, "benchmark", "--rounds", "1", "getpid", "ring")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^overall: .*\(geometric mean of 2 ratios: ", done.stdout, re.MULTILINE)
    assert "\033" not in done.stdout
