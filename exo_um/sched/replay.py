"""What the scheduler would have predicted of recorded run times: benchmarks/traces/README.md.

A burst's class is asked for before the burst is told, in the order in which bursts ended.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from exo_um.sched.scheduler import Class, Scheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Account = Callable[[Scheduler, int, int], None]

THREADS = 4096
NORMAL_FROM_US, COLD_FROM_US = 1000, 10000


@dataclass(slots=True)
class Confusion:
    """How many bursts of each class (the first index) were predicted to be of which."""

    counts: list[list[int]] = field(default_factory=lambda: [[0] * len(Class) for _ in Class])

    def add(self, actual: int, predicted: int) -> None:
        """Count a burst."""
        self.counts[actual][predicted] += 1

    @property
    def total(self) -> int:
        """All bursts."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """Share of bursts whose class was predicted."""
        return sum(self.counts[kind][kind] for kind in Class) / max(self.total, 1)

    @property
    def balanced(self) -> float:
        """Mean of the classes' shares, so that a rare class weighs as much as a frequent one."""
        shares = [row[kind] / sum(row) for kind, row in enumerate(self.counts) if sum(row)]
        return sum(shares) / max(len(shares), 1)


class Predictor:
    """Predicts each thread's next burst: here always that it is hot. Threads have numbers."""

    def begin(self, thread: int, name: str) -> None:
        """Take a new thread; its name is that of the one that made it."""

    def become(self, thread: int, name: str) -> None:
        """Note that a thread has another name: it has exec'd, or given itself one."""

    def predict(self, thread: int) -> int:  # noqa: ARG002 - others need it
        """Return a class."""
        return Class.HOT

    def learn(self, thread: int, run_us: int) -> None:
        """Take a burst."""


class Last(Predictor):
    """Predicts what was last."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def predict(self, thread: int) -> int:
        """Return the class of the last burst."""
        return self._last.get(thread, Class.HOT)

    def learn(self, thread: int, run_us: int) -> None:
        """Take a burst."""
        self._last[thread] = class_of(run_us)


class Core(Predictor):
    """The scheduler's own prediction; account: the C core's, or numba's."""

    def __init__(self, account: Account = Scheduler.account, *, by_average: bool = False) -> None:
        self._sched = Scheduler.create(1, THREADS, by_average=by_average)
        self._account = account

    def begin(self, thread: int, name: str) -> None:
        """Take a new thread: a copy of another, but not at the place where that one was."""
        self._sched.add(thread, zlib.crc32(f"{name}, forked".encode()))

    def become(self, thread: int, name: str) -> None:
        """Note a program."""
        self._sched.become(thread, zlib.crc32(name.encode()))

    def predict(self, thread: int) -> int:
        """Return what is predicted."""
        return self._sched.entity(thread).predicted

    def learn(self, thread: int, run_us: int) -> None:
        """Take a burst."""
        self._account(self._sched, thread, run_us * 1000)


def class_of(run_us: int) -> Class:
    """Return a burst's class."""
    return Class((run_us >= NORMAL_FROM_US) + (run_us >= COLD_FROM_US))


def replay(lines: Iterable[str], predictor: Predictor) -> dict[str, Confusion]:
    """Return how well the bursts of a trace are predicted, by the threads' names, and all at "".

    Errors: ValueError, not a trace, or one of more than 4096 threads.
    """
    names: dict[int, str] = {}
    found = {"": Confusion()}
    for line in lines:
        thread_text, *rest = line.split()
        thread = int(thread_text)
        if thread > THREADS:
            raise ValueError(f"more than {THREADS} threads")
        if rest[0] == "+":
            names[thread] = rest[2]
            predictor.begin(thread, rest[2])
        elif rest[0] == "=":
            names[thread] = rest[1]
            predictor.become(thread, rest[1])
        else:
            run_us = int(rest[0])
            actual, predicted = class_of(run_us), predictor.predict(thread)
            found[""].add(actual, predicted)
            found.setdefault(names[thread], Confusion()).add(actual, predicted)
            predictor.learn(thread, run_us)
    return found
