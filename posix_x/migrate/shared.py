"""Shared memory is listed, not rewritten: programs reach it by plain loads and stores.

Nothing of the native API is faster than those (docs/architecture.md has the figures); it has
something better only for what programs build of it, queues above all, and what a program means by
its loads and stores does not stand in the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posix_x.migrate.tree import Finding, calls, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = "its loads and stores are the CPU's, nothing is faster"
NAMED = f"{PLAIN}, and other programs may open it by its name"
MAKES = {"shm_open": NAMED, "shmget": NAMED, "shmat": PLAIN}


def find(root: Any) -> Iterator[Finding]:
    """Yield a finding for each call that makes or maps shared memory."""
    for node, name, arguments in calls(root):
        if name in MAKES:
            yield Finding(line_of(node), name, done=False, reason=_reason(root, MAKES[name]))
        elif name == "mmap" and any(b"MAP_SHARED" in one.text for one in arguments):
            anonymous = any(b"MAP_ANON" in one.text for one in arguments)
            what = "anonymous shared memory" if anonymous else "a shared mapping"
            yield Finding(line_of(node), what, done=False, reason=_reason(root, PLAIN))


def _reason(root: Any, reason: str) -> str:
    """Name what there is for programs that wait for each other by it."""
    if any(
        name in ("sem_wait", "sem_timedwait", "pthread_cond_wait") for _, name, _ in calls(root)
    ):
        return f"{reason}; if a queue is kept in it, exo_chan_create() has one"
    return reason
