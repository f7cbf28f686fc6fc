"""Small writes that follow each other become one of several parts, those of a loop batched ones.

Only where the results are not used, nothing else is called in between, and the fd is a stream, as
its own function or its number says: packets must not be joined.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from posix_x.migrate.tree import (
    Edit,
    Finding,
    call_of,
    calls,
    indent_of,
    is_pure,
    line_of,
    text,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPS = ("for_statement", "while_statement", "do_statement")
LEAVES = ("return_statement", "goto_statement")
STREAMS = ("1", "2", "STDOUT_FILENO", "STDERR_FILENO")
OPENS = ("open", "creat", "openat")


def find(root: Any, source: bytes) -> Iterator[tuple[Edit | None, Finding]]:
    """Yield an edit, or None and the reason, for each run of writes and each loop with one."""
    inside: list[Any] = []
    for node in walk(root):
        if any(outer.start_byte <= node.start_byte < outer.end_byte for outer in inside):
            continue
        if node.type in LOOPS and any(name == "write" for _, name, _ in calls(node)):
            inside.append(node)
            yield _loop(node, source)
        elif node.type == "compound_statement":
            for run in _runs(node):
                yield _run(run, source)


def _write_of(node: Any) -> list[Any] | None:
    """Return the arguments of a statement that is a write whose result nobody uses."""
    found = call_of(node) if node.type == "expression_statement" else None
    return found[1] if found and found[0] == "write" and len(found[1]) == 3 else None


def _runs(block: Any) -> Iterator[list[Any]]:
    """Yield writes to one fd that follow each other."""
    run: list[Any] = []
    for child in block.named_children:
        arguments = _write_of(child)
        if arguments is None or not all(map(is_pure, arguments)):
            if child.type != "comment":
                if len(run) > 1:
                    yield run
                run = []
        elif run and text(_write_of(run[0])[0]) != text(arguments[0]):  # type: ignore[index]
            if len(run) > 1:
                yield run
            run = [child]
        else:
            run.append(child)
    if len(run) > 1:
        yield run


def _is_stream(fd: str, node: Any) -> bool:
    """Whether an fd is standard output, or its own function has opened it as a file."""
    if fd in STREAMS:
        return True
    while node is not None and node.type != "function_definition":
        node = node.parent
    opened = rf"\b{re.escape(fd)}\s*=\s*\(*\s*(?:{'|'.join(OPENS)})\s*\("
    return node is not None and fd.isidentifier() and re.search(opened, text(node)) is not None


def _run(run: list[Any], source: bytes) -> tuple[Edit | None, Finding]:
    fd, line = text(_write_of(run[0])[0]), line_of(run[0])  # type: ignore[index]
    what = f"{len(run)} writes to {fd}"
    if not _is_stream(fd, run[0]):
        return None, Finding(line, what, done=False, reason=f"{fd} may carry packets")
    pad, name = indent_of(source, run[0]), f"exo_parts_{run[0].start_byte}"
    lines = ["{", f"    struct iovec {name}[] = {{"]
    for node in run:
        _, data, size = (text(one) for one in _write_of(node))  # type: ignore[union-attr]
        lines.append(f"        {{(void *)({data}), {size}}},")
    lines += ["    };", f"    exo_write_parts({fd}, {name}, {len(run)});", "}"]
    return (
        Edit(run[0].start_byte, run[-1].end_byte, f"\n{pad}".join(lines)),
        Finding(line, what, done=True),
    )


def _loop(loop: Any, source: bytes) -> tuple[Edit | None, Finding]:
    writes = [node for node in walk(loop) if _write_of(node) is not None]
    line, what = line_of(loop), "a loop of writes"
    reason = _against(loop, writes)
    if reason:
        return None, Finding(line, what, done=False, reason=reason)
    fd, pad = text(_write_of(writes[0])[0]), indent_of(source, loop)  # type: ignore[index]
    name, body, at = f"exo_batch_{loop.start_byte}", "", loop.start_byte
    for node in writes:
        _, data, size = (text(one) for one in _write_of(node))  # type: ignore[union-attr]
        body += source[at : node.start_byte].decode(errors="surrogateescape")
        body += f"exo_batch_write(&{name}, {data}, {size});"
        at = node.end_byte
    body += source[at : loop.end_byte].decode(errors="surrogateescape")
    lines = [
        "{",
        f"    struct exo_batch {name};",
        f"    exo_batch_begin(&{name}, {fd});",
        body,
        f"    exo_batch_flush(&{name});",
        "}",
    ]
    return Edit(loop.start_byte, loop.end_byte, f"\n{pad}".join(lines)), Finding(
        line, what, done=True
    )


def _against(loop: Any, writes: list[Any]) -> str:
    """Return why a loop's writes cannot be batched; "" if they can."""
    others = sorted({name or "a pointer" for _, name, _ in calls(loop)} - {"write"})
    if others:
        return f"it calls {', '.join(others)}, too, which may wait or be seen"
    if len(writes) != sum(1 for _ in calls(loop)):
        return "a result of write is used"
    fds = {text(_write_of(node)[0]) for node in writes}  # type: ignore[index]
    if len(fds) != 1:
        return "it writes to several fds"
    if any(node.type in LEAVES for node in walk(loop)):
        return "it is left by return or goto"
    fd = fds.pop()
    if not (fd.isidentifier() or fd.isdigit()) or re.search(rf"\b{fd}\s*[-+]?=[^=]", text(loop)):
        return "the fd may change"
    return "" if _is_stream(fd, loop) else f"{fd} may carry packets"
