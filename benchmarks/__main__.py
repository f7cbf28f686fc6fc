"""The benchmark runner: `python -m benchmarks [--list] [JOB...]`, see --help.

Each round starts a job's contenders one after the other, natively and under exo-um if it names
none, in alternating order, so that all meet the same weather. The result is a Markdown table and a
JSON list; figures are pooled over the rounds. A JOB may be the beginning of several names.
"""

import argparse
import importlib
import json
import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.job import HERE, Job, UnavailableError, find

TIMEOUT_S = 120


@dataclass(frozen=True)
class Figures:
    """What one side of a job came to, in the job's unit."""

    median: float
    p99: float
    count: int


@dataclass(frozen=True)
class Result:
    """One contender's part of a job; ratio is its median by the first one's."""

    job: str
    contender: str
    unit: str
    median: float
    p99: float
    ratio: float
    must: float | None
    aim: float | None


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which `share` of the others lie (nearest rank)."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


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


def figures(samples: Sequence[float]) -> Figures:
    """Sum samples up."""
    return Figures(quantile(samples, 0.5), quantile(samples, 0.99), len(samples))


def sides_of(job: Job, exo_um: str) -> dict[str, list[str]]:
    """Return the command of each contender."""
    if job.contenders is not None:
        return job.contenders()
    command = job.command()
    cpu = str(max(os.sched_getaffinity(0)))
    pin = [find("taskset"), "-c", cpu] if job.pinned else []
    return {"native": [*pin, *command], "exo-um": [*pin, exo_um, "run", *command]}


def measure(name: str, job: Job, exo_um: str, rounds: int | None) -> list[Result]:
    """Run all contenders of one job; one that cannot run here is left out, and said so."""
    job.setup()
    sides = sides_of(job, exo_um)
    samples: dict[str, list[float]] = {}
    for side, argv in sides.items():  # warm all up
        try:
            sample(job, argv)
            samples[side] = []
        except UnavailableError as error:
            print(f"{name}, {side}: {error}", file=sys.stderr)
    order = list(samples)
    for _ in range(rounds or job.rounds):
        for side in order:
            samples[side] += sample(job, sides[side])
        order.reverse()
    figures_of = {side: figures(samples[side]) for side in sides if side in samples}
    base = next(iter(figures_of.values())).median
    return [
        Result(
            name,
            side,
            job.unit,
            one.median,
            one.p99,
            one.median / base,
            *((job.must, job.aim) if side in job.judged else (None, None)),
        )
        for side, one in figures_of.items()
    ]


def verdict(job: Job, result: Result) -> str:
    """Say whether a result is what it must be, or what it aims at."""
    if result.must is None:
        return ""
    value = result.ratio if job.by == "ratio" else result.median
    sign = 1 if job.better == "less" else -1
    if result.aim is not None and sign * value <= sign * result.aim:
        return f"aim {result.aim:g} reached"
    reached = sign * value <= sign * result.must
    return f"must {result.must:g} {'reached' if reached else 'MISSED'}"


def row(job: Job, result: Result) -> str:
    """Return the table row of a result."""
    return (
        f"| {job.title} | {result.contender} | {result.unit} | {result.median:,.4g} "
        f"| {result.p99:,.4g} | {result.ratio:.2f} | {verdict(job, result)} |"
    )


HEADER = """\
| job | contender | unit | median | p99 | by the first | |
| --- | --- | --- | ---: | ---: | ---: | --- |"""


def load() -> dict[str, Job]:
    """Return the jobs of benchmarks/jobs by their file's name."""
    names = sorted(path.stem for path in (HERE / "jobs").glob("[a-z]*.py"))
    return {name: importlib.import_module(f"benchmarks.jobs.{name}").JOB for name in names}


def main() -> int:
    """Run the jobs on the command line, by default all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
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
    parser.add_argument("--exo-um", metavar="PATH", help="the exo-um to measure")
    options = parser.parse_args()
    jobs = load()
    if options.list:
        for name, job in jobs.items():
            print(f"{name:16} {job.title} [{job.unit}, {job.better} is better]")
        return 0
    chosen = [name for name in jobs if not options.jobs or name.startswith(tuple(options.jobs))]
    unknown = [want for want in options.jobs if not any(name.startswith(want) for name in jobs)]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)} (--list shows them)")
    beside = Path(sys.executable).parent / "exo-um"
    exo_um = options.exo_um or (str(beside) if beside.exists() else shutil.which("exo-um"))
    if exo_um is None:
        parser.error("exo-um is not installed (make build)")

    results: list[Result] = []
    failures = 0
    print(HEADER, flush=True)
    for name in chosen:
        try:
            for result in measure(name, jobs[name], exo_um, options.rounds):
                results.append(result)
                print(row(jobs[name], result), flush=True)
        except (UnavailableError, subprocess.SubprocessError, ValueError) as error:
            failures += 1
            print(f"{name}: {error}", file=sys.stderr)
    options.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
