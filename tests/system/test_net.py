"""Whose loopback it is: the instance's own, or with --net host the host's."""

from __future__ import annotations

import socket
import sys

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
