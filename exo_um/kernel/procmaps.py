"""/proc/PID/maps and smaps: the guest's mappings, without the runtime's.

Code that is mapped from a patched copy shows as the file it is a copy of. Source: proc(5).
"""

from __future__ import annotations

import re

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from exo_um.kernel.procview import InstanceView as View

    Mapping: TypeAlias = "tuple[int, int, list[bytes], bytes, bytes]"

HEAD = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+)[ ]*(.*)$", re.MULTILINE)
PERMISSIONS, OFFSET, DEVICE, INODE = range(4)
PATH_COLUMN = 73
WINDOW = range(int(lib.EXO_WINDOW_BASE), int(lib.EXO_WINDOW_END))


def maps(text: bytes, view: View, slot: int) -> bytes:  # noqa: ARG001 - one signature for all
    """Return the text with the runtime's mappings left out and copies named after their files."""
    mappings = [
        mapping for mapping in split(text) if mapping[0] not in WINDOW and mapping[1] not in WINDOW
    ]
    shown = []
    copies = view.copies_id()
    for i, (start, end, fields, path, rest) in enumerate(mappings):
        if (fields[DEVICE], fields[INODE]) != copies:
            shown.append(line(start, end, fields, path) + rest)
            continue
        offset = view.code_offset(int(fields[OFFSET], 16))
        if offset is None:
            continue  # stubs
        device, inode, original = neighbour(mappings, i, copies)
        shown_as = [fields[PERMISSIONS], b"%08x" % offset, device, inode]
        shown.append(line(start, end, shown_as, original) + rest)
    return b"".join(shown)


def split(text: bytes) -> Iterator[Mapping]:
    """Give start, end, the four fields, the path, and the lines that follow in smaps."""
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        start, stop, *fields, path = head.groups()
        rest = text[head.end() + 1 : end]
        yield int(start, 16), int(stop, 16), fields, path, rest


def neighbour(
    mappings: list[Mapping], i: int, copies: tuple[bytes, bytes]
) -> tuple[bytes, bytes, bytes]:
    """Return device, inode and path of the file whose other parts surround mapping i."""
    for j in (i - 1, i + 1):
        if 0 <= j < len(mappings) and mappings[j][3].startswith(b"/"):
            _, _, fields, path, _ = mappings[j]
            if (fields[DEVICE], fields[INODE]) != copies and touches(mappings[i], mappings[j]):
                return fields[DEVICE], fields[INODE], path
    return b"00:00", b"0", b""


def touches(one: Mapping, other: Mapping) -> bool:
    """Whether two mappings are next to each other."""
    return one[0] == other[1] or one[1] == other[0]


def line(start: int, end: int, fields: list[bytes], path: bytes) -> bytes:
    """Return a mapping's line, its path in the column where Linux puts it."""
    head = b"%08x-%08x " % (start, end) + b" ".join(fields) + b" "
    return (head.ljust(PATH_COLUMN) + path if path else head) + b"\n"
