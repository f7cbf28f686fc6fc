"""FIFOs between guests and the host's processes: nothing is lost, nor comes that nobody sent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from sidebyside import Launcher

PATIENCE_S = 20.0
EACH = 300

# Reads what a child and the host write, at once, in each of the ways to wait.
READER = """
import os, select, sys
way, each = sys.argv[1], int(sys.argv[2])
os.mkfifo("fifo")
os.chmod("fifo", 0o666)
reads = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
writes = os.open("fifo", os.O_WRONLY)
os.set_blocking(reads, way == "read")
print("ready", flush=True)
if os.fork() == 0:
    os.close(reads)
    for n in range(each):
        os.write(writes, b"guest %03d\\n" % n)
        if n % 50 == 0:
            select.select([], [], [], 0.002)
    sys.stdin.read(1)  # when the host has opened it
    os._exit(0)
os.close(writes)
epoll = select.epoll()
if way == "epoll":
    epoll.register(reads, select.EPOLLIN)
text = b""
while True:
    if way == "poll":
        assert select.select([reads], [], [], 20)[0]
    if way == "epoll":
        assert epoll.poll(20)
    if not (piece := os.read(reads, 4096)):
        break
    text += piece
os.wait()
sys.stdout.buffer.write(text)
"""

# Writes to whoever reads, in lines and at last more than fits.
WRITER = """
import os, sys
if sys.argv[1] == "make":
    os.mkfifo("fifo")
    os.chmod("fifo", 0o666)
    print("ready", flush=True)
with open("fifo", "wb", buffering=0) as fifo:
    for n in range(int(sys.argv[2])):
        fifo.write(b"guest %03d\\n" % n)
    fifo.write(b"x" * 300000)
"""


def lines(who: str) -> bytes:
    """What one of them writes."""
    return b"".join(b"%s %03d\n" % (who.encode(), n) for n in range(EACH))


@pytest.mark.parametrize("way", ["read", "poll", "epoll"])
def test_host_and_guest_write_to_a_guest(launcher: Launcher, way: str) -> None:
    """Each writer's lines come in order, none is missing, and nothing else comes."""
    folder = launcher.fresh()
    launcher.hand_over(folder)
    argv = launcher.exo_command([sys.executable, "-c", READER, way, str(EACH)])
    process = launcher.start(argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    assert process.stdout.readline() == b"ready\n"
    with (folder / "fifo").open("wb", buffering=0) as fifo:
        process.stdin.write(b"x")
        process.stdin.close()
        for line in lines("outer").splitlines(keepends=True):
            fifo.write(line)
    text = process.stdout.read()
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()
    for who in ("guest", "outer"):
        seen = [line for line in text.splitlines() if line.startswith(who.encode())]
        assert seen == lines(who).splitlines()
    assert Counter(line[:5] for line in text.splitlines()) == {b"guest": EACH, b"outer": EACH}


@pytest.mark.parametrize("maker", ["guest", "host"])
def test_a_guest_writes_to_the_host(launcher: Launcher, maker: str) -> None:
    """Whoever has made it."""
    folder = launcher.fresh()
    if maker == "host":
        os.mkfifo(folder / "fifo")
    launcher.hand_over(folder)
    made = "make" if maker == "guest" else ""
    argv = launcher.exo_command([sys.executable, "-c", WRITER, made, str(EACH)])
    process = launcher.start(argv, cwd=folder, stdout=subprocess.PIPE)
    assert process.stdout
    if maker == "guest":
        assert process.stdout.readline() == b"ready\n"
    assert (folder / "fifo").read_bytes() == lines("guest") + b"x" * 300000
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def test_two_instances(launcher: Launcher) -> None:
    """What a guest of one has made, guests of both use."""
    folder = launcher.fresh()
    launcher.hand_over(folder)
    writer = launcher.start(
        launcher.exo_command([sys.executable, "-c", WRITER, "make", str(EACH)]),
        cwd=folder,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout
    assert writer.stdout.readline() == b"ready\n"
    reader = launcher.exo(["cat", "fifo"])
    assert reader.stdout == lines("guest") + b"x" * 300000
    assert writer.wait(PATIENCE_S) == 0
    writer.stdout.close()


def test_a_reader_outside_comes_later(launcher: Launcher) -> None:
    """Guests have read and written; then the reader is another process, and nothing is amiss.

    The guest's reader sleeps again before it is killed: else it leaves a bell.
    """
    folder = launcher.fresh()
    launcher.hand_over(folder)
    script = """
    mkfifo fifo; chmod 666 fifo
    cat fifo > first & exec 3>fifo; echo one >&3; until [ -s first ]; do :; done
    until grep -q '^State:.S' /proc/$!/status; do :; done
    kill %1; wait; echo ready; read; echo two >&3; echo three >&3
    """
    process = launcher.start(
        launcher.exo_command(["bash", "-c", script]),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((folder / "fifo").read_bytes()))
    reader.start()
    while reader.is_alive() and not has_open(folder / "fifo"):
        pass
    process.stdin.write(b"\n")
    process.stdin.close()
    reader.join(PATIENCE_S)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()
    assert got == [b"two\nthree\n"]


def has_open(path: Path) -> bool:
    """Whether this process has it open."""
    return any(
        os.path.samestat(entry.stat(), path.stat())
        for entry in Path("/proc/self/fd").iterdir()
        if entry.exists()
    )
