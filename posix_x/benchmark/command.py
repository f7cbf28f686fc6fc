"""The command line of `posix-x benchmark`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from posix_x.benchmark import measure

EXAMPLES = """\b
Examples:
  posix-x benchmark
  posix-x benchmark getpid pipe
  posix-x benchmark --rounds 15 --json | jq .geometric_mean
"""


@click.command(
    name="benchmark",
    short_help="measure exo-um against Linux, operation by operation",
    epilog=EXAMPLES,
)
@click.argument(
    "cases", nargs=-1, type=click.Choice([case.name for case in measure.CASES]), metavar="[CASE]..."
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=measure.ROUNDS,
    show_default=True,
    help="How often each side of each case is started.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON; times in TSC cycles.")
def command(cases: tuple[str, ...], rounds: int, as_json: bool) -> int:
    """Measure CASE, or all there are, on Linux and on exo-um, alternately in one run.

    The cases: getpid, clock_gettime, open, read, write, pipe, fork, switch, ring, alloc. ring and
    alloc compare what exo-um has of its own with what a program on Linux would use. A result of all
    cases is kept, and `posix-x analyze` estimates by it.
    """
    chosen = [case for case in measure.CASES if not cases or case.name in cases]
    try:
        figures = measure.measure(chosen, rounds, _tell)
    except measure.MeasureError as error:
        raise click.ClickException(str(error)) from error
    finally:
        _tell("")
    result = measure.report(figures, rounds)
    if not cases:
        measure.keep(result)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        _show(result)
    return 0


def _tell(text: str) -> None:
    """Say at a terminal how far it is."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _show(result: dict[str, Any]) -> None:
    from exo_um.cli.rows import show

    columns = ("OPERATION", "LINUX", "P99", "EXO-UM", "P99 ", "RATIO")
    keys = ("linux", "linux_p99", "exo", "exo_p99")
    rows = [
        [figure["title"], *(f"{figure[key]:,.0f}" for key in keys), f"{figure['ratio']:.2f}"]
        for figure in result["figures"]
    ]
    show(columns, rows)
    slower = result["slower"]
    count, mean = len(result["figures"]), result["geometric_mean"]
    print(
        f"\ncycles (medians), {result['rounds']} rounds, {result['machine']['cpu']}, "
        f"{result['machine']['cpus']} CPUs, Linux {result['machine']['kernel']}"
    )
    overall = f"{1 / mean:.1f} times as fast as Linux" if mean < 1 else f"{mean:.1f} times slower"
    print(
        f"overall: {overall} (geometric mean of {count} ratios: {mean:.2f}); "
        + (
            f"slower in {len(slower)} of {count}: {', '.join(slower)}"
            if slower
            else f"slower in none of {count}"
        )
    )
