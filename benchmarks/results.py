"""What a run of the benchmarks comes to: figures, their verdicts, the table and the JSON list."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.job import Job

HEADER = """\
| job | contender | unit | median | p99 | TSC cycles | ratio | |
| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"""

NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@dataclass(frozen=True)
class Result:
    """One contender's part of a job.

    cycles: the median in TSC cycles, where the unit is a time. ratio: the median by the first
    contender's, or by the best of those that are not judged if the job says so.
    """

    job: str
    contender: str
    unit: str
    median: float
    p99: float
    ratio: float
    must: float | None
    aim: float | None
    cycles: float | None
    title: str
    by: str
    better: str
    judged: bool


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which `share` of the others lie (nearest rank)."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def in_cycles(value: float, unit: str, cycles_per_ns: float) -> float | None:
    """Return a time in TSC cycles; None for what is no time."""
    if unit == "cycles":
        return value
    return value * NS[unit] * cycles_per_ns if unit in NS else None


def sum_up(
    name: str, job: Job, samples: dict[str, list[float]], cycles_per_ns: float
) -> list[Result]:
    """Return the results of all contenders of a job."""
    medians = {side: quantile(of_side, 0.5) for side, of_side in samples.items() if of_side}
    others = [median for side, median in medians.items() if side not in job.judged]
    base = next(iter(medians.values()))
    if job.by == "best" and others:
        base = min(others) if job.better == "less" else max(others)
    return [
        Result(
            job=name,
            contender=side,
            unit=job.unit,
            median=median,
            p99=quantile(samples[side], 0.99 if job.better == "less" else 0.01),
            ratio=1.0 if median == base else median / base if base else float("inf"),
            must=job.must if side in job.judged else None,
            aim=job.aim if side in job.judged else None,
            cycles=in_cycles(median, job.unit, cycles_per_ns),
            title=job.title,
            by=job.by,
            better=job.better,
            judged=side in job.judged,
        )
        for side, median in medians.items()
    ]


def verdict(result: Result) -> str:
    """Say whether a result is what it must be, or what it aims at."""
    if result.must is None:
        return ""
    value = result.median if result.by == "median" else result.ratio
    sign = 1 if result.better == "less" else -1
    if result.aim is not None and sign * value <= sign * result.aim:
        return f"aim {result.aim:.3g} reached"
    reached = sign * value <= sign * result.must
    return f"must {result.must:.3g} {'reached' if reached else 'MISSED'}"


def row(result: Result) -> str:
    """Return the table row of a result."""
    cycles = "" if result.cycles is None else f"{result.cycles:,.4g}"
    return (
        f"| {result.title} | {result.contender} | {result.unit} | {result.median:,.4g} "
        f"| {result.p99:,.4g} | {cycles} | {result.ratio:.3g} | {verdict(result)} |"
    )


def save(results: list[Result], file: Path) -> None:
    """Write the JSON list."""
    file.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
