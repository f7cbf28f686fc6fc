"""stress-ng's stressors of processes, signals, locks, memory and files, each verifying itself.

A unit is a stressor and its only test. Used by run.py.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import packages
from sides import Bounds, run
from suite import CRASH, FAIL, PASS, SKIP, TIMEOUT, Job, Outcomes, listed, quick_units

BOUNDS = Bounds(limit_s=60, silent_s=60)
SECONDS = 5
# Operations per stressor: what Linux does in well under SECONDS; heavy ones work in large steps.
OPERATIONS = 200
FEW_OPERATIONS = 5
# The C library would take rseq, which one of the stressors wants, for itself.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
ORDINARY_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# Exit statuses of stressors that could not start here: no resource, not implemented, no such call.
NOT_HERE = (3, 4, 6)
SKIPPED = re.compile(r"skipped|skipping|No stress workers invoked")
COMPLAINT = re.compile(r"^stress-ng: fail:", re.MULTILINE)


class StressNg:
    """The suite, from Debian's package."""

    name = "stress-ng"
    title = "stress-ng, stressors with --verify"
    quick = quick_units("stress-ng")

    def prepare(self, cache: Path) -> str:
        """Install stress-ng."""
        packages.install("stress-ng", "util-linux")
        return packages.version("stress-ng") or ""

    def units(self) -> list[str]:
        """The stressors of units.toml that this stress-ng has."""
        known = set(packages.run(["stress-ng", "--stressors"]).split())
        return [name for name in listed("stress-ng", "stressors") if name in known]

    def run(self, job: Job) -> Outcomes:
        """Run a stressor for a few operations."""
        work = job.fresh()
        work.chmod(0o777)
        count = FEW_OPERATIONS if job.unit in listed("stress-ng", "heavy") else OPERATIONS
        argv = ["stress-ng", f"--{job.unit}", "1", f"--{job.unit}-ops", str(count), "--verify"]
        argv += ["--timeout", str(SECONDS), "--temp-path", str(work), "--oomable", "--no-rand-seed"]
        if os.getuid() == 0 and job.unit in listed("stress-ng", "ordinary"):
            argv = [*ORDINARY_USER, *argv]
        ended = run(job.side, argv, job.log, work, BOUNDS, ENVIRONMENT)
        return {job.unit: outcome(ended.status, ended.late, ended.text)}


def outcome(status: int, late: str, text: str) -> str:
    """What an exit status and the messages say about a stressor."""
    if late:
        return TIMEOUT
    if status < 0 or status >= 125:
        return CRASH
    if status in NOT_HERE or (status == 0 and SKIPPED.search(text)):
        return SKIP
    return PASS if status == 0 and not COMPLAINT.search(text) else FAIL
