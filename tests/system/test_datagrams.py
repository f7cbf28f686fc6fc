"""AF_UNIX datagrams between guests and the host's processes: none is lost, nor taken for a bell."""

from __future__ import annotations

import array
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sidebyside import Launcher

PATIENCE_S = 20.0

# Receives from a guest (its child) and from the host at once, in each of the ways to wait.
SERVER = """
import os, select, socket, sys
way, each = sys.argv[1], int(sys.argv[2])
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("server")
pid = os.fork()
if pid == 0:
    own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    own.bind("child")
    for n in range(each):
        own.sendto(b"guest %d" % n, "server")
    os._exit(0)
print("ready", flush=True)
epoll = select.epoll()
epoll.register(server, select.EPOLLIN)
seen = {"child": 0, "host": 0}
while sum(seen.values()) < 2 * each:
    if way == "poll":
        assert select.select([server], [], [], 20)[0]
    if way == "epoll":
        assert epoll.poll(20)
    what, who = server.recvfrom(100, 0 if way == "recv" else socket.MSG_DONTWAIT)
    expected = b"%s %d" % (b"guest" if who == "child" else b"host", seen[who])
    assert what == expected, (what, expected)
    seen[who] += 1
os.waitpid(pid, 0)
try:
    server.recv(1, socket.MSG_DONTWAIT)
except BlockingIOError:
    print(seen, flush=True)
"""

# Logs to the host, as to /dev/log: connected, and by name; and learns that it has gone.
LOGGER = """
import os, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect("log")
log.send(b"connected")
named = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
named.bind("named")
named.sendto(b"by name", "log")
read, write = os.pipe()
os.write(write, b"piped")
fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, read.to_bytes(4, sys.byteorder))]
named.sendmsg([b"fds"], fds, 0, "log")
print(named.recvfrom(100), flush=True)
message, fds, _, who = socket.recv_fds(named, 100, 4)
print(message, os.read(fds[0], 10), who, flush=True)
sys.stdin.read(1)
for _ in range(2):
    try:
        log.send(b"nobody")
    except OSError as error:
        print(error.errno, flush=True)
"""


def host_socket(folder: Path, name: str) -> socket.socket:
    """A socket of the host's that is bound to a name in the guest's folder."""
    here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.settimeout(PATIENCE_S)
    before = Path.cwd()
    os.chdir(folder)  # the guest sees the name as it was given
    try:
        here.bind(name)
    finally:
        os.chdir(before)
    return here


@pytest.mark.parametrize("way", ["recv", "poll", "epoll"])
def test_host_and_guest_send_to_a_guest(launcher: Launcher, way: str) -> None:
    """Each sender's messages come in order, none is missing, and nothing else comes."""
    folder, each = launcher.fresh(), 300
    launcher.hand_over(folder)
    argv = launcher.exo_command([sys.executable, "-c", SERVER, way, str(each)])
    process = launcher.start(argv, cwd=folder, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    with host_socket(folder, "host") as here:
        here.connect(str(folder / "server"))
        for n in range(each):
            here.send(b"host %d" % n)
    assert process.stdout.read() == b"{'child': %d, 'host': %d}\n" % (each, each)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def test_a_guest_sends_to_the_host(launcher: Launcher) -> None:
    """With and without a connection, with fds, and back."""
    folder = launcher.fresh()
    with host_socket(folder, "log") as log:
        launcher.hand_over(folder)
        (folder / "log").chmod(0o777)
        argv = launcher.exo_command([sys.executable, "-c", LOGGER])
        process = launcher.start(argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert log.recvfrom(100) == (b"connected", None)
        assert log.recvfrom(100) == (b"by name", "named")
        message, fds, _, who = socket.recv_fds(log, 100, 4)
        assert (message, os.read(fds[0], 10), who) == (b"fds", b"piped", "named")
        log.sendto(b"answer", str(folder / "named"))
        read, write = os.pipe()
        os.write(write, b"back")
        with_fd = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [read]))]
        log.sendmsg([b"with"], with_fd, 0, str(folder / "named"))
        assert process.stdout
        assert select.select([process.stdout], [], [], PATIENCE_S)[0]
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines == [b"(b'answer', 'log')\n", b"b'with' b'back' log\n"]
        for fd in (*fds, read, write):
            os.close(fd)
    output, _ = process.communicate(b"x", PATIENCE_S)
    assert (output, process.returncode) == (b"111\n107\n", 0)
