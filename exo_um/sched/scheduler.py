"""The predictive scheduler as a Python object, served by the C core; nothing here imports numba.

Jitted programs call exo_um.sched.pick_jit and its neighbours with `Scheduler.address` instead.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

NO_CPU: int = lib.EXO_SCHED_NO_CPU
FOREVER = 2**64 - 1
_ENTITY_SIZE = 64


class Class(enum.IntEnum):
    """How long a run is expected to be: below 1 ms, below 10 ms, longer, if nobody sets it."""

    HOT = lib.EXO_SCHED_HOT
    NORMAL = lib.EXO_SCHED_NORMAL
    COLD = lib.EXO_SCHED_COLD


class State(enum.IntEnum):
    """Where an entity is."""

    FREE = lib.EXO_SCHED_FREE
    BLOCKED = lib.EXO_SCHED_BLOCKED
    WAKING = lib.EXO_SCHED_WAKING
    READY = lib.EXO_SCHED_READY
    RUNNING = lib.EXO_SCHED_RUNNING
    LOST = lib.EXO_SCHED_LOST


@dataclass(frozen=True, slots=True)
class Entity:
    """What is known of an entity. average and total: of its run times, in nanoseconds."""

    state: State
    cpu: int
    predicted: Class
    average: int
    total: int
    samples: int


def mask_of(cpus: Iterable[int]) -> int:
    """Return CPUs as an affinity mask."""
    return sum(1 << cpu for cpu in set(cpus))


class Scheduler:
    """A scheduler of its own, or at an offset in shared memory, on a multiple of 64 bytes."""

    __slots__ = ("_sched", "address", "shared")

    def __init__(self, shared: Shared, offset: int = 0) -> None:
        """Errors: ValueError, there is none."""
        self.shared = shared
        self.address = shared.address + offset
        self._sched: Any = shared.pointer("struct exo_sched *", offset)
        if self._sched.magic not in (0, lib.EXO_SCHED_MAGIC):
            raise ValueError(f"no scheduler at {offset}")

    @classmethod
    def create(cls, cpus: int, entities: int, *, by_average: bool = False) -> Scheduler:
        """Make one for so many CPUs, with entities 1 to `entities`, in memory of its own.

        by_average: predict by each entity's moving average alone, for comparison.
        Errors: EINVAL, cpus not in 1 to 64.
        """
        if not 1 <= cpus <= lib.EXO_SCHED_CPUS or entities < 1:
            check(-22)
        at = lib.exo_sched_size(cpus)
        made = cls(Shared.create(at + (entities + 1) * _ENTITY_SIZE))
        check(lib.exo_sched_init(made._sched, cpus))
        first = made.shared.pointer("struct exo_sched_entity *", at)
        check(lib.exo_sched_set_entities(made._sched, first, _ENTITY_SIZE, entities + 1))
        made._sched.flags = lib.EXO_SCHED_BY_AVERAGE if by_average else 0
        return made

    @staticmethod
    def helper() -> int:
        """Return the address of the C function that does for numba what is rare."""
        return int(ffi.cast("uintptr_t", ffi.addressof(lib, "exo_sched_help")))

    def set_thresholds(self, normal_from: int, cold_from: int) -> None:
        """Say which runs are normal and which cold, in the unit of account(). Errors: EINVAL."""
        check(lib.exo_sched_set_thresholds(self._sched, normal_from, cold_from))

    def set_order(self, cpu: int, order: Sequence[int]) -> None:
        """Say where a CPU looks for work: all others, nearest first. Errors: EINVAL."""
        if len(order) + 1 != self._sched.cpu_count:
            check(-22)
        check(lib.exo_sched_set_order(self._sched, cpu, bytes(order)))

    def attach(self, cpu: int, owner: int = 0) -> None:
        """Own a CPU. Errors: EBUSY, it has a living owner; EINVAL."""
        check(lib.exo_sched_attach(self._sched, cpu, owner))

    def detach(self, cpu: int) -> None:
        """Give a CPU up; its entities go to others, where there are any."""
        lib.exo_sched_detach(self._sched, cpu)

    def repair(self, owner: int = 0) -> int:
        """Make good what the dead have left; return how many CPUs they owned."""
        return int(lib.exo_sched_repair(self._sched, owner))

    def add(self, index: int, kind: int = 0, affinity: int = 0) -> None:
        """Make an entity, blocked. affinity: a mask, 0 for any CPU. Errors: EBUSY, EINVAL."""
        check(lib.exo_sched_create(self._sched, index, kind, affinity))

    def remove(self, index: int, cpu: int = NO_CPU) -> None:
        """End an entity that runs on a CPU, or is blocked. Errors: EINVAL, there is none."""
        self.entity(index)
        lib.exo_sched_destroy(self._sched, cpu, index)

    def set_affinity(self, index: int, affinity: int) -> None:
        """Say where an entity may run, from when it is enqueued next on. Errors: EINVAL."""
        check(lib.exo_sched_set_affinity(self._sched, index, affinity))

    def become(self, index: int, kind: int) -> None:
        """Note that an entity is something else from now on, as after an exec."""
        lib.exo_sched_become(self._sched, index, kind)

    def wake(self, index: int, cpu: int = NO_CPU, owner: int = 0) -> bool:
        """Wake an entity; False if it was not blocked: its next block returns at once.

        cpu, owner: the caller's. Errors: EINVAL, no such entity.
        """
        return bool(check(lib.exo_sched_wake(self._sched, cpu, owner, index)))

    def pick(self, cpu: int) -> int:
        """Return the entity that is to run on one's CPU now, 0 if nobody is."""
        return int(lib.exo_sched_pick(self._sched, cpu))

    def account(self, index: int, run: int) -> None:
        """Note how long a running entity has run: nanoseconds, if no other unit was set."""
        lib.exo_sched_account(self._sched, index, run)

    def requeue(self, index: int, cpu: int) -> None:
        """Let the running entity go on later."""
        lib.exo_sched_requeue(self._sched, cpu, index)

    def block(self, index: int, cpu: int) -> None:
        """Block the running entity until it is woken, unless it has been."""
        lib.exo_sched_block(self._sched, cpu, index)

    def is_ready(self, cpu: int) -> bool:
        """Whether a pick is worth a try."""
        return bool(lib.exo_sched_is_ready(self._sched, cpu))

    def wait(self, cpu: int, timeout: float | None = None) -> None:
        """Sleep until it is; timeout in seconds. Errors: ETIMEDOUT, EINTR."""
        timeout_ns = FOREVER if timeout is None else round(timeout * 1e9)
        check(lib.exo_sched_wait(self._sched, cpu, timeout_ns))

    def entity(self, index: int) -> Entity:
        """Return what is known of an entity. Errors: EINVAL, no such one."""
        at = lib.exo_sched_at(self._sched, index)
        if at == ffi.NULL:
            check(-22)
        word = at.word
        return Entity(
            State(word >> lib.EXO_SCHED_STATE_SHIFT & 0xFF),
            word & 0xFFFF,
            Class(min(at.predicted, Class.COLD)),
            at.average,
            at.total,
            at.samples,
        )
