"""Where guests had better run: threads that keep waking each other go to one CPU, if that helps.

A wake-up of a thread on another CPU that sleeps costs tens of microseconds, one on the same CPU
about two. So two threads that run for less than that between their sleeps, and sleep equally often,
are tried on one CPU, and left there if they get on faster. It knows nothing of what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CHATTY_BURST_NS = 50_000  # a run of more than this pays for a wake-up on another CPU
CHATTY_RATE = 1000  # runs per second, below which there is little to be gained
SAME_RATE = 1.25  # pairs are looked for among threads whose rates differ by less
GAIN = 1.2  # what a pair must win by being together
BAN_LOOKS = 50  # before a pair that has not is tried again


@dataclass(frozen=True, slots=True)
class Sample:
    """What a thread has done since its birth. run_ns: on a CPU; runs: how often it got one."""

    tid: int
    run_ns: int
    runs: int


@dataclass(slots=True)
class Pair:
    """Two threads on one CPU; rate is that of before."""

    cpu: int
    rate: float
    on_trial: bool = True


@dataclass(frozen=True, slots=True)
class Pace:
    """What a thread has done of late: runs per second, and nanoseconds of each."""

    rate: float
    burst_ns: float

    @property
    def is_chatty(self) -> bool:
        """Whether it is worth looking at."""
        return self.rate >= CHATTY_RATE and self.burst_ns <= CHATTY_BURST_NS


class Advisor:
    """Advises where threads should run, from what they have done between two looks at them."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._cpus = list(cpus)
        self._before: dict[int, Sample] = {}
        self._seen_ns = 0
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._banned: dict[tuple[int, int], int] = {}
        self._looks = 0

    def look(self, now_ns: int, samples: Iterable[Sample]) -> list[tuple[int, int | None]]:
        """Return threads with the CPU that they should have, None: any; only what changes."""
        paces = self._paces(now_ns, samples)
        self._looks += 1
        advice: list[tuple[int, int | None]] = []
        for tids in list(self._pairs):
            if not self._stays(tids, paces):
                del self._pairs[tids]
                advice += [(tid, None) for tid in tids if tid in paces]
        for tids, rate in self._candidates(paces, {tid for tid, _ in advice}):
            cpu = self._emptiest()
            self._pairs[tids] = Pair(cpu, rate)
            advice += [(tid, cpu) for tid in tids]
        return advice

    def _paces(self, now_ns: int, samples: Iterable[Sample]) -> dict[int, Pace]:
        elapsed_s = (now_ns - self._seen_ns) / 1e9
        before, self._before = self._before, {sample.tid: sample for sample in samples}
        self._seen_ns = now_ns
        paces = {}
        for tid, sample in self._before.items():
            old = before.get(tid)
            if old is not None and elapsed_s > 0:
                runs, run_ns = sample.runs - old.runs, sample.run_ns - old.run_ns
                paces[tid] = Pace(runs / elapsed_s, run_ns / max(runs, 1))
        return paces

    def _stays(self, tids: tuple[int, int], paces: dict[int, Pace]) -> bool:
        pair = self._pairs[tids]
        if not all(tid in paces and paces[tid].is_chatty for tid in tids):
            return False
        if pair.on_trial and min(paces[tid].rate for tid in tids) < GAIN * pair.rate:
            self._banned[tids] = self._looks + BAN_LOOKS
            return False
        pair.on_trial = False
        return True

    def _candidates(
        self, paces: dict[int, Pace], just_freed: set[int]
    ) -> list[tuple[tuple[int, int], float]]:
        taken = {tid for tids in self._pairs for tid in tids} | just_freed
        free = [tid for tid, pace in paces.items() if pace.is_chatty and tid not in taken]
        found = []
        free.sort(key=lambda tid: paces[tid].rate)
        while len(free) > 1:
            first = free.pop()
            for other in reversed(free):
                rate = paces[other].rate
                if rate * SAME_RATE < paces[first].rate:
                    break
                tids = (min(first, other), max(first, other))
                if self._banned.get(tids, 0) <= self._looks:
                    found.append((tids, rate))
                    free.remove(other)
                    break
        return found

    def _emptiest(self) -> int:
        used = [pair.cpu for pair in self._pairs.values()]
        return min(self._cpus, key=used.count)
