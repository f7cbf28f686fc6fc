"""How strace writes strings, numbers and sets: quotes and escapes, hexadecimal, names and bits."""

from __future__ import annotations

from posix_x.table.rows import SETS

_NAMED = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_PLAIN = [
    _NAMED.get(code) or (chr(code) if 32 <= code < 127 else f"\\{code:o}") for code in range(256)
]
_DIGITS = frozenset(b"01234567")


def escaped(data: bytes) -> str:
    """Return bytes as in a C string; octal escapes are as short as what follows allows."""
    if data.isascii() and data.decode().isprintable() and b'"' not in data and b"\\" not in data:
        return data.decode()
    parts: list[str] = []
    last = len(data) - 1
    for i, code in enumerate(data):
        text = _PLAIN[code]
        if text[0] == "\\" and text[1:].isdigit() and i < last and data[i + 1] in _DIGITS:
            text = f"\\{code:03o}"
        parts.append(text)
    return "".join(parts)


_hexadecimal = [0]


def hexadecimal_strings(how: int | None = None) -> int:
    """Have strings written in hexadecimal: 1, those with other than ASCII; 2, all. Return how."""
    if how is not None:
        _hexadecimal[0] = how
    return _hexadecimal[0]


def _is_hexadecimal(data: bytes) -> bool:
    if _hexadecimal[0] != 1:
        return _hexadecimal[0] > 1
    return any(not (32 <= code < 127 or 9 <= code <= 13) for code in data)


def quoted(data: bytes, limit: int) -> str:
    """Return bytes in quotes, with dots behind them if there are more than limit."""
    if _hexadecimal[0] and _is_hexadecimal(data[:limit]):
        return quoted_hex(data, limit)
    return f'"{escaped(data[:limit])}"' + ("..." if len(data) > limit else "")


def quoted_hex(data: bytes, limit: int) -> str:
    """Return bytes in quotes, each as two hexadecimal digits."""
    text = "".join(f"\\x{code:02x}" for code in data[:limit])
    return f'"{text}"' + ("..." if len(data) > limit else "")


def address(value: int) -> str:
    """Return an address: NULL or hexadecimal."""
    return f"{value:#x}" if value else "NULL"


def hexadecimal(value: int) -> str:
    """Return a number in hexadecimal; 0 as it is."""
    return f"{value:#x}" if value else "0"


def octal(value: int) -> str:
    """Return permissions: at least three digits, the first a 0."""
    return f"0{value:03o}" if value > 0o77 else f"{value:03o}"


def signed(value: int, size: int) -> int:
    """Return a number of size bytes as a signed one."""
    bits = size * 8
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


ORDERS = {  # of names, where strace's is not that of the bits
    "msync_flags": ("MS_SYNC", "MS_ASYNC", "MS_INVALIDATE"),
    "wait_options": ("WNOHANG", "WEXITED", "WSTOPPED", "WCONTINUED", "WNOWAIT", "__WCLONE",
                     "__WALL", "__WNOTHREAD"),
    "eventfd_flags": ("EFD_SEMAPHORE", "EFD_CLOEXEC", "EFD_NONBLOCK"),
    "signalfd_flags": ("SFD_CLOEXEC", "SFD_NONBLOCK"),
    "unshare_flags": ("CLONE_NEWTIME", "CLONE_VM", "CLONE_FS", "CLONE_FILES", "CLONE_SIGHAND",
                      "CLONE_THREAD", "CLONE_NEWNS"),
}  # fmt: skip
PREFIXES = {  # of comments, where it is not what the names share
    "access_mode": "?_OK", "msg_flags": "MSG_???", "at_plain": "AT_???", "mpol_flags": "MPOL_???",
    "get_mempolicy_flags": "MPOL_???", "socket_level": "SOL_??", "unshare_flags": "CLONE_???",
    "setns_flags": "CLONE_NEW???", "securebits": "SECBIT_???", "kexec_file_flags": "KEXEC_FILE_???",
    "pr_mce_kill_policy": "PR_MCE_KILL_???", "module_flags": "MODULE_INIT_???",
    "pid_type": "PIDTYPE_???", "pr_set_vma": "PR_SET_VMA_???",
    "shm_cmd": "SHM_???", "msg_cmd": "MSG_???", "sem_cmd": "SEM_???", "msg_copy_flags": "MSG_???",
    "sem_flags": "SEM_???", "seccomp_op": "SECCOMP_SET_MODE_???", "mount_flags": "MS_???",
    "futex_waiter_flags": "FUTEX_???", "xfs_quota_cmd": "Q_???", "lease_type": "F_???",
    "quota_format": "QFMT_VFS_???",
    "userfaultfd_flags": "UFFD_???", "pkey_rights": "PKEY_???",
    "landlock_rule": "LANDLOCK_RULE_???",
}  # fmt: skip


def prefix_of(name: str) -> str:
    """Return what strace's comments have for a set: the prefix that its names share, and dots."""
    return PREFIXES.get(name) or _shared_prefix(name) + "???"


def _shared_prefix(name: str) -> str:
    names = list(SETS[name][2].values())
    first, last = min(names), max(names)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[: first.rfind("_", 0, same) + 1] or ""


def named(name: str, value: int) -> str:
    """Return one of a set's values by its name, or in hexadecimal with a comment."""
    label: str | None = SETS[name][2].get(value)
    if label is not None:
        return label
    return f"{hexadecimal(value & 0xFFFFFFFFFFFFFFFF)} /* {prefix_of(name)} */"


def flags(name: str, value: int, zero: str = "0") -> str:
    """Return bits by their names, what is left over in hexadecimal."""
    kind: str
    mask: int
    values: dict[int, str]
    kind, mask, values = SETS[name]
    if kind == "enum":
        return named(name, value)
    if not mask and value in values:
        return values[value]
    parts: list[tuple[int, str]] = []
    if mask and (value & mask) in values:
        parts.append((0, values[value & mask]))
        value &= ~mask
    elif not value:
        return zero
    for bits in sorted(values, key=int.bit_count, reverse=True):
        if bits > 0 and not (mask and not bits & ~mask) and value & bits == bits:
            parts.append((bits & -bits, values[bits]))
            value &= ~bits
    if not parts:
        return f"{value:#x} /* {prefix_of(name)} */"
    if value:
        parts.append((1 << 64, f"{value:#x}"))
    order = ORDERS.get(name)
    if order is not None:
        parts = [(order.index(t) if t in order else len(order) + bit, t) for bit, t in parts]
    return "|".join(label for _, label in sorted(parts))
