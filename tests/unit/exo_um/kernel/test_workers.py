"""Jobs of the kernel process's workers, seen from the serve loop."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.exo_um.kernel.fake_guest import FakeGuest

from exo_um.bindings import lib
from exo_um.bindings.jobs import Collect, Job, Jobs, copy_cmdline
from exo_um.bindings.port import Port
from exo_um.bindings.region import Region
from exo_um.kernel import workers
from exo_um.kernel.call import Call, NewFd, Work
from exo_um.kernel.instance import Instance
from exo_um.kernel.reaper import FEW_TASKS, Reaper
from exo_um.kernel.serve import Server

if TYPE_CHECKING:
    from exo_um.kernel.call import Steps

READ, SAY = 1, 2
SECOND_NS = 1_000_000_000


class World:
    """A server whose handlers read a file that the test chooses, as /proc's are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instance = Instance(Region())
        self.instance.region.mark_kernel_alive()
        self.port = Port(self.instance.region, os.eventfd(0))
        handlers = {READ: self.read, SAY: lambda call: call.args[0]}
        self.server = Server(self.instance, self.port, lambda: handlers, spin=False)

    def job(self) -> Job:
        return copy_cmdline(self.instance.region, os.fsencode(self.path), b"made")

    def read(self, call: Call) -> Steps:
        fd = yield Work(self.job(), long=bool(call.args[0]))
        return NewFd(fd) if fd >= 0 else fd

    def guest(self) -> FakeGuest:
        guest = FakeGuest(self.instance, self.port)
        guest.alive()
        return guest

    def serve(self, timeout_ns: int = 0) -> int:
        """Serve what is posted and go on with what has ended; return the bits of wait()."""
        wake = self.port.wait(0, timeout_ns)
        for slot in self.port.take():
            self.server.serve(slot)
        self.server.settle()
        self.server.hand_over()
        return wake


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "fifo")
    os.mkfifo(world.path)
    yield world
    world.server.close()
    os.close(world.instance.region.fd)


def threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}  # noqa: PTH208


def feed(world: World) -> None:
    """Let the reader of the FIFO go on."""
    world.path.write_bytes(b"a\0")
    while not world.serve(SECOND_NS) & lib.EXO_WAKE_JOBS:
        pass


def test_a_call_that_is_held_up_holds_up_nobody(world: World) -> None:
    before = threads()
    reader, other = world.guest(), world.guest()
    other.post(SAY, 7)
    world.serve()
    assert threads() == before, "nothing needed workers yet"
    reader.post(READ, 1)
    world.serve()
    for i in range(100):
        other.post(SAY, i)
        world.serve()
        assert (other.state(), other.frame.result) == (lib.EXO_FRAME_REPLY, i)
    assert reader.state() == lib.EXO_FRAME_POSTED
    feed(world)
    assert (reader.state(), reader.frame.result) == (lib.EXO_FRAME_REPLY, 0)
    assert reader.frame.flags & lib.EXO_REPLY_FD


def test_workers_are_pinned(world: World) -> None:
    before = threads()
    world.server.do(Collect(world.instance.region), lambda _: None)
    made = threads() - before
    affinities = [os.sched_getaffinity(tid) for tid in made]
    assert sorted(min(cpus) for cpus in affinities) == sorted(os.sched_getaffinity(0))
    assert all(len(cpus) == 1 for cpus in affinities)
    world.server.close()
    assert threads() == before


def test_errors_are_the_calls(world: World) -> None:
    guest = world.guest()
    world.path = world.path.with_name("missing")
    for long in (0, 1):
        guest.post(READ, long)
        world.serve()
        while guest.state() != lib.EXO_FRAME_REPLY:
            world.serve(SECOND_NS)
        assert guest.frame.result == -errno.ENOENT


def test_a_bug_is_reported_and_the_loop_goes_on(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    failed: list[int] = []

    def fail(result: int) -> None:
        failed.append(result)
        raise ZeroDivisionError

    world.server.do(Collect(world.instance.region), fail)
    world.server.do(Collect(world.instance.region), ended.append)
    while not (ended and failed):
        world.serve(SECOND_NS)
    assert ended == failed == [0]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_broken_region_is_an_error(world: World) -> None:
    results: list[int] = []
    world.instance.region.kr.free_tables = 12345
    world.server.do(Collect(world.instance.region), results.append)
    while not results:
        world.serve(SECOND_NS)
    assert results == [-errno.EINVAL]


def test_what_a_killed_caller_waited_for_is_closed(world: World) -> None:
    guest = world.guest()
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    guest.post(READ, 1)
    world.serve()
    guest.task.alive.word = 0
    feed(world)
    assert guest.state() == lib.EXO_FRAME_POSTED
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1, "the workers' eventfd"  # noqa: PTH208


def test_sweeps_do_not_wait_behind_who_waits(world: World) -> None:
    """With every worker held up, the loop sweeps itself."""
    results: list[int] = []
    paths = [world.path.with_name(f"{cpu}") for cpu in os.sched_getaffinity(0)]
    for world.path in paths:
        os.mkfifo(world.path)
        world.server.do(world.job(), results.append)
    swept: list[int] = []
    world.server.do(Collect(world.instance.region), swept.append)
    assert (swept, results) == ([0], [])
    for world.path in paths:
        feed(world)
    for fd in results:
        os.close(fd)
    assert len(results) == len(paths)


def test_without_threads_the_loop_does_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoJobs(Jobs):
        def __init__(self) -> None:
            raise OSError(errno.EAGAIN, "no threads")

    monkeypatch.setattr(workers, "Jobs", NoJobs)
    world.path = world.path.with_name("text")
    world.path.write_bytes(b"a\0")
    guest = world.guest()
    guest.post(READ, 1)
    world.serve()
    assert guest.frame.flags & lib.EXO_REPLY_FD


def test_a_large_sweep_is_a_workers(world: World) -> None:
    """Those that are gone are freed, some at a time, and the loop is asked to come back."""
    kr = world.instance.region.kr
    slots = [lib.exo_task_create(kr, 0, False) for _ in range(2 * FEW_TASKS)]
    for slot in slots:
        kr.tasks[slot].state = lib.EXO_TASK_ALIVE
        lib.exo_task_set_host(kr, slot, (1 << 22) + slot, (1 << 22) + slot)
    kr.left_behind = 1
    reaper = Reaper(world.instance.tasks, 0)
    reaper.server = world.server
    before = threads()
    reaper.reap()
    assert len(threads() - before) == len(os.sched_getaffinity(0))
    rounds = 0
    while list(world.instance.tasks.slots()):
        world.serve(0)
        reaper.reap()
        rounds += 1
    assert rounds > len(slots) // 16
    assert kr.left_behind == 0
