"""What was counted in a run, with addresses made places: sites, patterns of data, paths."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from exo_um.bindings import lib
from posix_x.profile.files import Paths

if TYPE_CHECKING:
    from posix_x.profile.files import Thing
    from posix_x.profile.spaces import Place


class SiteKey(NamedTuple):
    """Where a call is made, by whom, and who served it: own is the program's place, by libc's."""

    nr: int
    own: Place
    by: Place | None
    host: bool
    legacy: bool


@dataclass
class Site:
    """Calls of one kind from one place; cycles include waiting."""

    calls: int = 0
    errors: int = 0
    cycles: int = 0
    bytes: int = 0
    most: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, other: Site) -> None:
        """Add another's numbers."""
        self.calls += other.calls
        self.errors += other.errors
        self.cycles += other.cycles
        self.bytes += other.bytes
        self.most = max(self.most, other.most)
        self.buckets.update(other.buckets)

    def quantile(self, share: float) -> int:
        """Return the cycles that `share` of the calls do not exceed, to an eighth."""
        rest = share * self.calls
        for bucket in sorted(self.buckets):
            rest -= self.buckets[bucket]
            if rest <= 0:
                low, high = (int(lib.exo_profile_bound(one)) for one in (bucket, bucket + 1))
                return min((low + high) // 2, self.most)
        return self.most


class CopyKey(NamedTuple):
    """Data read at one place and written at another."""

    reads: str
    read: Place
    writes: str
    write: Place


@dataclass
class Copy:
    """What was copied; ways: from what to what, as the first times show."""

    reads: int = 0
    writes: int = 0
    bytes: int = 0
    read_cycles: int = 0
    write_cycles: int = 0
    same: int = 0
    changed: int = 0
    largest: int = 0
    ways: list[tuple[Thing, Thing]] = field(default_factory=list)


class RunKey(NamedTuple):
    """Small writes in a row from one place."""

    name: str
    place: Place


@dataclass
class Run:
    """Of two or more writes below 512 bytes each; asked: for how many the host was called."""

    runs: int = 0
    writes: int = 0
    bytes: int = 0
    cycles: int = 0
    longest: int = 0
    asked: int = 0
    to: list[Thing] = field(default_factory=list)


@dataclass
class Tally:
    """Everything that was counted. Times in TSC cycles."""

    sites: dict[SiteKey, Site] = field(default_factory=dict)
    copies: dict[CopyKey, Copy] = field(default_factory=dict)
    runs: dict[RunKey, Run] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    calls: int = 0
    cycles: int = 0  # from the first call's beginning to the last one's end
    processes: int = 0
    lost: int = 0
    hz: float = 0.0
    host_calls: int = 0
