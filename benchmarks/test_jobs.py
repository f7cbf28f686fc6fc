"""Each job whose unit is a time, one test per contender, in pytest-benchmark's tables and files.

    pytest benchmarks -k ring --benchmark-group-by=group --benchmark-columns=median,min,max
    pytest benchmarks -k alloc --benchmark-autosave       then --benchmark-compare

All contenders of a job run interleaved, as the runner does it, when its first test is met; the
tests then replay what was measured, by a clock that stands still but for the samples.
"""

import functools
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.__main__ import cycles_per_ns, find_exo_um, load, run_all, sides_of
from benchmarks.job import UnavailableError
from benchmarks.results import NS

JOBS = {name: job for name, job in load().items() if job.unit in (*NS, "cycles")}
SAMPLES = 1000
clock = [0.0]


def cases() -> list[Any]:
    """Return each job's contenders."""
    found = []
    for name, job in JOBS.items():
        try:
            sides = sides_of(job, find_exo_um())
        except UnavailableError:
            sides = {"any": []}
        found += [pytest.param(name, side, id=f"{name}-{side}") for side in sides]
    return found


@functools.cache
def samples_of(name: str) -> dict[str, list[float]]:
    """Run a job once; return what each contender measured, in seconds."""
    job = JOBS[name]
    scale = 1 / cycles_per_ns() if job.unit == "cycles" else NS[job.unit]
    measured = run_all(name, job, find_exo_um(), None)
    return {side: [one * scale / 1e9 for one in samples] for side, samples in measured.items()}


@pytest.mark.benchmark(timer=lambda: clock[0], disable_gc=False)
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "side"), cases())
def test_job(benchmark: BenchmarkFixture, name: str, side: str) -> None:
    """Show one contender's samples."""
    benchmark.group = JOBS[name].title
    try:
        samples = samples_of(name).get(side)
    except UnavailableError as error:
        pytest.skip(str(error))
    if samples is None:
        pytest.skip(f"{side} cannot run here")
    chosen = samples[:: len(samples) // SAMPLES + 1]
    following = iter(chosen * 2)

    def replay() -> None:
        clock[0] += next(following)

    benchmark.pedantic(replay, rounds=len(chosen))  # type: ignore[no-untyped-call]
