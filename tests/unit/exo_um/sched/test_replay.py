"""Predictions of recorded run times: what is in a trace, and C and numba of one mind about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exo_um.sched import predict_jit
from exo_um.sched.replay import Core, Last, Predictor, replay
from exo_um.sched.scheduler import Scheduler

TRACES = sorted((Path(__file__).parents[4] / "benchmarks" / "traces").glob("*.txt"))
TRACE = """\
1 + 0 sh
1 = gcc
1 100
1 5000
2 + 1 gcc
2 20000
1 5000
"""


def jit_account(sched: Scheduler, index: int, run: int) -> None:
    predict_jit.account(sched.address, index, run)


def test_counts() -> None:
    found = replay(TRACE.splitlines(), Predictor())
    assert found[""].counts == [[1, 0, 0], [2, 0, 0], [1, 0, 0]]
    assert found[""].accuracy == 0.25
    assert found[""].balanced == pytest.approx(1 / 3)
    assert replay(TRACE.splitlines(), Last())[""].counts == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    with pytest.raises(ValueError, match="4096"):
        replay(["5000 + 0 sh"], Predictor())


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_traces(path: Path) -> None:
    lines = path.read_text().splitlines()
    core = replay(lines, Core())
    numba = replay(lines, Core(jit_account))
    assert {name: found.counts for name, found in core.items()} == {
        name: found.counts for name, found in numba.items()
    }
    assert core[""].accuracy > 0.8
    assert core[""].accuracy > replay(lines, Core(by_average=True))[""].accuracy
