"""struct termios as strace abbreviates it."""

from __future__ import annotations

import struct

_IFLAG = ("IGNBRK", "BRKINT", "IGNPAR", "PARMRK", "INPCK", "ISTRIP", "INLCR", "IGNCR", "ICRNL",
          "IUCLC", "IXON", "IXANY", "IXOFF", "IMAXBEL", "IUTF8")  # fmt: skip
_OFLAG = {1: "OPOST", 2: "OLCUC", 4: "ONLCR", 8: "OCRNL", 16: "ONOCR", 32: "ONLRET", 64: "OFILL",
          128: "OFDEL"}  # fmt: skip
_DELAYS = (("NL", 0x100, 8), ("CR", 0x600, 9), ("TAB", 0x1800, 11), ("BS", 0x2000, 13),
           ("VT", 0x4000, 14), ("FF", 0x8000, 15))  # fmt: skip
_CFLAG = {0x40: "CSTOPB", 0x80: "CREAD", 0x100: "PARENB", 0x200: "PARODD", 0x400: "HUPCL",
          0x800: "CLOCAL", 0x40000000: "CMSPAR", 0x80000000: "CRTSCTS"}  # fmt: skip
_LFLAG = ("ISIG", "ICANON", "XCASE", "ECHO", "ECHOE", "ECHOK", "ECHONL", "NOFLSH", "TOSTOP",
          "ECHOCTL", "ECHOPRT", "ECHOKE", "FLUSHO", "", "PENDIN", "IEXTEN", "EXTPROC")  # fmt: skip
_SPEEDS = ("B0", "B50", "B75", "B110", "B134", "B150", "B200", "B300", "B600", "B1200", "B1800",
           "B2400", "B4800", "B9600", "B19200", "B38400")  # fmt: skip
_FAST = ("B57600", "B115200", "B230400", "B460800", "B500000", "B576000", "B921600", "B1000000",
         "B1152000", "B1500000", "B2000000", "B2500000", "B3000000", "B3500000",
         "B4000000")  # fmt: skip


def _names(names: tuple[str, ...], value: int) -> str:
    shown = [name for i, name in enumerate(names) if value >> i & 1 and name]
    return "|".join(shown) or "0"


def _output(value: int) -> str:
    delays = [f"{name}{(value & mask) >> shift}" for name, mask, shift in _DELAYS]
    return "|".join(delays + [name for bit, name in _OFLAG.items() if value & bit])


def _control(value: int) -> str:
    speed = value & 0x100F
    name = _FAST[(speed & 0xF) - 1] if speed & 0x1000 else _SPEEDS[speed]
    shown = [
        name,
        f"CS{5 + (value >> 4 & 3)}",
        *(text for bit, text in _CFLAG.items() if value & bit),
    ]
    return "|".join(shown)


def termios_text(data: bytes) -> str:
    """Return a struct termios: its four words of flags."""
    words = struct.unpack_from("<4I", data)
    return (
        f"{{c_iflag={_names(_IFLAG, words[0])}, c_oflag={_output(words[1])}, "
        f"c_cflag={_control(words[2])}, c_lflag={_names(_LFLAG, words[3])}, ...}}"
    )
