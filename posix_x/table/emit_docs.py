"""Writes docs/syscalls.md: who serves each call, and where exo-um differs from Linux.

The deviations are the tables' notes and the `DIFFERS:` comments of the sources.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posix_x.table.schema import TIERS, Call

_HEAD = """\
# System calls

Made by posix_x/table/generate.py from posix_x/table/syscalls.toml: the {count} x86-64 calls that
Linux 6.18 has. A number without a row fails with ENOSYS.

| tier | calls | served by |
| --- | ---: | --- |
"""
_TIER_TEXT = {
    "fast": "C inside the guest process, at once",
    "hybrid": "C inside the guest process, which may block or call the host",
    "pass": "the host, with descriptors, pids and paths translated",
    "legacy": "Python in the kernel process",
    "none": "nobody: fails with the error in the notes",
}
_SOURCES = frozenset({".c", ".h", ".S", ".py"})


@dataclass(frozen=True, slots=True)
class Sources:
    """The folders of the handlers, and the root that paths are shown relative to."""

    root: Path
    native: Path
    python: Path

    def files(self) -> Iterator[tuple[str, list[str]]]:
        """Yield (shown path, lines) of each source file, in order of paths."""
        for folder in (self.native, self.python, self.root / "exo_um" / "kernel"):
            for path in sorted(folder.rglob("*")):
                if path.suffix in _SOURCES:
                    shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
                    yield str(shown), path.read_text().splitlines()


def docs_source(calls: Sequence[Call], errors: Mapping[int, str], sources: Sources) -> str:
    """Return the whole page; errors maps an errno to its name."""
    counts = Counter(call.tier for call in calls)
    homes, deviations = _scan(sources)
    lines = [_HEAD.format(count=len(calls)).rstrip("\n")]
    lines += [f"| {tier} | {counts[tier]} | {_TIER_TEXT[tier]} |" for tier in TIERS]
    lines += ["", "## Every call", "", "| nr | name | tier | served by | notes |"]
    lines += ["| ---: | --- | --- | --- | --- |"]
    lines += [_row(call, errors, homes) for call in calls]
    lines += ["", "## Where the sources differ from Linux", ""]
    lines += deviations or ["Nothing is marked."]
    return "\n".join(lines) + "\n"


def _row(call: Call, errors: Mapping[int, str], homes: Mapping[str, str]) -> str:
    served = {"pass": "host", "none": "-"}.get(call.tier)
    if served is None:
        served = homes.get(call.name, "not written yet")
    notes = "; ".join(filter(None, (errors.get(call.error, ""), call.note)))
    name = call.name.replace("_", "\\_") if call.name.startswith("_") else call.name
    return f"| {call.nr} | {name} | {call.tier} | {served} | {notes} |"


def _scan(sources: Sources) -> tuple[dict[str, str], list[str]]:
    """Find the file that defines each sys_<name>, and the deviations as list items."""
    handler = re.compile(r"^(?:SYSCALL\(|(?:long|(?:async )?def) sys_)(\w+)[()][^;]*$")
    homes: dict[str, str] = {}
    deviations = []
    for path, lines in sources.files():
        for index, line in enumerate(lines):
            if match := handler.match(line):
                homes[match[1]] = path
            if "DIFFERS:" in line:
                deviations.append(f"- {path}:{index + 1}: {_comment(lines, index)}")
    return homes, deviations


def _comment(lines: list[str], index: int) -> str:
    """Join the comment that starts with DIFFERS: on lines[index] up to its end or an empty line."""
    before, _, text = lines[index].partition("DIFFERS:")
    leader = next((mark for mark in ("#", "//") if mark in before), "")
    words = [text]
    for line in lines[index + 1 :]:
        if re.search(r'\*/|"""', words[-1]) or "DIFFERS:" in line:
            break
        rest = line.strip()
        if leader and not rest.startswith(leader):
            break
        rest = rest.removeprefix(leader) if leader else re.sub(r"^\*(?!/)\s?", "", rest)
        if not rest.strip():
            break
        words.append(rest)
    text = re.sub(r'\s*(\*/|""").*', "", " ".join(word.strip() for word in words)).strip()
    if "(" in before and text.count(")") > text.count("("):  # the whole stands in brackets
        text = text[: text.rindex(")")]
    return text
