"""How many bursts are predicted: `python -P benchmarks/accuracy.py [TRACE [PREDICTOR]]`.

Prints percent; without a predictor a table by program of each, and without a trace all traces.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from exo_um.sched.replay import Confusion, Core, Last, Predictor, replay

TRACES = Path(__file__).parent / "traces"
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "exo": Core,
    "average": lambda: Core(by_average=True),
    "last": Last,
    "hot": Predictor,
}


def results(trace: str, predictor: str) -> dict[str, Confusion]:
    """Replay a trace."""
    with (TRACES / f"{trace}.txt").open() as lines:
        return replay(lines, PREDICTORS[predictor]())


def tell(trace: str) -> None:
    """Print a trace's table."""
    for predictor in PREDICTORS:
        whole = results(trace, predictor)[""]
        print(
            f"{trace}, {predictor}: {whole.accuracy:.1%} of {whole.total}, "
            f"balanced {whole.balanced:.1%}, {whole.counts}"
        )
    by_name = results(trace, "exo")
    for name, found in sorted(by_name.items(), key=lambda item: -item[1].total):
        if name:
            print(f"    {name}: {found.accuracy:.1%} of {found.total}, {found.counts}")


def main() -> int:
    """Print what is asked for."""
    if len(sys.argv) > 2:
        print(f"{100 * results(sys.argv[1], sys.argv[2])[''].accuracy:.2f}")
        return 0
    for trace in sys.argv[1:] or sorted(path.stem for path in TRACES.glob("*.txt")):
        tell(trace)
    return 0


if __name__ == "__main__":
    sys.exit(main())
