"""The scheduler from Python: the C core and numba on the same memory, with and without compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plainpython import IS_PLAIN, run_plain

from exo_um.bindings import lib
from exo_um.sched import pick_jit, predict_jit, wake_jit
from exo_um.sched.scheduler import NO_CPU, Class, Scheduler, State, mask_of

CPUS, ENTITIES = 3, 12
RUNS = {Class.HOT: 100_000, Class.NORMAL: 3_000_000, Class.COLD: 40_000_000}
HELPER = Scheduler.helper()
GAPS = {
    Class.HOT: 3,
    Class.NORMAL: lib.EXO_SCHED_AGE_NORMAL + 1,
    Class.COLD: lib.EXO_SCHED_AGE_COLD,
}


@dataclass
class Side:
    """What works for a CPU: the C core, or numba."""

    pick: Callable[[Scheduler, int], int]
    account: Callable[[Scheduler, int, int], Any]
    requeue: Callable[[Scheduler, int, int], Any]
    block: Callable[[Scheduler, int, int], Any]
    wake: Callable[[Scheduler, int, int], int]


SIDES = {
    "c": Side(
        lambda s, cpu: s.pick(cpu),
        lambda s, index, run: s.account(index, run),
        lambda s, cpu, index: s.requeue(index, cpu),
        lambda s, cpu, index: s.block(index, cpu),
        lambda s, cpu, index: int(s.wake(index, cpu)),
    ),
    "numba": Side(
        lambda s, cpu: int(pick_jit.pick(s.address, cpu, HELPER)),
        lambda s, index, run: predict_jit.account(s.address, index, run),
        lambda s, cpu, index: pick_jit.requeue(s.address, cpu, index, HELPER),
        lambda s, cpu, index: pick_jit.block(s.address, cpu, index, HELPER),
        lambda s, cpu, index: int(wake_jit.wake(s.address, cpu, 0, index, HELPER)),
    ),
}
both = pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)


def attached(cpus: int = CPUS, entities: int = ENTITIES) -> Scheduler:
    sched = Scheduler.create(CPUS, entities)
    for cpu in range(cpus):
        sched.attach(cpu)
    return sched


def add(side: Side, sched: Scheduler, cpu: int, index: int, kind: Class) -> None:
    """Make a ready entity of a class, on a CPU."""
    sched.add(index, index, mask_of([cpu]))
    for _ in range(8):
        side.account(sched, index, RUNS[kind])
    assert sched.entity(index).predicted == kind
    assert side.wake(sched, cpu, index) == 1
    sched.set_affinity(index, mask_of(range(CPUS)))


def test_logarithms() -> None:
    run = 0
    while run < 2**40:
        assert predict_jit.log_of(run) == lib.exo_sched_log(run)
        run += 1 + run // 3


@both
def test_order_and_stealing(side: Side) -> None:
    sched = attached()
    for index, kind in enumerate((Class.COLD, Class.NORMAL, Class.HOT, Class.COLD), 1):
        add(side, sched, 0, index, kind)
    assert side.pick(sched, 1) == 1  # the oldest of the cold ones only
    assert sched.entity(1).state == State.RUNNING
    assert [side.pick(sched, 0) for _ in range(4)] == [3, 2, 4, 0]
    assert side.pick(sched, 1) == 0


@both
def test_ageing(side: Side) -> None:
    sched = attached(1, 30)
    since, ahead, classes = {}, {}, {}
    counts = dict.fromkeys(Class, 0)
    for index in range(1, 31):
        kind = classes[index] = Class(index % 3)
        add(side, sched, 0, index, kind)
        since[index], ahead[index] = 0, counts[kind]
        counts[kind] += 1
    for number in range(1, 600):
        index = side.pick(sched, 0)
        kind = classes[index]
        assert number - since[index] <= (ahead[index] + 1) * GAPS[kind]
        counts[kind] -= 1
        since[index], ahead[index] = number, counts[kind]
        counts[kind] += 1
        side.requeue(sched, 0, index)


@both
def test_wakes(side: Side) -> None:
    sched = attached()
    sched.add(1, 0, mask_of([2]))
    assert side.wake(sched, 0, 1) == 1
    assert side.wake(sched, 0, 1) == 0
    assert side.pick(sched, 2) == 1
    side.block(sched, 2, 1)
    assert side.pick(sched, 2) == 1  # it was woken while it was not blocked
    side.block(sched, 2, 1)
    assert side.pick(sched, 2) == 0
    assert wake_jit.wake(sched.address, 0, 0, 99, HELPER) == -22
    assert side.wake(sched, NO_CPU, 1) == 1
    assert side.pick(sched, 2) == 1
    sched.set_affinity(1, mask_of([1]))
    side.requeue(sched, 2, 1)
    assert side.pick(sched, 2) == 0
    assert side.pick(sched, 1) == 1
    sched.remove(1, 1)
    assert sched.entity(1).state == State.FREE


@both
def test_nobody_there(side: Side) -> None:
    """What was sent to a CPU without an owner runs once one comes, or where there is one."""
    sched = Scheduler.create(CPUS, ENTITIES)
    for index in (1, 2, 3):
        sched.add(index)
        assert side.wake(sched, NO_CPU, index) == 1
    for cpu in range(CPUS):
        sched.attach(cpu)
    picked = {cpu: side.pick(sched, cpu) for cpu in range(CPUS)}
    assert sorted(picked.values()) == [1, 2, 3]
    for cpu, index in picked.items():
        side.block(sched, cpu, index)
    sched.detach(2)
    assert side.wake(sched, NO_CPU, picked[2]) == 1
    assert picked[2] in (side.pick(sched, 0), side.pick(sched, 1))
    sched.attach(2)
    for cpu in range(CPUS):
        sched.detach(cpu)


@both
def test_repair_is_asked_for(side: Side) -> None:
    sched = attached()
    add(side, sched, 0, 1, Class.HOT)
    assert sched.repair() == 0
    assert side.pick(sched, 0) == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pick", "wake", "requeue", "block", "affinity", "become"]),
        st.integers(0, CPUS - 1),
        st.integers(1, ENTITIES),
        st.sampled_from([0, 500_000, 2_000_000, 80_000_000]),
    ),
    max_size=120,
)


class Model:
    """One scheduler, driven by a side, and what must hold of it."""

    def __init__(self, side: Side) -> None:
        self.side, self.sched = side, attached()
        self.running: dict[int, int] = {}
        self.affinity: dict[int, int] = {}
        self.ready: set[int] = set()
        self.woken: set[int] = set()
        for index in range(1, ENTITIES + 1):
            self.sched.add(index, index % 3)
            self.affinity[index] = mask_of(range(CPUS))

    def step(self, what: str, cpu: int, index: int, run: int) -> int:
        """Do it; the result."""
        if what == "pick" and cpu not in self.running:
            return self.pick(cpu)
        if what == "wake":
            return self.wake(cpu, index)
        if what == "affinity":
            self.affinity[index] = mask_of([cpu, index % CPUS])
            self.sched.set_affinity(index, self.affinity[index])
        if what == "become" and index in self.running.values():
            self.sched.become(index, run % 7)
        if what in ("requeue", "block") and cpu in self.running:
            self.give_up(what, cpu, run)
        return 0

    def pick(self, cpu: int) -> int:
        index = self.side.pick(self.sched, cpu)
        if index:
            self.ready.remove(index)
            self.running[cpu] = index
            assert self.sched.entity(index).state == State.RUNNING
            assert self.sched.entity(index).cpu == cpu
        return index

    def wake(self, cpu: int, index: int) -> int:
        result = self.side.wake(self.sched, cpu, index)
        blocked = index not in self.ready and index not in self.running.values()
        assert result == blocked
        (self.ready if blocked else self.woken).add(index)
        return result

    def give_up(self, what: str, cpu: int, run: int) -> None:
        index = self.running.pop(cpu)
        self.side.account(self.sched, index, run)
        if what == "requeue":
            self.side.requeue(self.sched, cpu, index)
            self.ready.add(index)
        else:
            self.side.block(self.sched, cpu, index)
            if index in self.woken:
                self.ready.add(index)
            self.woken.discard(index)

    def drain(self) -> list[int]:
        """Nobody who is ready is forgotten, and nobody comes twice."""
        order = []
        while any(self.pick(cpu) for cpu in range(CPUS)):
            order += self.running.values()
            self.running.clear()
        assert not self.ready
        return order


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_model(steps: list[tuple[str, int, int, int]]) -> None:
    """Both sides do the same, step by step, and leave the same bytes."""
    models = [Model(side) for side in SIDES.values()]
    for step in steps:
        results = [model.step(*step) for model in models]
        assert results[0] == results[1]
    orders = [model.drain() for model in models]
    assert orders[0] == orders[1]
    size = models[0].sched.shared.size
    skip = 512  # addresses of this process in the header
    memory = [bytes(model.sched.shared.buffer(skip, size - skip)) for model in models]
    assert memory[0] == memory[1]
    for model in models:
        model.sched.shared.close()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_mixed(steps: list[tuple[str, int, int, int]]) -> None:
    """C and numba take turns on the same memory."""
    model = Model(SIDES["c"])
    for number, step in enumerate(steps):
        model.side = list(SIDES.values())[number % 2]
        model.step(*step)
    model.drain()
    model.sched.shared.close()


def test_errors() -> None:
    for cpus in (0, 65):
        with pytest.raises(OSError, match="Invalid"):
            Scheduler.create(cpus, 1)
    sched = attached()
    with pytest.raises(OSError, match="busy"):
        sched.attach(0)
    with pytest.raises(OSError, match="Invalid"):
        sched.add(ENTITIES + 1)
    with pytest.raises(OSError, match="Invalid"):
        sched.set_order(0, [1])
    sched.set_order(0, [2, 1])
    with pytest.raises(TimeoutError):
        sched.wait(0, 0.01)
    sched.add(1)
    with pytest.raises(OSError, match="busy"):
        sched.add(1)


@pytest.mark.skipif(IS_PLAIN, reason="this is that run")
def test_plain_python() -> None:
    run_plain(__file__)
