"""The run directory: where it is, who may own it, and entries of living and dead instances."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from exo_um.kernel import rundir
from exo_um.kernel.rundir import Entry, candidates, is_name, names, open_directory


def listed(environment: dict[str, str]) -> list[str]:
    directory = open_directory(environment, create=False)
    assert directory is not None
    try:
        return names(directory)
    finally:
        os.close(directory)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.mark.parametrize("name", ["a", "build", "3f2a", "a.b-c_d", "x" * 32])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "x" * 33, ".lock", "ä", "a."])
def test_not_names(name: str) -> None:
    assert not is_name(name)


def test_candidates() -> None:
    uid = os.getuid()
    usual = [(f"/run/user/{uid}", "exo-um"), ("/tmp", f"exo-um-{uid}")]
    assert candidates({}) == candidates({"XDG_RUNTIME_DIR": "relative"}) == usual
    assert candidates({"XDG_RUNTIME_DIR": "/x"}) == [("/x", "exo-um"), *usual]


def test_directory_is_made_for_its_owner_alone(environment: dict[str, str], tmp_path: Path) -> None:
    assert open_directory(environment, create=False) is None
    directory = open_directory(environment, create=True)
    assert directory is not None
    assert os.fstat(directory).st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["exo-um"]
    os.close(directory)


def test_directory_open_to_others_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "exo-um").mkdir()
    (tmp_path / "exo-um").chmod(0o755)
    with pytest.raises(PermissionError, match="one's own"):
        open_directory(environment, create=True)


def test_symbolic_link_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "exo-um").symlink_to("elsewhere")
    with pytest.raises(OSError, match="exo-um"):
        open_directory(environment, create=True)


def test_entry_comes_and_goes(environment: dict[str, str]) -> None:
    entry = Entry(environment, "build")
    other = Entry(environment, None)
    assert is_name(other.name)
    assert set(listed(environment)) == {"build", other.name}
    with pytest.raises(OSError, match="Address already in use") as refused:
        Entry(environment, "build")
    assert refused.value.errno == errno.EADDRINUSE
    entry.remove()
    assert listed(environment) == [other.name]
    other.remove()


def test_dead_entry_is_cleared(environment: dict[str, str], tmp_path: Path) -> None:
    entry = Entry(environment, "dead")
    os.close(entry.fd)  # what the end of a process does, and no more
    assert (tmp_path / "exo-um" / "dead").is_socket()
    assert listed(environment) == []
    assert list((tmp_path / "exo-um").iterdir()) == []


def test_dead_entry_does_not_keep_its_name(environment: dict[str, str]) -> None:
    os.close(Entry(environment, "again").fd)
    entry = Entry(environment, "again")
    assert listed(environment) == ["again"]
    entry.remove()


def test_entry_with_a_full_backlog_lives(environment: dict[str, str], tmp_path: Path) -> None:
    entry = Entry(environment, "busy")
    waiting = []
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        waiting.append(connection)
        try:
            connection.connect(str(tmp_path / "exo-um" / "busy"))
        except BlockingIOError:
            break
    assert listed(environment) == ["busy"]
    for connection in waiting:
        connection.close()
    entry.remove()


def test_identifiers_run_out(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir.os, "urandom", lambda size: b"\0" * size)
    entry = Entry(environment, None)
    assert entry.name == "0000"
    with pytest.raises(OSError, match="no identifier"):
        Entry(environment, None)
    entry.remove()


def test_removing_twice_is_no_error(environment: dict[str, str], tmp_path: Path) -> None:
    entry = Entry(environment, "gone")
    (tmp_path / "exo-um" / "gone").unlink()
    entry.remove()
