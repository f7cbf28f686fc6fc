"""Charts of the results, one per suite, as PNG and SVG: a panel per job, a bar per contender.

The bar is the median, the thin line beyond it the 99th percentile; dashed is what must be reached,
dotted the aim. Scales are logarithmic where contenders lie far apart.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Result

FAR_APART = 30
SUITES = {
    "ring": "Fusion rings",
    "alloc": "Allocator",
    "pipe": "Pipes, natively and in exo-um",
    "epoll": "epoll and eventfd, natively and in exo-um",
    "sock": "Sockets, natively and in exo-um",
    "serve": "Servers, natively and in exo-um",
    "calls": "Calls that reach the host",
    "sched": "Scheduler",
    "switch": "Context switch",
    "tasks": "exo tasks",
    "channel": "exo_std channels",
    "placement": "Placement advice",
    "map": "Where copies of code are",
}
OURS, THEIRS = "#2a6fbb", "#b9c0c8"


def suite_of(job: str) -> str:
    """Return the suite that a job belongs to: the beginning of its name, else `programs`."""
    first = job.split("_", maxsplit=1)[0]
    return first if first in SUITES else "programs"


def number(value: float) -> str:
    """Return a figure with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def panel(axes: Axes, results: list[Result]) -> None:
    """Draw one job."""
    results = [*reversed(results)]  # bars are drawn from below
    names = [result.contender for result in results]
    medians = [result.median for result in results]
    colours = [OURS if result.judged else THEIRS for result in results]
    axes.barh(names, medians, color=colours, height=0.7)
    for row, result in enumerate(results):
        axes.plot([result.median, max(result.median, result.p99)], [row, row], "k", linewidth=0.8)
        axes.annotate(
            " " + number(result.median),
            (max(result.median, result.p99), row),
            va="center",
            fontsize=8,
        )
    judged = next((result for result in results if result.judged and result.must is not None), None)
    if judged is not None and judged.by == "median":
        axes.axvline(judged.must or 0, color="k", linestyle="--", linewidth=0.9)
        if judged.aim is not None:
            axes.axvline(judged.aim, color="k", linestyle=":", linewidth=0.9)
    positive = [median for median in medians if median > 0]
    if positive and max(positive) > FAR_APART * min(positive):
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_title(results[0].title, fontsize=10, loc="left")
    axes.set_xlabel(results[0].unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw(results: list[Result], folder: Path) -> list[Path]:
    """Write FOLDER/SUITE.png and .svg for each suite; return the files."""
    import matplotlib as mpl  # slow to import, and only `make bench` has it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # The same figures give the same file.
    mpl.rcParams["svg.hashsalt"] = "exo-um"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for suite, of_suite in groupby(
        sorted(results, key=lambda r: suite_of(r.job)), key=lambda r: suite_of(r.job)
    ):
        jobs = [list(group) for _, group in groupby(of_suite, key=lambda r: r.job)]
        heights = [1.1 + 0.3 * len(job) for job in jobs]
        figure, grid = plt.subplots(
            len(jobs),
            1,
            figsize=(8, sum(heights) + 0.4),
            squeeze=False,
            gridspec_kw={"height_ratios": heights},
            layout="constrained",
        )
        for axes, job in zip(grid[:, 0], jobs, strict=True):
            panel(axes, job)
        figure.suptitle(SUITES.get(suite, "Programs, natively and in exo-um"), fontsize=12)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            files.append(folder / f"{suite}.{kind}")
            figure.savefig(files[-1], dpi=110, metadata=metadata)
        plt.close(figure)
    return files
