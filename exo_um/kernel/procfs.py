"""The guest's /proc: which names there are, and what stands behind each.

resolve() is a pure function from a guest's path to an answer; it opens nothing. Most answers are a
path below the host's /proc, for the guest's runtime to open itself; names that hold pids or fds
have their text rewritten or made. Processes of the host that are not the instance's do not exist.
"""

from __future__ import annotations

import errno

from exo_um.bindings.jobs import LIST_FDS, LIST_PIDS, LIST_TIDS, copy_cmdline, copy_maps
from exo_um.kernel import proctext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from exo_um.bindings.jobs import Job
    from exo_um.bindings.region import Region
    from exo_um.kernel.procview import InstanceView as View

    Answer: TypeAlias = "HostPath | Rewritten | Copied | Made | Listing"
    Copy: TypeAlias = Callable[[Region, bytes, bytes], Job]

FIRST_INODE = 1 << 20  # of made-up directory entries; the host's own are far above
DT_DIR, DT_REG, DT_LNK = 4, 8, 10  # as in getdents64(2)
MAGIC_LINKS = ("cwd", "root", "exe")
REWRITES = {
    "status": proctext.status,
    "stat": proctext.stat,
    "sched": proctext.sched,
}
COPIES: dict[str, Copy] = {"cmdline": copy_cmdline, "maps": copy_maps, "smaps": copy_maps}


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


class Copied:
    """The host's text at path, copied by a job: it may be long, or its process hold us up."""

    __slots__ = ("copy", "path")

    def __init__(self, path: bytes, copy: Copy) -> None:
        self.path = path
        self.copy = copy


class Made:
    """Text that exo-um makes itself."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class Listing:
    """A directory of numbers: of processes, or of the threads or fds of the one in slot.

    host: those names of path, a directory of the host's, that are no numbers come first.
    """

    __slots__ = ("host", "kind", "path", "slot", "what")

    def __init__(self, path: bytes, what: int, slot: int, kind: int) -> None:
        """List what: LIST_PIDS, LIST_TIDS or LIST_FDS; kind: the entries' d_type."""
        self.path = path
        self.what = what
        self.slot = slot
        self.kind = kind
        self.host = what == LIST_PIDS


def resolve(view: View, path: str) -> Answer:
    """Return what stands behind an absolute guest path below /proc, symbolic links unresolved.

    Errors: ENOENT, no such process, thread or fd. Source: proc(5).
    """
    parts = split(path)
    if parts is None:
        return HostPath(encode(path))
    if not parts:
        return Listing(b"/proc", LIST_PIDS, 0, DT_DIR)
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
    if len(parts) == 1 and name in COPIES:
        return Copied(path, COPIES[name])
    if len(parts) == 1 and name in REWRITES:
        rewrite = REWRITES[name]
        return Rewritten(path, lambda text: rewrite(text, view, slot))
    return HostPath(path)


def resolve_threads(view: View, slot: int, host: str, parts: list[str]) -> Answer:
    """Resolve /proc/PID/task and what is below. Errors: ENOENT, not a thread of that process."""
    leader = view.leader(slot)
    if not parts:
        return Listing(encode(f"{host}/task"), LIST_TIDS, leader, DT_DIR)
    thread = view.find(int(parts[0])) if parts[0].isdigit() else None
    if thread is None or view.leader(thread) != leader:
        raise missing("/".join(["task", *parts]))
    return resolve_task(view, thread, f"{host}/task/{view.host_tid(thread)}", parts[1:])


def resolve_fds(view: View, slot: int, host: str, parts: list[str], kind: int) -> Answer:
    """Resolve /proc/PID/fd or fdinfo and what is below. Errors: ENOENT, no such fd."""
    if not parts:
        return Listing(encode(host), LIST_FDS, slot, kind)
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


def encode(path: str) -> bytes:
    """Return a path's bytes; guests may use any but / and NUL."""
    return path.encode(errors="surrogateescape")


def missing(path: str) -> OSError:
    """Return the error for a name that is not there."""
    return OSError(errno.ENOENT, f"{path} in the guest's /proc")
