"""exo-um trace -k: who makes a call, beside what strace -k writes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from sidebyside import Launcher

pytestmark = pytest.mark.any_user

SOURCE = r"""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static int say(const char *text)
{
    char copy[200];
    memcpy(copy, text, strlen(text) + 1);
    return write(1, copy, strlen(copy)) > 0 && copy[0];
}

__attribute__((noinline)) static int deep(int left)
{
    volatile int here = left;
    return (left == 0 ? say("deep\n") : deep(left - 1)) + here;
}

static void handler(int number)
{
    say(number ? "handler\n" : "");
}

static void *thread(void *text)
{
    return say(text) ? NULL : text;
}

static int compare(const void *a, const void *b)
{
    return say("compare\n") ? *(const char *)a - *(const char *)b : 0;
}

int main(int argc, char **argv)
{
    pthread_t other;
    char letters[2] = {'b', 'a'};
    say(argv[0] ? "main\n" : "");
    deep(argc == 1 ? 300 : 3);
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    pthread_create(&other, NULL, thread, "thread\n");
    pthread_join(other, NULL);
    qsort(letters, 2, 1, compare);
    return 0;
}
"""


@pytest.fixture
def program(tmp_path: Path, require: object) -> Path:
    """A program whose writes come from various places, optimised as distributions do."""
    require("gcc")  # type: ignore[operator]
    require("strace")  # type: ignore[operator]
    (tmp_path / "p.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O2", "-pthread", "-o", "p", "p.c"], cwd=tmp_path, check=True)
    return tmp_path / "p"


def stacks(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Each write's or lseek's text, without its pid, and its frames."""
    found: list[tuple[str, list[str]]] = []
    for line in path.read_text().splitlines():
        if line.startswith(" > "):
            found[-1][1].append(line)
        else:
            found.append((re.sub(r"^(\[pid +)?\d+\]? +", "", line), []))
    return [(line, tuple(frames)) for line, frames in found if line.startswith(("write", "lseek"))]


@pytest.mark.parametrize("flags", [[], ["--no-patch"], ["--platform", "ptrace"]])
def test_frames_are_strace_s(program: Path, launcher: Launcher, flags: list[str]) -> None:
    """Through handlers, threads, libraries' callbacks, and more frames than are shown."""
    exo = launcher.exo_command(["x"])[0]
    options = ["-f", "-k", "-e", "trace=write", "-e", "signal=none"]
    for tracer, out in (["strace"], "theirs"), ([exo, "trace", *flags], "ours"):
        subprocess.run(
            [*tracer, *options, "-o", out, program], cwd=program.parent, check=True, stdout=-3
        )
    ours = stacks(program.parent / "ours")
    said = [line.split('"')[1] for line, _ in ours]
    assert said == [f"{word}\\n" for word in ("main", "deep", "handler", "thread", "compare")]
    assert ours == stacks(program.parent / "theirs")
    assert len(ours[1][1]) == 257


def test_a_whole_program_s_frames(tmp_path: Path, launcher: Launcher, require: object) -> None:
    """Python's lseeks, through an interpreter's many frames, and in a program that it executes."""
    require("strace")  # type: ignore[operator]
    exo = launcher.exo_command(["x"])[0]
    code = "import os; os.lseek(os.open('/dev/zero', 0), 5, 0); os.execv('/bin/ls', ['ls', '/'])"
    for tracer, out in (["strace"], "theirs"), ([exo, "trace"], "ours"):
        command = [*tracer, "-k", "-e", "trace=write,lseek", "-o", out, "/usr/bin/python3", "-c"]
        subprocess.run([*command, code], cwd=tmp_path, check=True, stdout=-3)
    ours = stacks(tmp_path / "ours")
    assert len(ours) > 1
    assert ours == stacks(tmp_path / "theirs")


def test_a_tracer_that_is_killed_lets_tasks_go_on(program: Path, launcher: Launcher) -> None:
    """They wait for it at each call, but not for ever."""
    exo = launcher.exo_command(["x"])[0]
    with subprocess.Popen(
        [exo, "trace", "-k", "-o", "/dev/full", "/usr/bin/python3", "-S", "-c",
         "import os; print(1, flush=True); input(); [os.getppid() for _ in range(9)]; print(2)"],
        stdin=-1, stdout=-1, stderr=-3, text=True, cwd=program.parent,
    ) as tracer:  # fmt: skip
        assert tracer.stdin is not None
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "1\n"
        tracer.kill()
        tracer.stdin.write("\n")
        tracer.stdin.flush()
        assert tracer.stdout.read() == "2\n"
