"""`exo-um run --placement advice`: two guests that keep waking each other are tried on one CPU."""

from __future__ import annotations

import os
import subprocess

import pytest

LIMIT_S = 30
PING_PONG = f"""
import os, time
there, back = os.pipe(), os.pipe()
if os.fork() == 0:
    os.close(there[1])
    while os.read(there[0], 1):
        os.write(back[1], b"x")
    os._exit(0)
end = time.monotonic() + {LIMIT_S}
while len(os.sched_getaffinity(0)) > 1 and time.monotonic() < end:
    for _ in range(100):
        os.write(there[1], b"x")
        os.read(back[0], 1)
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
