"""redis's own tests: the unit/ part, from the Debian source of the installed redis-server.

A unit is a file of tests/unit; its test server and the servers that this starts and kills are all
on one side. Used by run.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import packages
from sides import Bounds, run
from suite import CRASH, FAIL, PASS, SKIP, TIMEOUT, Job, Outcomes, listed, numbered, quick_units

BOUNDS = Bounds(limit_s=600, silent_s=120)
PROGRAMS = ("redis-server", "redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb")
FIRST_PORT, PORTS = 12000, 200  # of a unit; buses of clusters are 10,000 above
LISTED = re.compile(r"^\s+unit/(\S+)$", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[\d;]*m")
LINE = re.compile(r"^\[(ok|err|skip|ignore|exception)\]: (.*)$", re.MULTILINE)
WORDS = {"ok": PASS, "err": FAIL, "skip": SKIP, "ignore": SKIP, "exception": CRASH}
# What differs from run to run in the name of a test.
VARIES = re.compile(r" \(\d+ ms\)$| in tests/\S+$|\d{4,}|0x[0-9a-f]+")


class Redis:
    """The suite, with Debian's programs in the place of those that a build makes."""

    name = "redis"
    title = "redis unit tests"
    quick = quick_units("redis")

    def __init__(self) -> None:
        self.tree = Path()

    def prepare(self, cache: Path) -> str:
        """Install redis and Tcl, unpack the tests."""
        packages.install("redis-server", "redis-tools", "tcl", "procps")
        wanted = packages.version("redis-server", "source:Version") or ""
        self.tree = packages.fetch_source("redis", wanted, cache)
        return wanted

    def units(self) -> list[str]:
        """The units that redis's own list has, but those of units.toml that no package has."""
        names = LISTED.findall((self.tree / "tests/test_helper.tcl").read_text())
        left_out = listed("redis", "left_out")
        return [name.replace("/", ".") for name in names if name not in left_out]

    def run(self, job: Job) -> Outcomes:
        """Run a unit in a copy of the tests."""
        work = job.fresh()
        shutil.copytree(self.tree / "tests", work / "tests", symlinks=True)
        (work / "src").mkdir()
        for program in PROGRAMS:
            (work / "src" / program).symlink_to(f"/usr/bin/{program}")
        port = FIRST_PORT + PORTS * self.units().index(job.unit) % 10000
        argv = ["tclsh", "tests/test_helper.tcl", "--clients", "1", "--no-latency"]
        argv += ["--baseport", str(port), "--portcount", str(PORTS)]
        argv += ["--single", f"unit/{job.unit.replace('.', '/')}"]
        ended = run(job.side, argv, job.log, work, BOUNDS)
        found = LINE.findall(COLOUR.sub("", ended.text))
        outcomes = numbered((VARIES.sub("", name), WORDS[word]) for word, name in found)
        if ended.late:
            outcomes["(the run)"] = TIMEOUT
        elif ended.status not in (0, 1):
            outcomes["(the run)"] = CRASH
        return job.kept(outcomes)
