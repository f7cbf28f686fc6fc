"""The guest's /proc: which names there are, and what stands behind each.

resolve() is a pure function from a guest's path to an answer; it opens nothing. Most answers are a
path below the host's /proc, for the guest's runtime to open itself; names that hold pids or fds
have their text rewritten or made. Processes of the host that are not the instance's do not exist.
"""

from __future__ import annotations

import errno

from exo_um.kernel import procmaps, proctext
from exo_um.kernel.dirent import DT_DIR, DT_LNK, DT_REG, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from exo_um.kernel.procview import InstanceView as View

    Answer: TypeAlias = "HostPath | Rewritten | Made | Listing"

FIRST_INODE = 1 << 20  # of made-up directory entries; the host's own are far above
MAGIC_LINKS = ("cwd", "root", "exe")
REWRITES = {
    "status": proctext.status,
    "stat": proctext.stat,
    "cmdline": proctext.cmdline,
    "maps": procmaps.maps,
    "smaps": procmaps.maps,
    "sched": proctext.sched,
}


class HostPath:
    """The host's own file, opened by the guest's runtime."""

    __slots__ = ("path",)

    def __init__(self, path: bytes) -> None:
        self.path = path


class Rewritten:
    """The host's text at path, passed through a function."""

    __slots__ = ("path", "rewrite")

    def __init__(self, path: bytes, rewrite: Callable[[bytes], bytes]) -> None:
        self.path = path
        self.rewrite = rewrite


class Made:
    """Text that exo-um makes itself."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class Listing:
    """A directory: exo-um's own entries, beside those of a host directory without its pids."""

    __slots__ = ("entries", "host", "path")

    def __init__(self, path: bytes, entries: list[Entry], *, host: bool = False) -> None:
        self.path = path
        self.entries = entries
        self.host = host


def resolve(view: View, path: str) -> Answer:
    """Return what stands behind an absolute guest path below /proc, symbolic links unresolved.

    Errors: ENOENT, no such process, thread or fd. Source: proc(5).
    """
    parts = split(path)
    if parts is None:
        return HostPath(encode(path))
    if not parts:
        return Listing(b"/proc", numbered(view.pids(), DT_DIR), host=True)
    if parts[0].isdigit():
        slot = view.find(int(parts[0]))
        if slot is None:
            raise missing(path)
        return resolve_task(view, slot, f"/proc/{view.host_tid(slot)}", parts[1:])
    return resolve_global(view, "/".join(parts))


def resolve_global(view: View, name: str) -> Answer:
    """Resolve what belongs to no process."""
    host = encode(f"/proc/{name}")
    if name == "loadavg":
        return Rewritten(host, lambda text: proctext.loadavg(text, view))
    if name == "locks":
        return Rewritten(host, lambda text: proctext.locks(text, view))
    if name == "sys/kernel/ns_last_pid":
        return Made(b"%d\n" % view.last_pid())
    if name.startswith("sys/kernel/"):
        text = view.kernel_names().get(name.removeprefix("sys/kernel/"))
        if text is not None:
            return Made(text + b"\n")
    return HostPath(host)


def resolve_task(view: View, slot: int, host: str, parts: list[str]) -> Answer:
    """Resolve what stands below the directory of a process or thread; host is the host's."""
    name, rest = (parts[0], parts[1:]) if parts else ("", [])
    if name == "task" and not host.partition("/task/")[2]:
        return resolve_threads(view, slot, host, rest)
    if name in ("fd", "fdinfo"):
        return resolve_fds(view, slot, f"{host}/{name}", rest, DT_LNK if name == "fd" else DT_REG)
    if name == "exe" and not rest and (exe := view.exe(view.leader(slot))):
        return HostPath(exe)
    path = encode("/".join([host, *parts]))
    if len(parts) == 1 and name == "children":
        return Made(proctext.children(view, slot))
    if len(parts) == 1 and name in REWRITES:
        rewrite = REWRITES[name]
        return Rewritten(path, lambda text: rewrite(text, view, slot))
    return HostPath(path)


def resolve_threads(view: View, slot: int, host: str, parts: list[str]) -> Answer:
    """Resolve /proc/PID/task and what is below. Errors: ENOENT, not a thread of that process."""
    leader = view.leader(slot)
    if not parts:
        return Listing(encode(f"{host}/task"), numbered(view.tids(leader), DT_DIR))
    thread = view.find(int(parts[0])) if parts[0].isdigit() else None
    if thread is None or view.leader(thread) != leader:
        raise missing("/".join(["task", *parts]))
    return resolve_task(view, thread, f"{host}/task/{view.host_tid(thread)}", parts[1:])


def resolve_fds(view: View, slot: int, host: str, parts: list[str], kind: int) -> Answer:
    """Resolve /proc/PID/fd or fdinfo and what is below. Errors: ENOENT, no such fd."""
    if not parts:
        return Listing(encode(host), numbered(view.fds(slot), kind))
    host_fd = view.host_fd(slot, int(parts[0])) if parts[0].isdigit() else -1
    if host_fd < 0:
        raise missing("/".join(parts))
    return HostPath(encode("/".join([host, str(host_fd), *parts[1:]])))


def split(path: str) -> list[str] | None:
    """Return the names below /proc, with . and .. worked out; None if the path leads out of it.

    A .. behind a link that leads anywhere, such as cwd, is the host's to work out.
    """
    parts: list[str] = []
    for name in path.split("/")[2:]:
        if name in ("", "."):
            continue
        if name != ".." or leads_out(parts):
            parts.append(name)
        elif parts:
            parts.pop()
        else:
            return None
    return parts


def leads_out(parts: list[str]) -> bool:
    """Whether names below /proc have passed a link to somewhere else."""
    return any(name in MAGIC_LINKS for name in parts) or "fd" in parts[:-1]


def numbered(numbers: Sequence[int], kind: int) -> list[Entry]:
    """Return directory entries named after numbers."""
    return [Entry(b"%d" % number, kind, FIRST_INODE + number) for number in numbers]


def encode(path: str) -> bytes:
    """Return a path's bytes; guests may use any but / and NUL."""
    return path.encode(errors="surrogateescape")


def missing(path: str) -> OSError:
    """Return the error for a name that is not there."""
    return OSError(errno.ENOENT, f"{path} in the guest's /proc")
