"""Shared memory without a name becomes exo_shared_map(), which the host makes in one go.

Programs reach it by loads and stores, and nothing is faster; what can be is the first touching of
its pages (docs/architecture.md has the figures). Memory with a name stays, as others may open it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posix_x.migrate.tree import Edit, Finding, calls, line_of, text

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = "its loads and stores are the CPU's, nothing is faster"
NAMED = f"{PLAIN}, and other programs may open it by its name"
MAKES = {"shm_open": NAMED, "shmget": NAMED, "shmat": PLAIN}
NOWHERE = ("NULL", "0", "nullptr")
READ_WRITE = frozenset({"PROT_READ", "PROT_WRITE"})
FLAGS = (
    frozenset({"MAP_SHARED", "MAP_ANONYMOUS"}),
    frozenset({"MAP_SHARED", "MAP_ANON"}),
)


def find(root: Any) -> Iterator[tuple[list[Edit], Finding]]:
    """Yield the edit, or none and the reason, for each call that makes or maps shared memory."""
    for node, name, arguments in calls(root):
        if name in MAKES:
            yield [], Finding(line_of(node), name, done=False, reason=_reason(root, MAKES[name]))
        elif name == "mmap" and any(b"MAP_SHARED" in one.text for one in arguments):
            yield _mapping(root, node, arguments)


def _mapping(root: Any, node: Any, arguments: list[Any]) -> tuple[list[Edit], Finding]:
    """Rewrite a mapping that is nothing but memory to be shared with children."""
    anonymous = any(b"MAP_ANON" in one.text for one in arguments)
    what = "anonymous shared memory" if anonymous else "a shared mapping"
    against = _against(arguments) if anonymous else _reason(root, PLAIN)
    if against:
        return [], Finding(line_of(node), what, done=False, reason=against)
    lines = "\n" * node.text.count(b"\n")  # no line moves
    edit = Edit(node.start_byte, node.end_byte, f"exo_shared_map({text(arguments[1])}{lines})")
    return [edit], Finding(line_of(node), what, done=True)


def _against(arguments: list[Any]) -> str:
    """Return why it cannot be exo_shared_map(); "" if it can."""
    if len(arguments) != 6 or text(arguments[0]) not in NOWHERE:
        return "it is wanted at an address"
    if frozenset(_words(arguments[2])) != READ_WRITE:
        return f"{text(arguments[2])}: it is not for reading and writing, as written here"
    if frozenset(_words(arguments[3])) not in FLAGS:
        return f"{text(arguments[3])}: it is wanted in another way"
    return ""


def _words(node: Any) -> list[str]:
    """Return the names that are joined by |; another expression is one word."""
    while node.type == "parenthesized_expression":
        node = node.named_children[0]
    if node.type == "binary_expression" and node.child_by_field_name("operator").type == "|":
        sides = (node.child_by_field_name(side) for side in ("left", "right"))
        return [word for side in sides for word in _words(side)]
    return [text(node)]


def _reason(root: Any, reason: str) -> str:
    """Name what there is for programs that wait for each other by it."""
    if any(
        name in ("sem_wait", "sem_timedwait", "pthread_cond_wait") for _, name, _ in calls(root)
    ):
        return f"{reason}; if a queue is kept in it, exo_chan_create() has one"
    return reason
