"""The benchmark runner: `python -m benchmarks [--list] [JOB...]`, see --help.

Each round starts a job's contenders one after the other, natively and under exo-um if it names
none, in alternating order, so that all meet the same weather. The result is a Markdown table and a
JSON list; figures are pooled over the rounds. A JOB may be the beginning of several names:

    python -m benchmarks ring             all of the rings
    python -m benchmarks fork_wait --rounds 9
    python -m benchmarks alloc --charts docs/charts
"""

import argparse
import functools
import importlib
import os
import select
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chart import draw, suite_of
from benchmarks.job import HERE, Job, UnavailableError, find, native
from benchmarks.results import HEADER, Result, row, save, sum_up

TIMEOUT_S = 120


def wait_for(process: subprocess.Popen[str]) -> None:
    """Wait until a process ends; Popen.wait() with a limit would look every 50 ms only."""
    ended = os.pidfd_open(process.pid)
    try:
        if not select.select([ended], [], [], TIMEOUT_S)[0]:
            process.kill()
    finally:
        os.close(ended)


def sample(job: Job, argv: list[str]) -> list[float]:
    """Start argv once and return what it measured."""
    began = time.perf_counter_ns()
    # Without close_fds, Python starts the process the cheapest way it has.
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if job.source == "output" else subprocess.DEVNULL,
        text=True,
        close_fds=False,
    ) as process:
        if job.source == "wall":
            wait_for(process)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    wall_ms = (time.perf_counter_ns() - began) / 1e6
    if process.returncode != 0:
        raise UnavailableError(f"{shlex.join(argv)} ended with status {process.returncode}")
    return [wall_ms] if job.source == "wall" else [float(line) for line in output.split()]


def sides_of(job: Job, exo_um: str) -> dict[str, list[str]]:
    """Return the command of each contender."""
    if job.contenders is not None:
        return job.contenders()
    command = job.command()
    cpu = str(max(os.sched_getaffinity(0)))
    pin = [find("taskset"), "-c", cpu] if job.pinned else []
    return {"native": [*pin, *command], "exo-um": [*pin, exo_um, "run", *command]}


def run_all(name: str, job: Job, exo_um: str, rounds: int | None) -> dict[str, list[float]]:
    """Return the samples of all contenders; one that cannot run here is left out, and said so."""
    job.setup()
    sides = sides_of(job, exo_um)
    samples: dict[str, list[float]] = {}
    for side, argv in sides.items():  # warm all up
        try:
            sample(job, argv)
            samples[side] = []
        except UnavailableError as error:
            print(f"{name}, {side}: {error}", file=sys.stderr)
    if not samples:
        raise UnavailableError("none of its contenders can run here")
    order = list(samples)
    for _ in range(rounds or job.rounds):
        for side in order:
            samples[side] += sample(job, sides[side])
        order.reverse()
    return samples


@functools.cache
def cycles_per_ns() -> float:
    """Measure the TSC's rate."""
    printed = subprocess.run([native("tsc")], capture_output=True, text=True, check=True).stdout
    return statistics.median(map(float, printed.split()))


def load() -> dict[str, Job]:
    """Return the jobs of benchmarks/jobs by their file's name."""
    names = sorted(path.stem for path in (HERE / "jobs").glob("[a-z]*.py"))
    return {name: importlib.import_module(f"benchmarks.jobs.{name}").JOB for name in names}


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="job to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the jobs")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often to start each side")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=HERE / "results.json",
        help="where to write the results (default: %(default)s)",
    )
    parser.add_argument(
        "--charts", type=Path, metavar="FOLDER", help="draw each suite that ran whole, PNG and SVG"
    )
    parser.add_argument("--exo-um", metavar="PATH", help="the exo-um to measure")
    return parser.parse_args(arguments)


def chosen_of(jobs: dict[str, Job], wanted: list[str]) -> list[str]:
    """Return the names of the jobs that were asked for; exits if there is none of a name."""
    unknown = [want for want in wanted if not any(name.startswith(want) for name in jobs)]
    if unknown:
        sys.exit(f"benchmarks: no such job: {', '.join(unknown)} (--list shows them)")
    return [name for name in jobs if not wanted or name.startswith(tuple(wanted))]


def of_whole_suites(results: list[Result], jobs: dict[str, Job]) -> list[Result]:
    """Return the results of suites of which nothing is missing: a chart shows no half of one."""
    missing = {suite_of(name) for name in jobs.keys() - {result.job for result in results}}
    return [result for result in results if suite_of(result.job) not in missing]


def find_exo_um() -> str:
    """Return the exo-um beside this Python, else that on PATH; exits if there is none."""
    beside = Path(sys.executable).parent / "exo-um"
    exo_um = str(beside) if beside.exists() else shutil.which("exo-um")
    if exo_um is None:
        sys.exit("benchmarks: exo-um is not installed (make build)")
    return exo_um


def main() -> int:
    """Run the jobs on the command line, by default all; return the exit status."""
    options = options_of()
    jobs = load()
    if options.list:
        for name, job in jobs.items():
            print(f"{name:18} {job.title} [{job.unit}, {job.better} is better]")
        return 0
    exo_um = options.exo_um or find_exo_um()
    results: list[Result] = []
    failures = 0
    print(HEADER, flush=True)
    for name in chosen_of(jobs, options.jobs):
        try:
            samples = run_all(name, jobs[name], exo_um, options.rounds)
            results += (of_job := sum_up(name, jobs[name], samples, cycles_per_ns()))
            print("\n".join(map(row, of_job)), flush=True)
        except (UnavailableError, subprocess.SubprocessError, ValueError) as error:
            failures += 1
            print(f"{name}: {error}", file=sys.stderr)
    save(results, options.json)
    if options.charts:
        for file in draw(of_whole_suites(results, jobs), options.charts):
            print(file, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
