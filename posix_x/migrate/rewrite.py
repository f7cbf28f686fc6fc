"""Puts the edits of all rules together, and lists what they leave, with the reason."""

from __future__ import annotations

from typing import Any

from posix_x.migrate import pipes, shared, spawns, writes
from posix_x.migrate.tree import Edit, Finding, calls, line_of, parse

HEADER = "#include <exo/api.h>\n"
STAYS = {
    "socketpair": "it carries bytes both ways: exo_pipe() twice, if nothing else is done with it",
    "popen": "it goes through a shell",
    "system": "it goes through a shell",
    "posix_spawn": "it is what exo_spawn() does",
    "posix_spawnp": "it is what exo_spawn() does",
}


def rewrite(source: bytes) -> tuple[bytes, list[Finding]]:
    """Return the new source and what was found, by lines. Errors: ParseError."""
    findings: list[Finding] = []
    renames: dict[int, Edit] = {}
    root = parse(source)
    for edits, finding in (*pipes.find(root), *shared.find(root)):
        findings.append(finding)
        renames |= {edit.start: edit for edit in edits}
    source = _replace(source, list(renames.values()))  # no line moves
    root = parse(source)
    changes: list[Edit] = []
    for edit, finding in (*spawns.find(root, source), *writes.find(root, source)):
        if edit is None or not any(_meet(edit, other) for other in changes):
            findings.append(finding)
            changes += [edit] if edit is not None else []
        else:
            reason = "it is part of what was rewritten"
            findings.append(Finding(finding.line, finding.what, done=False, reason=reason))
    findings += [
        Finding(line_of(node), name, done=False, reason=STAYS[name])
        for node, name, _ in calls(root)
        if name in STAYS
    ]
    changes += [_header(source, root)] if changes or renames else []
    return _replace(source, changes), sorted(findings, key=lambda one: one.line)


def _meet(one: Edit, other: Edit) -> bool:
    return one.start < other.end and other.start < one.end


def _header(source: bytes, root: Any) -> Edit:
    """Return the #include, behind the last one of the file."""
    includes = [node for node in root.children if node.type == "preproc_include"]
    place = includes[-1].end_byte if includes else 0
    place += source[place : place + 1] == b"\n" and source[place - 1 : place] != b"\n"
    return Edit(place, place, HEADER)


def _replace(source: bytes, edits: list[Edit]) -> bytes:
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        new = edit.text.encode(errors="surrogateescape")
        source = source[: edit.start] + new + source[edit.end :]
    return source
