"""uname(2), sysinfo(2), sethostname(2), setdomainname(2): what a system says about itself."""

from __future__ import annotations

import errno

from exo_um.kernel.call import HostCall
from exo_um.kernel.credentials import CAP_SYS_ADMIN, require
from exo_um.kernel.instance import numeric_release
from posix_x.table.rows import SIZES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Call, IntSteps

UTS_FIELD_SIZE = 65
UTS_NAME_MAX = 64
SYSINFO_NR = 99
SYSINFO_PROCS_OFFSET = 80
MACHINE, MACHINE_32 = b"x86_64", b"i686"
PERSONALITY_NR = 135
ASK = 0xFFFFFFFF
UNAME26 = 0x0020000
PER_MASK, PER_LINUX32 = 0xFF, 8


def sys_uname(call: Call) -> IntSteps:
    """Answer with the instance's own names. Source: uname(2), personality(2)."""
    instance = call.instance
    personality = yield HostCall(PERSONALITY_NR, ASK)
    fields = (
        b"Linux",
        instance.hostname,
        release_26(instance.release) if personality & UNAME26 else instance.release,
        instance.version,
        MACHINE_32 if personality & PER_MASK == PER_LINUX32 else MACHINE,
        instance.domainname,
    )
    call.write(0, b"".join(field[:UTS_NAME_MAX].ljust(UTS_FIELD_SIZE, b"\0") for field in fields))
    return 0


def release_26(release: bytes) -> bytes:
    """Return what a program is told that knows no Linux but 2.6: 6.18.44-x is 2.6.78-x."""
    numbers = release[: len(numeric_release(release.decode()))].split(b".")[:3]
    return b"2.6.%d%s" % (60 + int(numbers[1]), release[len(b".".join(numbers)) :])


def sys_sysinfo(call: Call) -> IntSteps:
    """Answer with the host's figures and the instance's number of tasks. Source: sysinfo(2)."""
    result = yield HostCall(SYSINFO_NR, call.data(0))
    if result < 0:
        return result
    info = bytearray(call.read(0)[: SIZES["sysinfo"]])
    tasks = 1 + sum(1 for _ in call.instance.tasks.slots())
    info[SYSINFO_PROCS_OFFSET : SYSINFO_PROCS_OFFSET + 2] = tasks.to_bytes(2, "little")
    call.write(0, bytes(info))
    return result


def sys_sethostname(call: Call) -> int:
    """Rename the instance; the host keeps its name. Source: sethostname(2)."""
    call.instance.hostname = _new_name(call)
    return 0


def sys_setdomainname(call: Call) -> int:
    """Set the instance's NIS domain name. Source: setdomainname(2)."""
    call.instance.domainname = _new_name(call)
    return 0


def _new_name(call: Call) -> bytes:
    """Return the name the caller may set. Errors: EPERM, not privileged; EINVAL, length."""
    require(call, CAP_SYS_ADMIN)
    size = call.args[1] & 0xFFFFFFFF
    if size > UTS_NAME_MAX:  # negative ones too
        raise OSError(errno.EINVAL, "length of a host name")
    return call.read(0)[:size].partition(b"\0")[0]
