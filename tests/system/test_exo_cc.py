"""exo-cc: its programs behave the same on Linux and on exo-um, where none of their calls traps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_user

BIN = Path(sys.executable).parent
EXO_CC, EXO_UM = str(BIN / "exo-cc"), str(BIN / "exo-um")
GUEST = Path(__file__).parent.parent / "guest"
# Programs of tests/guest: threads, signals that restart calls, vfork, hand-written call sites.
GUESTS = ("vfork", "clone", "pthread_create", "signal_restart", "redzone", "sigaltstack", "pipe")
# clang is large: tests/system/packages.txt does not have it.
PROGRAMS = [("gcc", name) for name in GUESTS]
PROGRAMS += [("clang", name) for name in GUESTS[:4] if shutil.which("clang")]

API = r"""
#include <exo/api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define COUNT 2000
static char large[10000], got[10000];
static int child(int fd)
{
    struct exo_chan *channel;
    if (exo_chan_open(&channel, fd) != 0)
        return 1;
    for (int i = 0; i < COUNT; i++)
        if (exo_chan_send(channel, &i, sizeof i, EXO_API_FOREVER) != 0)
            return 2;
    memset(large, 'x', sizeof large);
    if (exo_chan_send(channel, large, sizeof large, EXO_API_FOREVER) != 0)
        return 3;
    exo_chan_close(channel);
    return 7;
}
int main(int argc, char **argv)
{
    if (argc > 1)
        return child(atoi(argv[1]));
    struct exo_chan *channel;
    struct exo_batch out;
    exo_batch_begin(&out, 1);
    char number[16];
    printf("%d", exo_chan_create(&channel, 3, 0, 0));
    printf(" %d\n", exo_chan_create(&channel, 64, 16384, 4));
    printf("%zd\n", exo_chan_receive(channel, got, sizeof got, 0));
    printf("%d\n", exo_chan_send(channel, got, 20000, 0));
    struct exo_spawn_fd fd = {exo_chan_fd(channel), 9};
    sprintf(number, "%d", 9);
    pid_t pid = exo_spawn(argv[0], (char *[]){argv[0], number, NULL}, NULL, &fd, 1);
    long sum = 0;
    for (int i = 0, value; i < COUNT; i++) {
        if (exo_chan_receive(channel, &value, sizeof value, EXO_API_FOREVER) != sizeof value)
            return 1;
        sum += value;
    }
    ssize_t size = exo_chan_receive(channel, got, sizeof got, EXO_API_FOREVER);
    printf("%ld %zd %d\n", sum, size, got[size - 1] == 'x');
    printf("%zd\n", exo_chan_receive(channel, got, sizeof got, EXO_API_FOREVER));
    printf("%d\n", exo_spawn_wait(pid));
    printf("%d\n", exo_spawn("/nonesuch", (char *[]){"x", NULL}, NULL, NULL, 0));
    fflush(stdout);
    for (int i = 0; i < 3000; i++)
        if (exo_batch_write(&out, "line\n", 5) != 5)
            return 2;
    if (exo_batch_flush(&out) != 0)
        return 3;
    exo_chan_close(channel);
    return 0;
}
"""


def compiled(folder: Path, source: Path, *options: str) -> Path:
    """Compile a program with exo-cc; what it says is in folder/said."""
    program = folder / source.stem
    argv = [EXO_CC, "--exo-verbose", "-O1", "-pthread", "-w", *options, "-o", program, source]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stderr)
    return program


def both(program: Path, folder: Path) -> tuple[subprocess.CompletedProcess[bytes], dict]:
    """Run natively and on exo-um; return the latter's end, and its statistics."""
    ends = []
    for name, before in (("a", []), ("b", [EXO_UM, "run", "--stats", str(folder / "stats")])):
        (folder / name).mkdir()
        ends.append(
            subprocess.run(
                [*before, program],
                cwd=folder / name,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
        )
    native, exo = ends
    assert (exo.returncode, exo.stdout) == (native.returncode, native.stdout)
    return exo, json.loads((folder / "stats").read_text())


@pytest.mark.parametrize(("compiler", "name"), PROGRAMS)
def test_guests_behave_and_do_not_trap(compiler: str, name: str, tmp_path: Path) -> None:
    options = [f"--exo-cc={compiler}", *(["-s"] if name == "pipe" else [])]  # stripped
    program = compiled(tmp_path, GUEST / f"{name}.c", *options)
    end, stats = both(program, tmp_path)
    assert end.returncode == 0
    trapped = {call: row["trapped"] for call, row in stats["calls"].items() if row["trapped"]}
    # Some sites of redzone.c, one with a prefix among them, stay as they are.
    assert trapped.keys() <= ({"getpid"} if name == "redzone" else set()), trapped


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_native_api(libc: str, tmp_path: Path) -> None:
    (tmp_path / "api.c").write_text(API)
    program = compiled(tmp_path, tmp_path / "api.c", f"--exo-libc={libc}")
    end, stats = both(program, tmp_path)
    head, _, lines = end.stdout.partition(b"line\n")
    assert head.split() == [
        b"-22",
        b"0",
        b"-11",
        b"-90",
        b"1999000",
        b"10000",
        b"1",
        b"-32",
        b"7",
        b"-2",
    ]
    assert lines.count(b"line\n") == 2999
    trapped = {call: row["trapped"] for call, row in stats["calls"].items() if row["trapped"]}
    assert trapped == {}
    assert stats["calls"]["write"]["calls"] < 1000  # of 3,000: the batch's


def test_what_cannot_be_static_is_dynamic(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text("int f(void) { return 3; }\n")
    (tmp_path / "m.c").write_text("int f(void); int main(void) { return f(); }\n")
    for argv in (
        ["-shared", "-fPIC", "-o", "libf.so", "f.c"],
        ["-L.", "m.c", "-lf", "-Wl,-rpath,."],
    ):
        done = subprocess.run(
            [EXO_CC, *argv], cwd=tmp_path, capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
    for before in ([], [EXO_UM, "run"]):
        done = subprocess.run([*before, "./a.out"], cwd=tmp_path, timeout=30, check=False)
        assert done.returncode == 3


def test_a_language_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "m.c").write_text("#include <exo/api.h>\nint main() { return exo_is_direct(); }\n")
    argv = [EXO_CC, "--exo-cc=g++", "-x", "c++", "m.c"]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=60)
    for before, status in (([], 0), ([EXO_UM, "run"], 1)):
        done = subprocess.run([*before, "./a.out"], cwd=tmp_path, timeout=30, check=False)
        assert done.returncode == status


def test_dynamic_programs_enter_directly_from_their_own_sites(tmp_path: Path) -> None:
    source = tmp_path / "own.c"
    source.write_text(
        "#include <sys/syscall.h>\n"
        "int main(void) { long r; for (int i = 0; i < 100; i++)\n"
        '  __asm__ volatile("syscall" : "=a"(r) : "0"(SYS_getppid) : "rcx", "r11", "memory");\n'
        "  return r <= 0; }\n"
    )
    end, stats = both(compiled(tmp_path, source, "--exo-dynamic"), tmp_path)
    assert end.returncode == 0
    assert (stats["calls"]["getppid"]["calls"], stats["calls"]["getppid"]["trapped"]) == (100, 0)


def test_many_sites_get_the_room_they_need(tmp_path: Path) -> None:
    source = tmp_path / "many.c"
    call = '__asm__ volatile("mov $39, %%eax; syscall" : : : "rax", "rcx", "r11", "memory");\n'
    source.write_text(f"int main(void) {{ {call * 500} return 0; }}\n")
    _, stats = both(compiled(tmp_path, source), tmp_path)
    assert (stats["calls"]["getpid"]["calls"], stats["trapped"]) == (500, 0)


def test_it_is_a_compiler_driver(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text("int f(void) { return 3; }\n")
    (tmp_path / "m.c").write_text("int f(void); int main(void) { return f(); }\n")

    def cc(*argv: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [EXO_CC, *argv], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status, done.stderr
        return done

    cc("-c", "f.c", "m.c")
    cc("f.o", "m.o")
    assert subprocess.run([tmp_path / "a.out"], check=False).returncode == 3
    cc("-shared", "-fPIC", "-o", "f.so", "f.c")
    assert "f" in cc("-E", "f.c").stdout
    assert cc("m.c", status=1).stderr  # the linker's: f is missing
    assert cc(status=2).stderr.count("\n") == 1
    assert cc("--exo-nothing", "f.c", status=2).stderr.count("\n") == 1
    assert cc("--exo-cc=nonesuch", "f.c", status=127).stderr.count("\n") == 1
