"""Advice where threads should run: pairs are found, tried, kept or given up."""

from __future__ import annotations

from exo_um.sched.advice import BAN_LOOKS, Advisor, Sample

LOOK_NS = 100_000_000


class World:
    """Threads that run so often per look, for so long each."""

    def __init__(self, cpus: int = 2) -> None:
        self.advisor = Advisor(range(cpus))
        self.now_ns = 0
        self.done: dict[int, tuple[int, int]] = {}

    def look(self, **threads: tuple[int, int]) -> dict[int, int | None]:
        """threads: t1=(runs, ns of each), ..."""
        self.now_ns += LOOK_NS
        for name, (runs, burst_ns) in threads.items():
            tid = int(name[1:])
            run_ns, count = self.done.get(tid, (0, 0))
            self.done[tid] = run_ns + runs * burst_ns, count + runs
        alive = [int(name[1:]) for name in threads]
        samples = [Sample(tid, *self.done[tid]) for tid in alive]
        return dict(self.advisor.look(self.now_ns, samples))


def test_pair_that_gains() -> None:
    world = World()
    slow, fast = (2000, 3000), (9000, 3000)
    assert world.look(t1=slow, t2=slow, t3=(5, 20_000_000)) == {}
    advice = world.look(t1=slow, t2=slow, t3=(5, 20_000_000))
    assert advice == {1: 0, 2: 0}
    assert world.look(t1=fast, t2=fast, t3=(5, 20_000_000)) == {}
    assert world.look(t1=fast, t2=fast, t3=(5, 20_000_000)) == {}
    assert world.look(t1=(50, 3000), t2=(50, 3000)) == {1: None, 2: None}
    assert world.look(t1=fast) == {}


def test_pair_that_does_not() -> None:
    world = World()
    pace = (2000, 3000)
    world.look(t1=pace, t2=pace)
    assert world.look(t1=pace, t2=pace) == {1: 0, 2: 0}
    assert world.look(t1=pace, t2=pace) == {1: None, 2: None}
    looks = [world.look(t1=pace, t2=pace) for _ in range(BAN_LOOKS - 1)]
    assert not any(looks)
    assert world.look(t1=pace, t2=pace) == {1: 0, 2: 0}
    assert world.look(t1=pace) == {1: None}


def test_several_pairs() -> None:
    world = World()
    threads = {"t1": (2000, 3000), "t2": (4000, 3000), "t3": (2100, 3000), "t4": (3900, 3000)}
    world.look(**threads)
    advice = world.look(**threads)
    assert advice[1] == advice[3]
    assert advice[2] == advice[4]
    assert advice[1] != advice[2]


def test_long_runs_stay_apart() -> None:
    world = World()
    for _ in range(3):
        assert world.look(t1=(400, 200_000), t2=(400, 200_000)) == {}
