"""Fixtures of all tests: exo-um's path, the side-by-side launcher, and the watch for leaks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sidebyside import MARK, Launcher, Pair, descendants, have, marked_processes

PR_SET_CHILD_SUBREAPER = 36
SHM = Path("/dev/shm")
GRACE_S = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that run the same tables in other ways."""
    group = parser.getgroup("exo-um")
    group.addoption(
        "--exo-flags", default="", help="more flags for `exo-um run`, e.g. '--no-patch'"
    )
    group.addoption(
        "--storm", type=int, default=200, metavar="N", help="how many guests the storm kills"
    )
    group.addoption(
        "--as-user", default=None, metavar="NAME", help="as root: run all commands as NAME"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make what the commands inherit the same everywhere: no core files, no ignored signals."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if config.getoption("--as-user") and os.getuid() != 0:
        raise pytest.UsageError("--as-user needs root")
    # Orphans of a test become children of this process, where the leak watch can see them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(scope="session")
def storm(request: pytest.FixtureRequest) -> int:
    """How many guests tests/system/test_storm.py kills."""
    count: int = request.config.getoption("--storm")
    return count


def missing(what: str) -> None:
    """Skip on a developer's machine, fail in CI, where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")


@pytest.fixture(scope="session")
def require() -> Callable[[str], None]:
    """A function that skips (in CI: fails) the test unless a program is installed."""

    def check(program: str) -> None:
        if not have(program):
            missing(program)

    return check


@pytest.fixture(scope="session")
def exo_um() -> Path:
    """The exo-um command: $EXO_UM, or beside this Python, or in PATH."""
    named = os.environ.get("EXO_UM")
    beside = Path(sys.executable).with_name("exo-um")
    found = named or (str(beside) if beside.exists() else shutil.which("exo-um"))
    if found is None or not os.access(found, os.X_OK):
        missing(f"exo-um ({found or 'not in PATH'})")
    assert found is not None
    return Path(found).absolute()


def owned_directory(prefix: str, user: str | None) -> Path:
    """A new temporary directory that belongs to user."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
    return path


@pytest.fixture(scope="session")
def programs_folder() -> Iterator[Path]:
    """A directory for programs that any user may run; other sessions of pytest close its own."""
    path = owned_directory("exo-programs-", None)
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_cache(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory for compilers' caches, kept for the session."""
    path = owned_directory("exo-cache-", request.config.getoption("--as-user"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def native(request: pytest.FixtureRequest, no_leaks: str, shared_cache: Path) -> Iterator[Launcher]:
    """A launcher for native runs only; it works without exo-um."""
    user = request.config.getoption("--as-user")
    flags = shlex.split(request.config.getoption("--exo-flags"))
    base = owned_directory("exo-test-", user)
    launcher = Launcher(base, no_leaks, None, flags, user, shared_cache)
    launcher.fresh()
    yield launcher
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def launcher(native: Launcher, exo_um: Path) -> Launcher:
    """A launcher for both sides."""
    native.exo_um = exo_um
    return native


@pytest.fixture
def both(launcher: Launcher) -> Callable[..., Pair]:
    """Launcher.both: the same command natively and under exo-um, in equal fresh directories."""
    return launcher.both


def shared_memory() -> set[str]:
    """Names in /dev/shm that exo-um made."""
    return {path.name for path in SHM.glob("exo-*")} if SHM.is_dir() else set()


def survivors(before: set[int], mark: str) -> dict[int, psutil.Process]:
    """Processes of this test that still run; zombies that fell to us are reaped."""
    found = {process.pid: process for process in marked_processes(mark)}
    for pid in descendants(os.getpid()):
        with contextlib.suppress(psutil.Error, ChildProcessError):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
            elif process.ppid() == os.getpid():
                os.waitpid(process.pid, os.WNOHANG)
    return {pid: process for pid, process in found.items() if pid not in before}


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[str]:
    """Fail a test that leaves processes or exo-um's shared memory behind; gives the test's mark."""
    mark = uuid.uuid4().hex
    processes_before = set(descendants(os.getpid()))
    memory_before = shared_memory()
    os.environ[MARK] = mark
    yield mark
    os.environ.pop(MARK, None)
    deadline = time.monotonic() + GRACE_S
    while True:
        left = survivors(processes_before, mark)
        memory = shared_memory() - memory_before
        if not (left or memory) or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    if not (left or memory):
        return
    names = []
    for pid, process in left.items():
        with contextlib.suppress(psutil.Error):
            names.append(f"{pid} {process.name()} {shlex.join(process.cmdline())[:120]}")
            process.kill()
    pytest.fail(f"left behind: processes {names}, shared memory {sorted(memory)}", pytrace=False)
