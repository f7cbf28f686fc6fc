"""busybox's own tests: those of its applets (testsuite/) and those of its shell (shell/ash_test/).

They come from the Debian source of the installed busybox-static, so that program and tests fit.
A unit is an applet, or a folder of shell tests (ash-signals, ...). Used by run.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import packages
from sides import Bounds, run
from suite import CRASH, FAIL, PASS, SKIP, TIMEOUT, Job, Outcomes, numbered, quick_units

BUSYBOX = Path("/bin/busybox")
BOUNDS = Bounds(limit_s=300, silent_s=90)
# As Debian's own build runs them; dash's echo knows no -e.
ENVIRONMENT = {
    "SKIP_KNOWN_BUGS": "y",
    "SKIP_INTERNET_TESTS": "y",
    "LC_ALL": "C.UTF-8",
    "ECHO": "/bin/echo",
}
APPLET_LINE = re.compile(r"^(PASS|FAIL|SKIPPED|UNTESTED): (.*)$", re.MULTILINE)
APPLET_WORDS = {"PASS": PASS, "FAIL": FAIL, "SKIPPED": SKIP, "UNTESTED": SKIP}
SHELL_LINE = re.compile(r"^ash-[\w-]+/(\S+?)(?:\.tests)?: (ok|fail)$", re.MULTILINE)
SHELL_WORDS = {"ok": PASS, "fail": FAIL}


class Busybox:
    """The suite; its tree is laid out as busybox's build folder is, with Debian's binary."""

    name = "busybox"
    title = "busybox testsuite and ash_test"
    quick = quick_units("busybox")

    def __init__(self) -> None:
        self.tree = Path()

    def prepare(self, cache: Path) -> str:
        """Install busybox-static, unpack its source and lay out the tree."""
        packages.install("busybox-static", "diffutils")
        wanted = packages.version("busybox-static", "source:Version") or ""
        source = packages.fetch_source("busybox", wanted, cache)
        self.tree = cache / "busybox-tree"
        if not (self.tree / "complete").exists():
            packages.install("gcc", "libc6-dev")
            shutil.rmtree(self.tree, ignore_errors=True)
            self.lay_out(source)
        shutil.copy(BUSYBOX, self.tree / "busybox")
        return wanted

    def lay_out(self, source: Path) -> None:
        """Copy the tests and their configuration, and compile the shell tests' three tools."""
        for part in ("testsuite", "shell/ash_test"):
            shutil.copytree(source / part, self.tree / part)
        shutil.copy(source / "debian/config/pkg/static", self.tree / ".config")
        shell = self.tree / "shell/ash_test"
        (shell / "ash").symlink_to("../../busybox")
        shutil.copy(self.tree / ".config", shell)
        for tool in ("printenv", "recho", "zecho"):
            packages.run(["gcc", "-O2", "-o", str(shell / tool), str(shell / f"{tool}.c")])
        (self.tree / "complete").touch()

    def units(self) -> list[str]:
        """The applets that have tests and are built, then the folders of shell tests."""
        built = {"busybox", *packages.run([str(BUSYBOX), "--list"]).split()}
        tests = self.tree / "testsuite"
        with_tests = {path.stem for path in tests.glob("*.tests")}
        with_tests |= {path.name for path in tests.iterdir() if path.is_dir()}
        folders = [path.name for path in (self.tree / "shell/ash_test").glob("ash-*")]
        return sorted(with_tests & built) + sorted(folders)

    def run(self, job: Job) -> Outcomes:
        """Run ./runtest for an applet, or ./run-all for a folder, in a fresh copy of the tree."""
        shell = job.unit.startswith("ash-")
        part = "shell/ash_test" if shell else "testsuite"
        work = job.fresh()
        for name in ("busybox", ".config"):
            shutil.copy(self.tree / name, work)
        folder = Path(shutil.copytree(self.tree / part, work / part, symlinks=True))
        script = "./run-all" if shell else "./runtest"
        ended = run(job.side, [script, job.unit], job.log, folder, BOUNDS, ENVIRONMENT)
        if shell:
            found = [(m[1], SHELL_WORDS[m[2]]) for m in SHELL_LINE.finditer(ended.text)]
        else:
            found = [(m[2], APPLET_WORDS[m[1]]) for m in APPLET_LINE.finditer(ended.text)]
        outcomes = numbered(found)
        if shell:
            keep_differences(folder, job.log)
        if ended.late:
            outcomes["(the run)"] = TIMEOUT
        elif ended.status < 0 or ended.status >= 125:
            outcomes["(the run)"] = CRASH
        return job.kept(outcomes)


def keep_differences(folder: Path, log: Path) -> None:
    """Append to the log what failed shell tests left: the diffs of their output."""
    with log.open("ab") as output:
        for path in sorted(folder.glob("*.fail")):
            output.write(f"\n--- {path.name}\n".encode() + path.read_bytes())
