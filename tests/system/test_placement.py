"""`exo-um run --placement advice`: two guests that keep waking each other are tried on one CPU."""

from __future__ import annotations

import os
import subprocess

import pytest

LIMIT_S = 30
PING_PONG = f"""
import os, socket, time
here, there = socket.socketpair()  # the host's: who waits for it sleeps
if os.fork() == 0:
    here.close()
    while there.recv(1):
        there.send(b"x")
    os._exit(0)
there.close()
end = time.monotonic() + {LIMIT_S}
while len(os.sched_getaffinity(0)) > 1 and time.monotonic() < end:
    for _ in range(100):
        here.send(b"x")
        here.recv(1)
print(len(os.sched_getaffinity(0)))
"""


@pytest.mark.parametrize(("placement", "placed"), [("none", False), ("advice", True)])
def test_pair(exo_um: str, placement: str, placed: bool) -> None:
    program = PING_PONG if placed else PING_PONG.replace(str(LIMIT_S), "0.5")
    done = subprocess.run(
        [exo_um, "run", "--placement", placement, "python3", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * LIMIT_S,
    )
    assert int(done.stdout) == (1 if placed else len(os.sched_getaffinity(0)))
