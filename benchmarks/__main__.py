"""The benchmark runner: `python -m benchmarks [--list] [JOB...]`, see --help.

Each round starts a job natively and under exo-um, in alternating order, so that both meet the
same weather. The result is a Markdown table; figures are pooled over the rounds.
"""

import argparse
import importlib
import json
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.job import HERE, Job, UnavailableError

TIMEOUT_S = 120


@dataclass(frozen=True)
class Figures:
    """What one side of a job came to, in the job's unit."""

    median: float
    p99: float
    count: int


@dataclass(frozen=True)
class Result:
    """Both sides of a job; ratio is exo-um's median by the native one."""

    job: str
    title: str
    unit: str
    better: str
    native: Figures
    exo_um: Figures
    ratio: float
    command: str


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which `share` of the others lie (nearest rank)."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def sample(job: Job, argv: list[str]) -> list[float]:
    """Start argv once and return what it measured."""
    began = time.perf_counter_ns()
    # Without close_fds, Python starts the process the cheapest way it has.
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if job.source == "output" else subprocess.DEVNULL,
        text=True,
        check=False,
        close_fds=False,
        timeout=TIMEOUT_S,
    )
    wall_ms = (time.perf_counter_ns() - began) / 1e6
    if done.returncode != 0:
        raise UnavailableError(f"{shlex.join(argv)} ended with status {done.returncode}")
    return [wall_ms] if job.source == "wall" else [float(line) for line in done.stdout.split()]


def figures(samples: Sequence[float]) -> Figures:
    """Sum samples up."""
    return Figures(quantile(samples, 0.5), quantile(samples, 0.99), len(samples))


def measure(name: str, job: Job, exo_um: str, rounds: int | None) -> Result:
    """Run one job on both sides."""
    job.setup()
    command = job.command()
    sides: dict[str, list[str]] = {"native": command, "exo-um": [exo_um, "run", *command]}
    samples: dict[str, list[float]] = {side: [] for side in sides}
    order = list(sides)
    for argv in sides.values():  # warm both up
        sample(job, argv)
    for _ in range(rounds or job.rounds):
        for side in order:
            samples[side] += sample(job, sides[side])
        order.reverse()
    native, exo = figures(samples["native"]), figures(samples["exo-um"])
    again = ["python", "-m", "benchmarks", name] + (["--rounds", str(rounds)] if rounds else [])
    ratio = exo.median / native.median
    return Result(name, job.title, job.unit, job.better, native, exo, ratio, shlex.join(again))


def row(result: Result) -> str:
    """Return the table row of a result."""

    def side(one: Figures) -> str:
        return f"{one.median:,.4g} | {one.p99:,.4g}"

    return (
        f"| {result.title} | {result.unit} | {side(result.native)} | {side(result.exo_um)} "
        f"| {result.ratio:.2f} | {result.better} | `{result.command}` |"
    )


HEADER = """\
| job | unit | native median | p99 | exo-um median | p99 | exo-um / native | better | made by |
| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"""


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument("--exo-um", metavar="PATH", help="the exo-um to measure")
    options = parser.parse_args()
    jobs = load()
    if options.list:
        for name, job in jobs.items():
            print(f"{name:16} {job.title} [{job.unit}, {job.better} is better]")
        return 0
    unknown = [name for name in options.jobs if name not in jobs]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)} (--list shows them)")
    beside = Path(sys.executable).parent / "exo-um"
    exo_um = options.exo_um or (str(beside) if beside.exists() else shutil.which("exo-um"))
    if exo_um is None:
        parser.error("exo-um is not installed (make build)")

    results: list[Result] = []
    failures = 0
    print(HEADER, flush=True)
    for name in options.jobs or jobs:
        try:
            results.append(measure(name, jobs[name], exo_um, options.rounds))
            print(row(results[-1]), flush=True)
        except (UnavailableError, subprocess.SubprocessError, ValueError) as error:
            failures += 1
            print(f"{name}: {error}", file=sys.stderr)
    if options.json:
        document = {
            "host": {"kernel": platform.release(), "machine": platform.machine()},
            "results": [asdict(result) for result in results],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
