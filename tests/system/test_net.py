"""Whose loopback it is: the instance's own, or with --net host the host's."""

from __future__ import annotations

import select
import socket
import sys
import threading

import pytest
from sidebyside import Launcher

CONNECT = """
import socket, sys
print(socket.socket().connect_ex(("127.0.0.1", int(sys.argv[1]))))
"""
LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
server.sendall(b"through")
print(client.recv(10))
"""
REFUSED = 111


@pytest.mark.parametrize(("net", "error"), [("exo", REFUSED), ("host", 0)])
def test_listeners_of_the_host(launcher: Launcher, net: str, error: int) -> None:
    launcher.fresh()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        argv = [sys.executable, "-c", CONNECT, str(port)]
        outcome = launcher.exo(argv, flags=["--net", net])
    assert (outcome.stdout, outcome.status) == (b"%d\n" % error, 0)


def test_ports_of_the_host_are_free(launcher: Launcher) -> None:
    launcher.fresh()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        outcome = launcher.exo([sys.executable, "-c", LISTEN, str(port)])
    assert (outcome.stdout, outcome.status) == (b"b'through'\n", 0)


SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", int(sys.argv[1])))
s.send(b"here")
s.settimeout(5)
try:
    print(s.recv(10))
except ConnectionRefusedError:
    print("refused")
"""
MIXED = """
import select, socket
host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
host.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
host.bind(("127.0.0.1", 0))
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
watch = select.epoll()
watch.register(own, select.EPOLLIN | select.EPOLLET)
own.sendto(b"to the host's", host.getsockname())
message, sender = host.recvfrom(20)
host.sendto(b"back", sender)
print(message, len(watch.poll(5)), own.recv(10))
"""


@pytest.mark.parametrize(("net", "answer"), [("exo", b"refused\n"), ("host", b"b'there'\n")])
def test_udp_of_the_host(launcher: Launcher, net: str, answer: bytes) -> None:
    launcher.fresh()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def reply() -> None:
            if select.select([server], [], [], 10)[0]:
                server.sendto(b"there", server.recvfrom(10)[1])

        thread = threading.Thread(target=reply, daemon=True)
        if net == "host":
            thread.start()
        argv = [sys.executable, "-c", SEND, str(server.getsockname()[1])]
        outcome = launcher.exo(argv, flags=["--net", net])
        if net == "host":
            thread.join()
    assert (outcome.stdout, outcome.status) == (answer, 0)


def test_udp_that_only_the_host_can_serve(launcher: Launcher) -> None:
    """A guest's socket at the host is found by others, which are in a set already."""
    launcher.fresh()
    outcome = launcher.exo([sys.executable, "-c", MIXED])
    assert (outcome.stdout, outcome.status) == (b"b\"to the host's\" 1 b'back'\n", 0)
