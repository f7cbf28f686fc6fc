"""Rings for each CPU from Python: the C core and numba, with and without its compiler."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from plainpython import IS_PLAIN, run_plain

from exo_um.bindings import ffi, lib
from exo_um.ipc import ringset_jit
from exo_um.ipc.ring import Kind, Message, WaitPolicy
from exo_um.ipc.ringset import RingSet


def jit_pop(rings: RingSet) -> Message | int:
    out = ffi.new("struct exo_message *")
    error = int(ringset_jit.set_pop(rings.address, 0, int(ffi.cast("uintptr_t", out))))
    return Message(bytes(ffi.buffer(out.payload, out.size)), out.type) if error == 0 else error


def test_both_languages() -> None:
    """What C pushes, numba pops, and the other way round; no ring is forgotten."""
    rings = RingSet.create(3, count=3)
    data = np.arange(8, dtype=np.uint64)
    at = data.ctypes.data
    for lap in range(20):
        rings.push(bytes([lap]), 1)
        assert jit_pop(rings) == Message(bytes([lap]), 1)
        assert jit_pop(rings) == -errno.EAGAIN
        assert ringset_jit.set_push(rings.address, 0, 2, at, 8) == 0
        assert len(rings) == 1
        assert rings.pop() == Message(bytes(8), 2)
        for i, ring in enumerate(rings.rings):
            ring.push(b"x", i)
            ring.push(b"x", i)
        pops = [jit_pop(rings), rings.pop(), jit_pop(rings)]
        assert sorted(pop.type for pop in pops if isinstance(pop, Message)) == [0, 1, 2]
        messages = np.zeros((8, ffi.sizeof("struct exo_message")), np.uint8)
        assert ringset_jit.set_pop_many(rings.address, 0, messages.ctypes.data, 8) == 3
        assert sorted(messages[:3, 0]) == [0, 1, 2]
    assert ringset_jit.set_push_many(rings.address, 0, 0, at, 8, 8) == 8
    assert ringset_jit.set_push(rings.address, 0, 0, at, 57) == -errno.EMSGSIZE
    rings.close()
    assert ringset_jit.set_push(rings.address, 0, 0, at, 8) == -errno.EPIPE
    for _ in range(8):
        assert isinstance(jit_pop(rings), Message)
    assert jit_pop(rings) == -errno.EPIPE
    with pytest.raises(BrokenPipeError):
        rings.pop()
    rings.shared.close()


def test_own_cpu() -> None:
    """A push goes to the ring of the CPU that we are on."""
    before = os.sched_getaffinity(0)
    rings = RingSet.create(3, Kind.MPSC, count=max(before) + 1)
    try:
        for cpu in before:
            os.sched_setaffinity(0, {cpu})
            assert ringset_jit.here(rings.address) == cpu
            rings.push(b"c")
            assert rings.rings[cpu].pop() == Message(b"c", 0)
    finally:
        os.sched_setaffinity(0, before)
    rings.shared.close()


def test_limits() -> None:
    for count, kind in ((65, Kind.MPMC), (2, Kind.SPSC)):
        with pytest.raises(OSError, match="Invalid"):
            RingSet.create(3, kind, count=count)
    rings = RingSet.create(1, count=1)
    brief = WaitPolicy(10, 1, timeout=0.01)
    with pytest.raises(TimeoutError):
        rings.pop_wait(brief)
    rings.push_wait(b"a", brief)
    rings.push_wait(b"b", brief)
    with pytest.raises(TimeoutError):
        rings.push_wait(b"c", brief)
    assert rings.pop_wait(brief) == Message(b"a", 0)
    rings.shared.close()


CONSUMER = """
import sys
from exo_um.bindings.shared import Shared
from exo_um.ipc.ring import WaitPolicy
from exo_um.ipc.ringset import RingSet

rings, policy, total = RingSet(Shared(int(sys.argv[1]))), WaitPolicy(), 0
try:
    while True:
        total += int.from_bytes(rings.pop_wait(policy).data, "little")
except BrokenPipeError:
    print(total)
"""


def test_sleeper() -> None:
    """Who waits for any of the rings is woken by a push, by C or by numba, into one of them."""
    rings = RingSet.create(4, count=2)
    fd = rings.shared.fd
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", CONSUMER, str(fd)], pass_fds=[fd], stdout=subprocess.PIPE
    )
    policy, number = WaitPolicy(), np.zeros(1, np.uint64)
    for i in range(300):
        number[0] = i
        if i % 2 == 0:
            rings.push_wait(i.to_bytes(8, "little"), policy)
            continue
        while ringset_jit.set_push(rings.address, 0, 0, number.ctypes.data, 8) == -errno.EAGAIN:
            lib.exo_host_call(24, 0, 0, 0, 0, 0, 0)  # sched_yield
    rings.close()
    out, _ = child.communicate()
    assert int(out) == sum(range(300))
    rings.shared.close()


@pytest.mark.skipif(IS_PLAIN, reason="this is that run")
def test_plain_python() -> None:
    run_plain(__file__)
