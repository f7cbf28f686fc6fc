"""Compares the outcomes of both sides, looks up the causes of differences, writes the page.

The results that it reads are run.py's: by suite, its version and its units; by unit, a list of
outcomes for each side, one entry per attempt.
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite import MISSING, PASS, Outcomes, matches

CAUSES = Path(__file__).with_name("causes.toml")
UNKNOWN = "not yet explained"
THE_RUN = "(the run)"

Record = dict[str, list[Outcomes]]  # of a unit: "native" and "exo-um"

HEAD = """\
# Conformance

Third-party test suites, run natively and under exo-um on the same machine, one unit after the
other in equal fresh directories. `make conformance` runs them and writes this page; the causes
are kept by hand in tests/conformance/causes.toml.

A unit whose outcomes differ is run a second time on both sides. A test counts as passed where it
passed each time; "pass or fail" is a test that did both.

"""


@dataclass(frozen=True)
class Difference:
    """A test that came out differently; steady means that no two attempts agreed."""

    name: str  # unit/test
    native: tuple[str, ...]
    exo_um: tuple[str, ...]
    steady: bool

    @property
    def worse(self) -> bool:
        """Whether it passes natively and never under exo-um."""
        return self.steady and PASS in self.native


class Causes:
    """The hand-kept causes, by suite and by the name of a test, which may be a pattern."""

    def __init__(self, path: Path = CAUSES) -> None:
        self.tables: dict[str, dict[str, str]] = tomllib.loads(path.read_text())

    def find(self, suite: str, name: str) -> str | None:
        """The cause of a difference, None where none is known."""
        for pattern, cause in self.tables.get(suite, {}).items():
            if matches(name, pattern):
                return cause
        return None


def outcomes(record: Record, side: str, test: str) -> tuple[str, ...]:
    """The different outcomes of a test on a side."""
    return tuple(sorted({attempt.get(test, MISSING) for attempt in record[side]}))


def tests(record: Record) -> list[str]:
    """All tests of a unit, in the order in which they were first seen."""
    return list(dict.fromkeys(t for side in record.values() for attempt in side for t in attempt))


def compare(unit: str, record: Record) -> Iterator[Difference]:
    """The differences of a unit."""
    for test in tests(record):
        native, exo_um = (outcomes(record, side, test) for side in ("native", "exo-um"))
        if set(exo_um) <= set(native):
            continue
        yield Difference(f"{unit}/{test}", native, exo_um, not set(native) & set(exo_um))


def passed(record: Record, side: str) -> int:
    """How many tests of a unit passed each time."""
    return sum(outcomes(record, side, test) == (PASS,) for test in tests(record) if test != THE_RUN)


def differences(units: Mapping[str, Record]) -> list[Difference]:
    """The differences of a suite."""
    return [found for unit, record in units.items() for found in compare(unit, record)]


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"


def page(results: Mapping[str, Any], titles: Mapping[str, str], causes: Causes) -> str:
    """docs/conformance.md as text."""
    release = ".".join(platform.release().split(".")[:2])
    text = HEAD + f"Host of the last run: Linux {release}, {platform.machine()}.\n\n"
    text += row("suite", "version", "tests", "native pass", "exo-um pass", "differences")
    text += "| --- | --- | ---: | ---: | ---: | ---: |\n"
    known = [(name, results[name]) for name in titles if name in results]
    for name, result in known:
        units: dict[str, Record] = result["units"]
        counts = [
            sum(len([t for t in tests(record) if t != THE_RUN]) for record in units.values()),
            sum(passed(record, "native") for record in units.values()),
            sum(passed(record, "exo-um") for record in units.values()),
            len(differences(units)),
        ]
        text += row(titles[name], result["version"], *map(str, counts))
    text += "\n## Differences\n\n" + row("suite", "test", "native", "exo-um", "cause")
    text += "| --- | --- | --- | --- | --- |\n"
    for name, result in known:
        for found in differences(result["units"]):
            states = [" or ".join(side) for side in (found.native, found.exo_um)]
            cause = causes.find(name, found.name) or UNKNOWN
            text += row(name, cell(found.name), *states, cell(cause))
    return text
