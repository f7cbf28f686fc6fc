"""exo-um trace beside strace: options, names of descriptors, long strings, unions by command."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Launcher

pytestmark = pytest.mark.any_user

VARIES = (
    (r"0x[0-9a-f]{5,}( /\* \d+ vars \*/)?", "ADDRESS"), (r"\[0000[0-9a-f]{12}\]", "[IP]"),
    (r" +=", " ="), (r"^(strace|exo-um trace|exo-um): ", ""), (r"\d{9,}\.\d{6}", "TIME"),
    (r"^ +\d+\.\d{6}", "SINCE"), (r"\+ +\d+\.\d{6}", "+SINCE"), (r"; try exo-um trace --help", ""),
    (r"^Try 'strace -h'.*\n", ""), (r"\b(socket|pipe):\[\d+\]", r"\1:[N]"), (r"\d{7,}", "N"),
    (r":\d{4,5}\b", ":PORT"), (r"htons\(\d+\)", "htons(PORT)"),
)  # fmt: skip
CASES = [
    "-z -e trace=exit_group,openat,close true",
    "-Z -e trace=openat,access,exit_group true",
    "-e status=unfinished true",
    "-e status=bogus true",
    "-n -e trace=close true",
    "-i -e trace=close true",
    "-x -e trace=read true",
    "-xx -e trace=openat true",
    "-e read=3 -e trace=read,openat cat /etc/hostname",
    "-e write=1 -e trace=write echo hi",
    "-q -P /etc/hostname cat /etc/hostname",
    "-e raw=openat -e trace=openat,close true",
    "-e abbrev=none -e trace=newfstatat true",
    "-e quiet=exit -e trace=close true",
    "-qqq -e trace=close true",
    "-s 3 -a 20 -e trace=openat,read true",
    "-ttt -r -e trace=close true",
    "-r -e trace=close true",
    "-e inject=close:foo=5 true",
    "-e inject=close true",
    "-e inject=close:when=0 true",
    "-e inject=close:error=EIO:retval=3 true",
    "-e fault=close:when=1+2 -e trace=close true",
    "-e inject=getrandom:retval=7:when=1 -e trace=getrandom true",
    "-e inject=close:delay_enter=100:when=1 -e trace=close true",
    "-e inject=close:signal=USR1:when=2 -e trace=close true",
    "-e signal=BOGUS true",
    "-u nosuchuser true",
]
PLATFORMS = ([], ["--platform", "ptrace"])


def plain(text: str) -> str:
    """Text without what differs from run to run."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


@pytest.fixture
def both(
    launcher: Launcher, require: Callable[[str], None]
) -> Callable[..., list[tuple[int, str, str]]]:
    """Run strace and exo-um trace, in two fresh folders: exit status, stdout, stderr of each."""
    require("strace")
    exo = launcher.exo_command(["x"])[0]

    def run(words: list[str], flags: list[str]) -> list[tuple[int, str, str]]:
        found = []
        for tracer in ["strace"], [exo, "trace", *flags]:
            done = subprocess.run(
                [*tracer, *words], cwd=launcher.fresh({}), text=True, capture_output=True,
                timeout=60, check=False, stdin=subprocess.DEVNULL, errors="replace",
            )  # fmt: skip
            found.append((done.returncode, plain(done.stdout), plain(done.stderr)))
        return found

    return run


@pytest.mark.parametrize("flags", PLATFORMS, ids=["inside", "ptrace"])
@pytest.mark.parametrize("case", CASES)
def test_options_are_strace_s(
    both: Callable[..., list[tuple[int, str, str]]], case: str, flags: list[str]
) -> None:
    """Lines, messages and exit status."""
    if "-u" in case and os.getuid() != 0:
        case = "-e trace=close true"
    theirs, ours = both(case.split(), flags)
    assert ours == theirs


@pytest.mark.parametrize("option", ["-D", "-b execve", "-I 2", "-Y", "-e verbose=none", "-X raw"])
def test_what_is_not_there_says_so(
    both: Callable[..., list[tuple[int, str, str]]], option: str
) -> None:
    """In a line, with strace's exit status."""
    _, (status, out, err) = both([*option.split(), "true"], [])
    assert (status, out) == (1, "")
    assert "not supported" in err
    assert err.count("\n") == 1


def test_output_goes_to_a_command_and_is_appended(
    launcher: Launcher, require: Callable[[str], None]
) -> None:
    """-o |COMMAND waits for its reader; -A adds to a file."""
    require("strace")
    exo = launcher.exo_command(["x"])[0]
    folder = Path(launcher.fresh({}))
    for words in ["-o", "|cat >>out"], ["-A", "-o", "out"]:
        command = [exo, "trace", *words, "-e", "trace=close", "true"]
        subprocess.run(command, cwd=folder, check=True, timeout=60)
    lines = (folder / "out").read_text().splitlines()
    assert [line for line in lines if line.startswith("+++")] == ["+++ exited with 0 +++"] * 2


DESCRIPTORS = """
import os, select, socket
a, b = socket.socketpair(); a.send(b'x'); b.recv(1)
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()
c = socket.socket(); c.connect(l.getsockname()); s, _ = l.accept(); s.send(b'hi'); c.recv(5)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))
u.sendto(b'q', u.getsockname())
x = socket.socket(socket.AF_INET6); x.bind(('::1', 0)); x.listen()
y = socket.socket(socket.AF_UNIX); y.bind('name'); y.listen()
z = socket.socket(socket.AF_UNIX); z.connect('name'); w, _ = y.accept(); w.send(b'r'); z.recv(1)
r, q = os.pipe(); os.write(q, b'z')
e = select.epoll(); e.register(r, 1); e.poll(0)
p = select.poll(); p.register(r, 1); p.register(q, 4); p.poll(0)
select.select([r], [q], [], 0)
fd = os.open('/dev/null', os.O_RDONLY); os.dup2(fd, 50); os.close(50)
fd = os.open('gone', os.O_CREAT | os.O_RDWR); os.unlink('gone'); os.write(fd, b'k')
socket.send_fds(a, [b'x'], [r, q]); socket.recv_fds(b, 10, 5)
d = os.open('/usr', os.O_RDONLY); os.open('bin', os.O_RDONLY, dir_fd=d)
m = os.memfd_create('hey'); os.close(m)
"""


NAMING = "socket|bind|listen|connect|accept|send|recv|pipe|write|epoll|p?select|poll|dup|open|close"


@pytest.mark.parametrize("option", ["-y", "-yy"])
@pytest.mark.parametrize("flags", PLATFORMS, ids=["inside", "ptrace"])
def test_descriptors_have_strace_s_names(
    launcher: Launcher, require: Callable[[str], None], flags: list[str], option: str
) -> None:
    """Files, pipes, sockets with addresses and peers, devices, deleted files."""
    require("strace")
    exo = launcher.exo_command(["x"])[0]
    shown = []
    for tracer in ["strace"], [exo, "trace", *flags]:
        folder = Path(launcher.fresh({}))
        out = folder / "out"
        program = ["/usr/bin/python3", "-S", "-c", DESCRIPTORS]
        subprocess.run([*tracer, option, "-o", out, *program], cwd=folder, check=True, timeout=60)
        lines = out.read_text().replace(str(folder), "FOLDER").splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("socketpair"))
        shown.append([plain(line) for line in lines[start:] if re.match(NAMING, line)])
    assert shown[0] == shown[1]
    assert len(shown[0]) > 40


LONG = """
import os, socket
text = bytes(97 + i % 26 for i in range(100_000))
fd = os.open('/dev/null', os.O_RDWR)
os.write(fd, text)
os.writev(fd, [text[i * 1000 : i * 1000 + 1000] for i in range(40)])
try: os.open(text, 0)
except OSError: pass
zero = os.open('/dev/zero', os.O_RDONLY); os.read(zero, 70_000)
a, b = socket.socketpair(); a.sendmsg([text[:9000], text[:50]]); b.recv(20_000)
try: os.execve('/nowhere/x', ['word'] * 70, {f'a{i}': 'b' for i in range(300)})
except OSError: pass
"""


@pytest.mark.parametrize("size", ["32", "6000", "200000"])
def test_long_strings_and_lists_are_whole(
    launcher: Launcher, require: Callable[[str], None], size: str
) -> None:
    """As much of them as -s asks for."""
    require("strace")
    exo = launcher.exo_command(["x"])[0]
    folder = Path(launcher.fresh({}))
    words = ["-s", size, "-e", "trace=write,writev,openat,read,sendmsg,recvfrom,execve"]
    shown = []
    for tracer, name in (["strace"], "theirs"), ([exo, "trace"], "ours"):
        program = ["/usr/bin/python3", "-S", "-c", LONG]
        subprocess.run([*tracer, *words, "-o", name, *program], cwd=folder, check=True, timeout=60)
        lines = (folder / name).read_text().splitlines()
        start = next(i for i, line in enumerate(lines) if '"/dev/null"' in line)
        shown.append([plain(line) for line in lines[start:]])
    assert shown[0] == shown[1]


UNIONS = """
import ctypes, os
call = ctypes.CDLL(None).syscall
room = (ctypes.c_uint64 * 32)(*range(1, 33))
at = ctypes.addressof(room)
for command, kind in (7, 0), (8, 1), (5, 0), (6, 2), (4, 0), (2, 0), (3, 1), (1, 0), (99, 9):
    call(179, (0x800000 + command) << 8 | kind, b'/dev/none', 5, room)
    call(443, 99, (0x800000 + command) << 8 | kind, 5, room)
for command in 1, 2, 3, 4, 5, 6, 9, 99:
    call(179, (0x5800 + command) << 8, b'/dev/none', 5, room)
for command in *range(33), 99:
    call(250, command, -2, 3, 5, 6)
for command in 1, 2, 11, 12:
    call(250, command, room if command == 1 else -2, room, 5, 6)
for option in *range(1, 54), 56, 57, 58, 62, 0x53564D41:
    if option not in (15, 22, 26, 36):
        call(157, option, 3, 9, 9, 9)
for request in 0, 1, 2, 3, 7, 8, 9, 16, 17, 24, 31, 32, 33, 0x4200, 0x4206, 0x4207, 0x4208:
    call(101, request, 99999, 16, 9)
for request in 12, 13, 14, 15, 0x4201, 0x4202, 0x4203, 0x4209, 0x420A, 0x420B, 0x420E:
    call(101, request, 99999, room if request == 0x4209 else 8, room)
for request in 0x4204, 0x4205:
    call(101, request, 99999, 1, room)
for command in *range(4), 6, 7, 8, 17, 22, 24, 25, 26, 27, 28, 99:
    call(321, command, room, 40)
call(298, room, -1, 0, -1, 8)
call(425, 8, room)
call(444, room, 8, 0); call(445, 99, 1, room, 0)
call(449, room, 3, 0, None, 0)
call(317, 1, 0, room); call(317, 3, 0, room); call(317, 2, 0, room)
call(209, room, 1, room); call(210, room, room, room)
call(165, b'a', b'/nowhere', b'tmpfs', 0x21, b'size=1')
call(165, b'a', b'/nowhere', b'tmpfs', 0, b'x')
call(442, -100, b'/nowhere', 0x100, room, 32)
call(431, 99, 1, b'key', b'value', 0); call(429, -1, b'a', -1, b'b', 4)
for command in 0, 1, 2, 3, 11, 13, 14:
    call(31, 99999, command, room); call(71, 99999, command, room)
    call(66, 99999, 0, command, room)
"""


@pytest.mark.parametrize("flags", PLATFORMS, ids=["inside", "ptrace"])
def test_unions_are_decoded_by_command(
    launcher: Launcher, require: Callable[[str], None], flags: list[str]
) -> None:
    """Their arguments: quotactl, keyctl, prctl, ptrace, bpf, io_uring, Landlock, IPC and others."""
    require("strace")
    exo = launcher.exo_command(["x"])[0]
    folder = Path(launcher.fresh({}))
    names = ("quotactl,quotactl_fd,keyctl,prctl,ptrace,bpf,perf_event_open,io_uring_setup,seccomp,"
             "landlock_create_ruleset,landlock_add_rule,futex_waitv,sched_setattr,io_submit,io_cancel,"
             "mount,mount_setattr,fsconfig,move_mount,shmctl,msgctl,semctl")  # fmt: skip
    shown = []
    for tracer, name in (["strace"], "theirs"), ([exo, "trace", *flags], "ours"):
        program = ["setarch", "-R", "/usr/bin/python3", "-S", "-c", UNIONS]
        command = [*tracer, "-e", f"trace={names}", "-o", name, *program]
        subprocess.run(command, cwd=folder, timeout=60, check=False)
        lines = (folder / name).read_text().splitlines()
        shown.append([plain(line).rpartition(") = ")[0] for line in lines])
    differ = [pair for pair in zip(*shown, strict=True) if pair[0] != pair[1]]
    assert differ == []
    assert len(shown[0]) > 190
