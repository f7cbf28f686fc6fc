"""getrlimit(2), setrlimit(2), prlimit(2), getrusage(2), times(2): limits and what was used.

RLIMIT_NOFILE bounds exo's own fd numbers and lives in the kernel region; host tasks have theirs
raised to the hard limit. The other limits and all usage are the host's, asked for by the guest;
RLIMIT_AS is the host's less the runtime's window, which counts as address space there.
"""

from __future__ import annotations

import errno
import struct

from exo_um.bindings import lib
from exo_um.bindings.process import nofile_limits
from exo_um.kernel.call import HostCall
from exo_um.kernel.credentials import CAP_SYS_RESOURCE, require
from posix_x.table.rows import SIZES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.kernel.call import Call, IntSteps

RLIMIT = struct.Struct("QQ")
RLIMIT_NOFILE, RLIMIT_AS = 7, 9
RLIM_INFINITY = (1 << 64) - 1
WINDOW_SIZE = int(lib.EXO_WINDOW_END - lib.EXO_WINDOW_BASE)
GETRUSAGE_NR = 98
TIMES_NR = 100
PRLIMIT64_NR = 302


def sys_getrlimit(call: Call) -> IntSteps:
    """Answer with a limit of the caller. Source: getrlimit(2). Errors: EFAULT, null pointer."""
    _require_pointer(call, 1)
    return _limit(call, call.leader, resource=call.args[0], old=1)


def sys_setrlimit(call: Call) -> IntSteps:
    """Change a limit of the caller. Source: setrlimit(2). Errors: EFAULT, null pointer."""
    _require_pointer(call, 1)
    return _limit(call, call.leader, resource=call.args[0], new=1)


def sys_prlimit64(call: Call) -> IntSteps:
    """Change or answer with a limit of any process. Source: prlimit(2).

    Errors: ESRCH, no such process in the instance.
    """
    slot: int | None = call.slot
    pid = _signed(call.args[0])
    if pid != 0:
        slot = call.instance.tasks.find(pid)
    if slot is None:
        raise OSError(errno.ESRCH, f"pid {pid}")
    leader: int = call.instance.tasks[slot].leader_slot
    return _limit(call, leader, resource=call.args[1], new=2, old=3)


def sys_getrusage(call: Call) -> IntSteps:
    """Answer with the host's account of the caller. Source: getrusage(2)."""
    result = yield HostCall(GETRUSAGE_NR, call.args[0], call.data(1))
    if result >= 0:
        call.wrote(1, SIZES["rusage"])
    return result


def sys_times(call: Call) -> IntSteps:
    """Answer with the host's account of the caller, in clock ticks. Source: times(2)."""
    wanted = call.args[0] != 0
    result = yield HostCall(TIMES_NR, call.data(0) if wanted else 0)
    if wanted and result >= 0:
        call.wrote(0, SIZES["tms"])
    return result


def _limit(
    call: Call, leader: int, *, resource: int, new: int | None = None, old: int | None = None
) -> IntSteps:
    """Serve all three calls; new and old number their arguments. Null ones are not asked for."""
    resource = _signed(resource)
    new = new if new is not None and call.args[new] else None
    old = old if old is not None and call.args[old] else None
    if resource == RLIMIT_NOFILE:
        return (yield from _nofile(call, leader, new, old))
    own = leader == call.leader
    if resource == RLIMIT_AS and new is not None:
        _change(call, new, _with_window)
    result = yield HostCall(
        PRLIMIT64_NR,
        0 if own else call.instance.tasks.host_pid(leader),
        resource,
        0 if new is None else call.data(new),
        0 if old is None else call.data(old),
    )
    if old is not None and result >= 0:
        call.wrote(old, RLIMIT.size)
        if resource == RLIMIT_AS:
            _change(call, old, _without_window)
    return result


def _change(call: Call, i: int, change: Callable[[int], int]) -> None:
    """Pass both values of the staged rlimit in argument i through change."""
    data = call.instance.region.frame_data(call.slot, call.data(i).offset, RLIMIT.size)
    data[:] = RLIMIT.pack(*(change(value) for value in RLIMIT.unpack(bytes(data))))


def _with_window(size: int) -> int:
    return min(size + WINDOW_SIZE, RLIM_INFINITY)


def _without_window(size: int) -> int:
    return size if size == RLIM_INFINITY or size < WINDOW_SIZE else size - WINDOW_SIZE


def _nofile(call: Call, leader: int, new: int | None, old: int | None) -> IntSteps:
    """Serve RLIMIT_NOFILE of a process. Errors: EINVAL, soft above hard; EPERM, as in Linux."""
    proc = call.instance.region.kr.procs[leader]
    before = RLIMIT.pack(proc.nofile_soft, proc.nofile_hard)
    if new is not None:
        soft, hard = RLIMIT.unpack(call.read(new)[: RLIMIT.size])
        if soft > hard:
            raise OSError(errno.EINVAL, "soft limit above the hard one")
        if hard > lib.EXO_FD_MAX_COUNT:
            raise OSError(errno.EPERM, "above fs.nr_open")
        if hard > proc.nofile_hard:
            require(call, CAP_SYS_RESOURCE)
            result = yield from _raise_host_nofile(call, leader, new, hard)
            if result < 0:
                return result
        proc.nofile_soft, proc.nofile_hard = soft, hard
    if old is not None:
        call.write(old, before)
    return 0


def _raise_host_nofile(call: Call, leader: int, new: int, hard: int) -> IntSteps:
    """Have the host allow as many fds as the guest may use now, and never fewer than at first."""
    staged = call.data(new)
    enough = max(hard, nofile_limits()[1])
    data = call.instance.region.frame_data(call.slot, staged.offset, RLIMIT.size)
    data[:] = RLIMIT.pack(enough, enough)
    host_pid = 0 if leader == call.leader else call.instance.tasks.host_pid(leader)
    return (yield HostCall(PRLIMIT64_NR, host_pid, RLIMIT_NOFILE, staged, 0))


def _require_pointer(call: Call, i: int) -> None:
    if not call.args[i]:
        raise OSError(errno.EFAULT, f"argument {i} of call {call.nr}")


def _signed(value: int) -> int:
    """Return the C int in a register."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
