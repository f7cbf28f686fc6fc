"""Guest paths below /proc, on an instance of two processes, one of them with two threads."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from exo_um.bindings.jobs import LIST_FDS, LIST_PIDS, LIST_TIDS, copy_cmdline, copy_maps
from exo_um.kernel import procfs, proctext
from exo_um.kernel.procfs import (
    DT_DIR,
    DT_LNK,
    DT_REG,
    Copied,
    HostPath,
    Listing,
    Made,
    Rewritten,
    resolve,
)

KERNEL, SHELL, WORKER, THREAD = 0, 1, 2, 3


def task(tid: int, tgid: int, ppid: int) -> SimpleNamespace:
    fields = {"tid": tid, "tgid": tgid, "ppid": ppid, "pgid": 1, "sid": 1, "security": 0}
    return SimpleNamespace(**fields, tracer=2 if tid == 4 else 0)


TASKS = {KERNEL: task(1, 1, 0), SHELL: task(2, 2, 1), WORKER: task(3, 3, 2), THREAD: task(4, 3, 2)}
OPEN_FDS = {SHELL: [0, 1, 2, 7], WORKER: [0], THREAD: [0], KERNEL: []}


class FakeView:
    """Host numbers are exo's plus 1000, host fds the guest's plus 100."""

    caller = -1  # nobody

    def task(self, slot: int) -> SimpleNamespace:
        return TASKS[slot]

    def find(self, tid: int) -> int | None:
        return next((slot for slot, task in TASKS.items() if task.tid == tid), None)

    def leader(self, slot: int) -> int:
        return WORKER if slot == THREAD else slot

    def host_tid(self, slot: int) -> int:
        return TASKS[slot].tid + 1000

    def pid_of_host(self, host_tid: int) -> int:
        return host_tid - 1000 if 1000 < host_tid < 1005 else 0

    pgid_of_host = pid_of_host

    def children(self, slot: int) -> list[int]:
        return [3] if slot == SHELL else []

    def host_fd(self, slot: int, fd: int) -> int:
        return fd + 100 if fd in OPEN_FDS[slot] else -1

    def is_trace_stopped(self, slot: int) -> bool:
        return slot == THREAD

    def exe(self, leader: int) -> bytes:
        return b"" if leader == KERNEL else b"/bin/busybox"

    def filter_count(self, slot: int) -> int:
        return 2 if slot == THREAD else 0

    def last_pid(self) -> int:
        return 4

    def kernel_names(self) -> dict[str, bytes]:
        return {"hostname": b"guest"}


def answer(path: str) -> object:
    return resolve(FakeView(), path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/proc/cpuinfo", "/proc/cpuinfo"),
        ("/proc//sys/./vm/swappiness", "/proc/sys/vm/swappiness"),
        ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/pid_max"),
        ("/proc/2", "/proc/1002"),
        ("/proc/1/comm", "/proc/1001/comm"),
        ("/proc/2/limits", "/proc/1002/limits"),
        ("/proc/2/../3/limits", "/proc/1003/limits"),
        ("/proc/2/net/tcp", "/proc/1002/net/tcp"),
        ("/proc/3/task/4", "/proc/1003/task/1004"),
        ("/proc/3/task/4/limits", "/proc/1003/task/1004/limits"),
        ("/proc/4/limits", "/proc/1004/limits"),
        ("/proc/2/fd/7", "/proc/1002/fd/107"),
        ("/proc/2/fd/7/sub/../x", "/proc/1002/fd/107/sub/../x"),
        ("/proc/2/fdinfo/0", "/proc/1002/fdinfo/100"),
        ("/proc/3/task/4/fd/0", "/proc/1003/task/1004/fd/100"),
        ("/proc/2/exe", "/bin/busybox"),
        ("/proc/1/exe", "/proc/1001/exe"),
        ("/proc/2/cwd/../x", "/proc/1002/cwd/../x"),
        ("/proc/2/root/etc", "/proc/1002/root/etc"),
        ("/proc/../etc", "/proc/../etc"),
    ],
)
def test_host_paths(path: str, host: str) -> None:
    found = answer(path)
    assert isinstance(found, HostPath)
    assert found.path == host.encode()


@pytest.mark.parametrize(
    "path",
    [
        "/proc/1002",  # a number of the host's
        "/proc/99/status",
        "/proc/0",
        "/proc/2/fd/9",
        "/proc/2/fd/x",
        "/proc/2/task/4",  # another process's thread
        "/proc/2/task/x",
        "/proc/99/../2/maps/../../98",
    ],
)
def test_strangers_do_not_exist(path: str) -> None:
    with pytest.raises(OSError, match="guest's /proc") as caught:
        answer(path)
    assert caught.value.errno == errno.ENOENT


def listing(path: str) -> tuple[bytes, int, int, int, bool]:
    found = answer(path)
    assert isinstance(found, Listing)
    return found.path, found.what, found.slot, found.kind, found.host


def test_listings() -> None:
    """Only the root shows the host's names."""
    assert listing("/proc") == listing("/proc/2/..") == (b"/proc", LIST_PIDS, 0, DT_DIR, True)
    assert listing("/proc/3/task") == (b"/proc/1003/task", LIST_TIDS, WORKER, DT_DIR, False)
    assert listing("/proc/3/task/4/task/../fd")[1:3] == (LIST_FDS, THREAD)
    assert listing("/proc/2/fd/") == (b"/proc/1002/fd", LIST_FDS, SHELL, DT_LNK, False)
    assert listing("/proc/2/fdinfo")[3] == DT_REG


def test_copies() -> None:
    """What may be long, or be held up by its process, is for a job."""
    for name, copy in [("maps", copy_maps), ("smaps", copy_maps), ("cmdline", copy_cmdline)]:
        found = answer(f"/proc/3/task/4/{name}")
        assert isinstance(found, Copied)
        assert (found.path, found.copy) == (b"/proc/1003/task/1004/%s" % name.encode(), copy)


def test_made() -> None:
    for path, text in [
        ("/proc/sys/kernel/ns_last_pid", b"4\n"),
        ("/proc/sys/kernel/hostname", b"guest\n"),
        ("/proc/2/task/2/children", b"3 "),
    ]:
        found = answer(path)
        assert isinstance(found, Made)
        assert found.text == text


def rewritten(path: str, host: str, text: bytes) -> bytes:
    found = answer(path)
    assert isinstance(found, Rewritten)
    assert found.path == host.encode()
    return found.rewrite(text)


def test_status() -> None:
    host = (
        b"Name:\ta\nState:\tS (sleeping)\nTgid:\t1003\nNgid:\t0\nPid:\t1004\nPPid:\t1002\n"
        b"TracerPid:\t0\n"
        b"NStgid:\t1003\t7\nNSpid:\t1004\t8\nNSpgid:\t5\nNSsid:\t6\nThreads:\t2\n"
        b"NoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_filters:\t0\n"
    )
    assert rewritten("/proc/3/task/4/status", "/proc/1003/task/1004/status", host) == (
        b"Name:\ta\nState:\tt (tracing stop)\nTgid:\t3\nNgid:\t0\nPid:\t4\nPPid:\t2\n"
        b"TracerPid:\t2\n"
        b"NStgid:\t3\nNSpid:\t4\nNSpgid:\t1\nNSsid:\t1\nThreads:\t2\n"
        b"NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t2\n"
    )


def test_a_tracer_outside_does_not_show() -> None:
    assert proctext.status(b"TracerPid:\t77\n", FakeView(), SHELL) == b"TracerPid:\t0\n"  # type: ignore[arg-type]


def test_stat() -> None:
    host = b"1003 (a) (b) S 1002 1001 900 34816 1001 4194304 1 2\n"
    assert rewritten("/proc/3/stat", "/proc/1003/stat", host) == (
        b"3 (a) (b) S 2 1 1 34816 1 4194304 1 2\n"
    )
    no_terminal = b"1003 (a) S 1002 1001 900 0 -1 4194304\n"
    thread = proctext.stat(no_terminal, FakeView(), THREAD)  # type: ignore[arg-type]
    assert thread == b"4 (a) t 2 1 1 0 -1 4194304\n"
    assert proctext.stat(no_terminal, FakeView(), WORKER) == b"3 (a) S 2 1 1 0 -1 4194304\n"  # type: ignore[arg-type]


def test_loadavg() -> None:
    assert rewritten("/proc/loadavg", "/proc/loadavg", b"0.1 0.2 0.3 2/130 9999\n") == (
        b"0.1 0.2 0.3 2/130 4\n"
    )


def test_odd_bytes_survive() -> None:
    assert procfs.encode("/proc/\udcff") == b"/proc/\xff"
