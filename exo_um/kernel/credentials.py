"""What a caller may do: its capabilities, which its host task holds for it."""

from __future__ import annotations

import errno

from exo_um.kernel.hostproc import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Call

CAP_SYS_ADMIN = 21


def capable(host_tid: int, capability: int) -> bool:
    """Whether a host task has a capability in its effective set. Source: capabilities(7)."""
    for line in read_file(f"/proc/{host_tid}/status").splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def require(call: Call, capability: int) -> None:
    """Let only callers with a capability go on. Errors: EPERM."""
    if not capable(call.instance.tasks.host_tid(call.slot), capability):
        raise OSError(errno.EPERM, f"capability {capability}")
