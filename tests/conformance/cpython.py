"""CPython's own tests of processes, signals, threads, memory and files, from Debian's package.

A unit is a test module. Outcomes come from the JUnit file, and where a run dies before it writes
that, from the verbose output; the test that was running is then blamed, and the module is run
again without it and those already done. Used by run.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import packages
from sides import Bounds, Ended, run
from suite import CRASH, FAIL, PASS, SKIP, TIMEOUT, Job, Outcomes, listed, numbered, quick_units

PYTHON = "/usr/bin/python3"
BOUNDS = Bounds(limit_s=900, silent_s=90)
RUNS = 5  # of a module, each without what stopped the one before
# Waits for ever on Linux machines whose vsock device reaches nobody.
EXCLUDED = ("test.test_socket.ThreadedVSOCKSocketStreamTest.testStream",)

START = re.compile(r"^(\w+) \(([\w.]+)\)", re.MULTILINE)
STATE = re.compile(r"(ok|FAIL|ERROR|skipped .*|expected failure|unexpected success)$", re.MULTILINE)
BROKEN = re.compile(r"^(?:FAIL|ERROR): (\w+) \(([\w.]+)\)", re.MULTILINE)
WORDS = {"ok": PASS, "expected": PASS, "skipped": SKIP}


class CPython:
    """The suite, for the machine's Python."""

    name = "cpython"
    title = "CPython regression tests"
    quick = quick_units("cpython")

    def __init__(self) -> None:
        self.folder = Path()

    def prepare(self, cache: Path) -> str:
        """Install the tests of the machine's Python."""
        version = packages.run([PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        package = f"libpython{version.strip()}-testsuite"
        packages.install("python3", package)
        where = packages.run([PYTHON, "-c", "import test; print(test.__path__[0])"])
        self.folder = Path(where.strip())
        return packages.version(package) or ""

    def units(self) -> list[str]:
        """The modules of units.toml that this Python has."""
        names = listed("cpython", "modules")
        return [
            name
            for name in names
            if (self.folder / f"{name}.py").exists() or (self.folder / name).is_dir()
        ]

    def run(self, job: Job) -> Outcomes:
        """Run a module, again and again without the tests that end it."""
        outcomes: Outcomes = {}
        logs = []
        for count in range(RUNS):
            ended, junit = self.once(job, [*EXCLUDED, *outcomes])
            logs.append(ended.text)
            if junit.exists() and junit.stat().st_size > 0:  # empty: it died there
                outcomes |= from_junit(junit) | failures(ended.text)
                break
            found = from_text(ended)
            outcomes |= found
            if not found or count == RUNS - 1:
                outcomes["(the run)"] = TIMEOUT if ended.late else CRASH
                break
        job.log.write_text("\n".join(logs), "utf-8", "backslashreplace")
        return job.kept(outcomes)

    def once(self, job: Job, ignored: list[str]) -> tuple[Ended, Path]:
        """Run a module without the ignored tests; gives its end and the JUnit file it may make."""
        junit, names = job.fresh() / "junit.xml", job.work / "ignored"
        names.write_text("\n".join(ignored))
        argv = [PYTHON, "-u", "-m", "test", "-v", "--junit-xml", str(junit)]
        argv += ["--tempdir", ".", "--ignorefile", str(names)]
        for pattern in job.patterns:
            argv += ["--match", pattern]
        if job.unit in listed("cpython", "network"):
            argv += ["-u", "network"]
        argv.append(job.unit)
        if job.unit in listed("cpython", "terminal"):
            argv = ["script", "-qec", shlex.join(argv), "/dev/null"]
        # Names of sockets may have 108 bytes; below job.work some would have more.
        with TemporaryDirectory(prefix="exo-", ignore_cleanup_errors=True) as short:
            return run(job.side, argv, job.log, Path(short), BOUNDS), junit


def from_junit(path: Path) -> Outcomes:
    """Outcomes by test from a JUnit file; a test with failed parts has no name there."""
    pairs = []
    for case in ET.parse(path).iter("testcase"):
        name = case.get("name")
        if name is None:
            continue
        bad = case.find("failure") is not None or case.find("error") is not None
        bad = bad or case.get("outcome") is not None
        skipped = case.find("skipped") is not None
        pairs.append((name, FAIL if bad else SKIP if skipped else PASS))
    return numbered(pairs)


def failures(text: str) -> Outcomes:
    """Tests that the summary names: parts of tests and set-ups of classes too."""
    return {identity(m[1], m[2]): FAIL for m in BROKEN.finditer(text)}


def identity(method: str, where: str) -> str:
    """A test's id from the two parts that unittest prints.

    >>> identity("test_a", "test.test_os.C.test_a")
    'test.test_os.C.test_a'
    >>> identity("setUpClass", "test.test_os.C")
    'setUpClass (test.test_os.C)'
    """
    return where if where.endswith(f".{method}") else f"{method} ({where})"


def lines(text: str) -> Iterator[tuple[str, str]]:
    """Each test that the verbose output says was started, and what follows up to the next."""
    starts = list(START.finditer(text))
    for this, following in zip(starts, [*starts[1:], None], strict=True):
        end = following.start() if following else len(text)
        yield identity(this[1], this[2]), text[this.end() : end]


def from_text(ended: Ended) -> Outcomes:
    """Outcomes by test of a run that did not come to its end; the last test is the culprit."""
    pairs = []
    for name, rest in lines(ended.text):
        state = STATE.search(rest)
        word = state[1].split()[0] if state else ""
        unknown = TIMEOUT if ended.late else CRASH
        pairs.append((name, WORDS.get(word, FAIL) if word else unknown))
    return numbered(pairs)
