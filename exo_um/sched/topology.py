"""Which CPUs are near which: read from sysfs, so that work is stolen, and placed, nearby first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SYSFS = Path("/sys/devices/system")


@dataclass(frozen=True, slots=True)
class Cpu:
    """A CPU of the host's and those it shares something with, itself among them.

    siblings: threads of its core; cache: its last-level cache; node: its NUMA node's number.
    """

    number: int
    siblings: frozenset[int]
    cache: frozenset[int]
    node: int

    def distance(self, other: Cpu) -> int:
        """Return 0 for a sibling, 1 for a shared cache, 2 for the same node, 3 for another."""
        if other.number in self.siblings:
            return 0
        if other.number in self.cache:
            return 1
        return 2 if other.node == self.node else 3


def parse_list(text: str) -> frozenset[int]:
    """Parse a CPU list as sysfs writes it: "0-3,8". Source: cpuset(7), "List format"."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def _read(path: Path, number: int) -> frozenset[int]:
    """Read a CPU list; where the host does not tell, a CPU is alone."""
    try:
        return parse_list(path.read_text()) or frozenset((number,))
    except OSError:
        return frozenset((number,))


def _last_level_cache(folder: Path, number: int) -> frozenset[int]:
    levels: list[tuple[int, frozenset[int]]] = []
    for index in sorted(folder.glob("cache/index*")):
        try:
            level = int((index / "level").read_text())
        except (OSError, ValueError):
            continue
        levels.append((level, _read(index / "shared_cpu_list", number)))
    return max(levels, key=lambda entry: entry[0], default=(0, frozenset((number,))))[1]


def read(sysfs: Path = SYSFS) -> dict[int, Cpu]:
    """Return the CPUs that this process may use, by number."""
    nodes = {
        cpu: int(folder.name.removeprefix("node"))
        for folder in sysfs.glob("node/node[0-9]*")
        for cpu in _read(folder / "cpulist", -1)
    }
    cpus = {}
    for number in sorted(os.sched_getaffinity(0)):
        folder = sysfs / "cpu" / f"cpu{number}"
        siblings = _read(folder / "topology" / "thread_siblings_list", number)
        cache = _last_level_cache(folder, number)
        cpus[number] = Cpu(number, siblings, cache, nodes.get(number, 0))
    return cpus


def steal_order(cpus: Sequence[Cpu], index: int) -> list[int]:
    """Return the positions of the others in cpus as seen by the one at index, nearest first.

    Equally near ones come in the order after it, so that not all thieves begin with the same.
    """
    count, own = len(cpus), cpus[index]
    others = [(index + i) % count for i in range(1, count)]
    return sorted(others, key=lambda other: own.distance(cpus[other]))
