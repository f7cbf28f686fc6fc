"""What a suite is to the runner: units that run one at a time, and the outcomes of their tests.

A unit is the smallest thing that a suite starts by itself (an applet, a test module, a stressor).
Implemented in busybox.py, cpython.py, stress_ng.py and redis.py; used by run.py.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from sides import Side

PASS, FAIL, SKIP, TIMEOUT, CRASH = "pass", "fail", "skip", "timeout", "crash"
MISSING = "missing"  # the other side reported such a test, this one did not

Outcomes = dict[str, str]
UNITS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("units.toml").read_text())


@dataclass(frozen=True)
class Job:
    """One unit to run: where, and which of its tests; no patterns mean all."""

    unit: str
    side: Side
    work: Path
    log: Path
    patterns: tuple[str, ...] = ()

    def wants(self, test: str) -> bool:
        """Whether a test is among those asked for."""
        return not self.patterns or any(matches(test, pattern) for pattern in self.patterns)

    def kept(self, outcomes: Mapping[str, str]) -> Outcomes:
        """Those of the outcomes that were asked for."""
        return {test: outcome for test, outcome in outcomes.items() if self.wants(test)}

    def fresh(self) -> Path:
        """The work directory, empty."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        return self.work


class Suite(Protocol):
    """A third-party suite; prepare comes first, and raises packages.MissingError in trouble."""

    name: str
    title: str
    quick: dict[str, tuple[str, ...]]  # units of --quick, and patterns of their tests

    def prepare(self, cache: Path) -> str:
        """Install and unpack what is needed, keeping it in cache; gives the version."""
        ...

    def units(self) -> list[str]:
        """All units, in the order in which they run."""
        ...

    def run(self, job: Job) -> Outcomes:
        """Run a unit on one side; gives the outcome of each test."""
        ...


def listed(suite: str, key: str) -> list[str]:
    """A list of names from units.toml."""
    names: list[str] = UNITS[suite][key]
    return names


def quick_units(suite: str) -> dict[str, tuple[str, ...]]:
    """The units of --quick, from units.toml, and patterns of their tests; none mean all."""
    return {unit: tuple(patterns) for unit, patterns in UNITS[suite]["quick"].items()}


def matches(name: str, pattern: str) -> bool:
    """Whether a name is the pattern, or matches it as a glob (names may hold brackets)."""
    return name == pattern or fnmatchcase(name, pattern)


def numbered(pairs: Iterable[tuple[str, str]]) -> Outcomes:
    """Outcomes by test, with #2, #3 ... after names that come again."""
    outcomes: Outcomes = {}
    seen: dict[str, int] = {}
    for name, outcome in pairs:
        plain = re.sub(r"\s+", " ", name).strip()
        seen[plain] = seen.get(plain, 0) + 1
        outcomes[plain if seen[plain] == 1 else f"{plain} #{seen[plain]}"] = outcome
    return outcomes
