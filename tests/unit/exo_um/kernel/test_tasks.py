"""Finding tasks, and freeing the slots of those that are gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from signal import SIGINT, SIGTERM

import pytest

from exo_um.bindings import ffi, lib
from exo_um.bindings.region import Region
from exo_um.kernel import hostproc
from exo_um.kernel.reaper import SWEEP_PAUSE_NS, Reaper
from exo_um.kernel.tasks import Tasks
from exo_um.kernel.terminal import SI_KERNEL, is_for_guest

NOBODY = (1 << 22) + 5  # above any pid_max


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    region = Region()
    region.kr.kernel_host_pid = os.getpid()
    yield Tasks(region)
    os.close(region.fd)


def create(tasks: Tasks, host_tid: int, parent: int = 0, *, thread: bool = False) -> int:
    slot: int = lib.exo_task_create(tasks.region.kr, parent, thread)
    leader = tasks[slot].leader_slot
    host_tgid = tasks[leader].host_tgid if thread else host_tid
    lib.exo_task_set_host(tasks.region.kr, slot, host_tid, host_tgid)
    tasks[slot].state = lib.EXO_TASK_ALIVE
    return slot


def test_the_kernel_is_pid_1(tasks: Tasks) -> None:
    assert tasks.find(1) == 0
    assert tasks.host_tid(0) == tasks.host_pid(0) == os.getpid()
    assert tasks.pid_of_host(os.getpid()) == 1
    assert list(tasks.slots()) == []


def test_numbers_translate(tasks: Tasks) -> None:
    first = create(tasks, 5001)
    child = create(tasks, 5002, first)
    thread = create(tasks, 5003, child, thread=True)
    assert [tasks[slot].tid for slot in (first, child, thread)] == [2, 3, 4]
    assert tasks.find(4) == tasks.find_host(5003) == thread
    assert tasks.find(5003) is tasks.find(0) is tasks.find(-1) is None
    assert tasks.pid_of_host(NOBODY) == 0
    assert tasks.host_pid(thread) == 5002
    assert list(tasks.leaders()) == [first, child]
    assert tasks.threads(child) == [child, thread]
    assert tasks.children(first) == [child]


def test_fds(tasks: Tasks) -> None:
    slot = create(tasks, 5001)
    table = tasks[slot].fd_table = tasks.region.table_create()
    for fd, host in ((0, 0), (2, 70), (1000, 71)):
        tasks.region.table_install(table, fd, host)
    assert tasks.fd_count(slot) == 1001
    assert (tasks.host_fd(slot, 2), tasks.host_fd(slot, 1), tasks.host_fd(slot, 1 << 19)) == (
        70,
        -1,
        -1,
    )


def test_freeing_a_leader_frees_its_process(tasks: Tasks) -> None:
    leader = create(tasks, 5001)
    create(tasks, 5002, leader, thread=True)
    other = create(tasks, 5003)
    tasks.free(leader)
    assert list(tasks.slots()) == [other]


def test_sweep_frees_only_what_nobody_waits_for(tasks: Tasks) -> None:
    parent = create(tasks, os.getpid())
    lib.exo_alive_mark(ffi.addressof(tasks.region.kr.tasks, parent), lib.exo_self(), ffi.NULL)
    waited = create(tasks, NOBODY, parent)
    dead = create(tasks, NOBODY + 1)
    create(tasks, NOBODY + 2, dead)
    reaper = Reaper(tasks, 0)
    reaper.sweep()
    assert list(tasks.slots()) == [parent, waited]
    tasks[parent].flags |= lib.EXO_TASK_AUTO_REAPS
    reaper.sweep()
    assert list(tasks.slots()) == [parent]


def test_reaping_frees_the_slot(tasks: Tasks) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})
    slot = create(tasks, pid)
    reaper = Reaper(tasks, pid)
    while reaper.status is None:
        reaper.reap()
    assert os.waitstatus_to_exitcode(reaper.status) == 7
    assert slot not in tasks.slots()
    assert SWEEP_PAUSE_NS > 0


def test_children_of_this_process() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "read x"], {})
    try:
        assert pid in hostproc.children()
        assert hostproc.parent_of(pid) == os.getpid()
        assert hostproc.stat_fields(NOBODY) == []
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_whose_signals_are_passed_on(tasks: Tasks) -> None:
    create(tasks, 5001)
    assert is_for_guest(tasks, SIGTERM, 0, NOBODY)
    assert not is_for_guest(tasks, SIGTERM, 0, 5001)
    assert not is_for_guest(tasks, SIGINT, SI_KERNEL, 0)
