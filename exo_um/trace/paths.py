"""What -P asks for: calls that have to do with a path, by its name or by a descriptor of it."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from posix_x.table.rows import ROWS

from posix_x.decode.memory import PATH_LIMIT, string
from posix_x.decode.text import signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View


def resolved(paths: tuple[str, ...]) -> dict[str, str]:
    """Return the paths to look for, each with the one that it was asked for by."""
    found = {path: path for path in paths}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)
    return found


def is_about(view: View, paths: dict[str, str]) -> bool:
    """Whether a call names one of the paths, or a descriptor that leads there."""
    return any(path in paths for path in _paths(view))


def _paths(view: View) -> Iterator[str]:
    row = ROWS.get(view.nr)
    for value, arg in zip(view.args, row[3] if row else (), strict=False):
        if arg[1] == "path" and value:
            data = string(view.before, value, PATH_LIMIT)
            yield os.fsdecode(data[0]) if data is not None else ""
    for fd in _fds(view):
        text = view.fd_text(fd, False) if view.fd_text is not None else ""
        yield text.removesuffix("(deleted)")[1:-1]


def _fds(view: View) -> Iterator[int]:
    row = ROWS.get(view.nr)
    for value, arg in zip(view.args, row[3] if row else (), strict=False):
        if arg[1] in ("fd", "dirfd") and signed(value, 4) >= 0:
            yield signed(value, 4)
    if view.name in ("poll", "ppoll"):
        data = view.before.peek(view.args[0], 8 * min(view.u32(1), 1024))
        for fd, _, _ in struct.iter_unpack("<ihh", data[: len(data) // 8 * 8]):
            yield fd
