"""Files and directories by capability: what the rights let, and what they do not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exo_um.std import Directory, File, Rights

R = Rights


def refused(call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(PermissionError) as raised:
        call(*arguments)
    assert raised.value.errno == errno.EACCES


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    with File.open(tmp_path / "f") as file:
        assert file.read(3) == b"012"
        assert file.read() == b"3456789"
        for call in (lambda: file.write(b"x"), file.stat, file.sync, lambda: file.seek(0)):
            refused(call)
        refused(file.read_at, 1, 0)
        refused(file.narrow, R.READ | R.WRITE)
        with pytest.raises(OSError, match="Bad file"):
            os.write(file.fileno(), b"x")
    with pytest.raises(OSError, match="Bad file"):
        file.read()


def test_writing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    rights = R.CREATE | R.WRITE | R.SEEK | R.TRUNCATE | R.STAT | R.SYNC
    with File.open(path, rights) as file:
        assert file.write(b"abcdef") == 6
        file.write_at(b"X", 1)
        file.seek(4)
        file.write(b"Y")
        file.truncate(5)
        file.sync()
        assert file.stat().st_size == 5
        refused(file.read)
        fewer = file.narrow(R.STAT)
        assert fewer.stat().st_size == 5
        refused(fewer.write, b"x")
        refused(fewer.truncate, 0)
    assert path.read_bytes() == b"aXcdY"
    assert path.stat().st_mode & 0o777 == 0o600


def test_appending(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with File.open(path, R.APPEND | R.SEEK) as file:
        file.seek(0)
        file.write(b"new")
        refused(file.write_at, b"x", 0)
        refused(file.truncate, 0)
    assert path.read_bytes() == b"oldnew"


def test_stat_only(tmp_path: Path) -> None:
    """Without a right to its bytes the host's descriptor has none either."""
    (tmp_path / "f").write_bytes(b"x")
    with File.open(tmp_path / "f", R.STAT) as file:
        assert file.stat().st_size == 1
        refused(file.read)
        with pytest.raises(OSError, match="Bad file"):
            os.read(file.fileno(), 1)


@pytest.mark.parametrize("path", ["../f", "sub/../../f", "/etc/passwd", "out", "sub/up/f"])
def test_beneath(tmp_path: Path, path: str) -> None:
    (tmp_path / "f").write_text("outside")
    below = tmp_path / "below"
    (below / "sub").mkdir(parents=True)
    (below / "out").symlink_to("/etc/passwd")
    (below / "sub" / "up").symlink_to("../..")
    with Directory.open(below) as directory, pytest.raises(OSError, match="cross-device") as raised:
        directory.file(path)
    assert raised.value.errno == errno.EXDEV


def test_directory(tmp_path: Path) -> None:
    with Directory.open(tmp_path) as whole:
        with whole.make("a") as a, a.file("f", R.CREATE | R.WRITE) as file:
            file.write(b"text")
        assert whole.names() == ["a"]
        some = whole.narrow(R.LOOKUP | R.READ | R.LIST)
        assert some.file("a/f").read() == b"text"
        inner = some.directory("a")
        assert inner.names() == ["f"]
        refused(some.file, "a/f", R.WRITE)
        refused(some.file, "a/g", R.CREATE | R.READ)
        refused(some.make, "b")
        refused(some.remove, "a/f")
        refused(inner.file, "f", R.READ | R.STAT)
        refused(some.directory, "a", R.ALL)
        nothing = whole.narrow(R.STAT)
        refused(nothing.names)
        refused(nothing.file, "a/f")
        whole.remove("a/f")
        whole.remove("a")
        assert whole.names() == []
        for odd in ("", ".", ".."):
            with pytest.raises(OSError, match="Invalid"):
                whole.remove(odd)
