"""ioctl(2): requests by name, and what some of them take or give."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, hexadecimal
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View


TERMIOS = ("TCGETS", "TCSETS", "TCSETSW", "TCSETSF")
INTEGERS = {"FIONREAD", "FIONBIO", "FIOASYNC", "TIOCGPGRP", "TIOCSPGRP", "TIOCGSID", "TIOCGPTN",
            "TIOCSPTLCK", "TIOCOUTQ", "SIOCOUTQ", "SIOCATMARK", "TIOCGETD", "TIOCSETD", "SIOCGPGRP",
            "SIOCSPGRP", "FIOGETOWN", "FIOSETOWN", "TIOCGEXCL", "TIOCGPTLCK"}  # fmt: skip
READS = {"FIONREAD", "TCGETS", "TIOCGWINSZ", "TIOCGPGRP", "TIOCGSID", "TIOCGPTN", "SIOCOUTQ",
         "SIOCATMARK", "TIOCGETD", "SIOCGPGRP", "FIOGETOWN", "TIOCGEXCL", "TIOCGPTLCK"}  # fmt: skip
NO_ARGUMENT = {"FIOCLEX", "FIONCLEX", "TIOCNOTTY", "TIOCEXCL", "TIOCNXCL", "TIOCSBRK", "TIOCCBRK"}


def ioctl_name(command: int) -> str:
    """Return a request's name, or its parts as _IOC takes them."""
    name = SETS["ioctl_cmd"][2].get(command)
    if name is not None:
        return str(name)
    ways = {0: "_IOC_NONE", 1: "_IOC_WRITE", 2: "_IOC_READ", 3: "_IOC_READ|_IOC_WRITE"}
    kind, code, size = command >> 8 & 0xFF, command & 0xFF, command >> 16 & 0x3FFF
    numbers = ", ".join(map(hexadecimal, (kind, code, size)))
    return f"_IOC({ways[command >> 30]}, {numbers})"


@special("ioctl")
def _ioctl(view: View) -> Iterator[str]:
    name = ioctl_name(view.u32(1))
    yield view.fd(view.i32(0))
    yield name
    at = view.args[2]
    if name in NO_ARGUMENT:
        return
    reads = name in READS
    if reads:
        yield LATE
    memory = view.after if reads else view.before
    if reads and view.failed:
        yield address(at)
    elif name in INTEGERS:
        data = memory.peek(at, 4)
        yield f"[{int.from_bytes(data, 'little', signed=True)}]" if len(data) == 4 else address(at)
    elif name in ("TIOCGWINSZ", "TIOCSWINSZ"):
        data = memory.peek(at, 8)
        words = ("ws_row", "ws_col", "ws_xpixel", "ws_ypixel")
        pairs = zip(words, struct.unpack("<4H", data.ljust(8, b"\0")), strict=True)
        yield "{" + ", ".join(f"{k}={v}" for k, v in pairs) + "}" if len(data) == 8 else address(at)
    elif name in TERMIOS:
        from posix_x.decode.terminals import termios_text

        data = memory.peek(at, 36)
        yield termios_text(data) if len(data) == 36 else address(at)
    else:
        yield hexadecimal(at) if at else "NULL" if view.u32(1) >> 30 else "0"
