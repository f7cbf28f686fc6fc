"""Puts the edits of all rules together, and lists what they leave, with the reason."""

from __future__ import annotations

from typing import Any

from posix_x.migrate import spawns, writes
from posix_x.migrate.tree import Edit, Finding, calls, line_of, parse

HEADER = "#include <exo/api.h>\n"
BYTES = "a pipe's bytes have no boundaries, which a channel's messages have: exo_chan_create()"
STAYS = {
    "pipe": BYTES,
    "pipe2": BYTES,
    "socketpair": "who reads may be a program of its own: exo_chan_create(), if it is not",
    "popen": "it goes through a shell",
    "system": "it goes through a shell",
    "shm_open": "what the memory means is not seen here: exo_chan_create() carries messages",
    "shmget": "what the memory means is not seen here: exo_chan_create() carries messages",
    "posix_spawn": "it is what exo_spawn() does",
    "posix_spawnp": "it is what exo_spawn() does",
}


def rewrite(source: bytes) -> tuple[bytes, list[Finding]]:
    """Return the new source and what was found, by lines. Errors: ParseError."""
    root = parse(source)
    edits: list[Edit] = []
    findings: list[Finding] = []
    for edit, finding in (*spawns.find(root, source), *writes.find(root, source)):
        if edit is None or not any(_meet(edit, other) for other in edits):
            findings.append(finding)
            edits += [edit] if edit is not None else []
        else:
            reason = "it is part of what was rewritten"
            findings.append(Finding(finding.line, finding.what, done=False, reason=reason))
    findings += [
        Finding(line_of(node), name, done=False, reason=STAYS[name])
        for node, name, _ in calls(root)
        if name in STAYS
    ]
    findings += _shared(root)
    return _apply(source, edits, root), sorted(findings, key=lambda one: one.line)


def _meet(one: Edit, other: Edit) -> bool:
    return one.start < other.end and other.start < one.end


def _shared(root: Any) -> list[Finding]:
    return [
        Finding(line_of(node), "shared memory", done=False, reason=STAYS["shmget"])
        for node, name, _ in calls(root)
        if name == "mmap" and b"MAP_SHARED" in node.text
    ]


def _apply(source: bytes, edits: list[Edit], root: Any) -> bytes:
    """Return the source with all edits, and the header behind the last #include."""
    if not edits:
        return source
    includes = [node for node in root.children if node.type == "preproc_include"]
    place = includes[-1].end_byte if includes else 0
    place += source[place : place + 1] == b"\n" and source[place - 1 : place] != b"\n"
    edits = [*edits, Edit(place, place, HEADER)]
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        new = edit.text.encode(errors="surrogateescape")
        source = source[: edit.start] + new + source[edit.end :]
    return source
