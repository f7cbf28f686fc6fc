"""`exo-um run --platform preload`: becomes a program, with libexo_preload.so in it.

The program's own dynamic loader starts it; what cannot be preloaded is refused with one line.
"""

from __future__ import annotations

import os
import sys

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.cli.run import Options

PACKAGE = __file__.rpartition("/")[0].rpartition("/")[0]
LIBRARY = f"{PACKAGE}/_native/libexo_preload.so"
HEAD_SIZE = 4096
SCRIPT_DEPTH = 5
PT_INTERP = 3
MACHINE_X86_64 = 62
SIGPIPE, SIGXFSZ = 13, 25


def why_not(path: bytes) -> str | None:
    """Say why a program cannot be preloaded; None if it can. Errors: OSError, it cannot be read."""
    for _ in range(SCRIPT_DEPTH):
        if os.stat(path).st_mode & 0o6000:  # noqa: PTH116 - pathlib is slow to import
            return "the host's loader preloads nothing into a set-user-ID program"
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(fd, HEAD_SIZE, 0)
        finally:
            os.close(fd)
        if not head.startswith(b"#!"):
            return None if has_interpreter(head) else "a static program cannot be preloaded"
        words = head[2:].partition(b"\n")[0].split()
        if not words:
            return None  # the host says what is wrong with it
        path = words[0]
    return None


def has_interpreter(head: bytes) -> bool:
    """Whether an ELF file's head names a dynamic loader; what is no ELF file, the host judges."""
    if head[:5] != b"\x7fELF\x02" or int.from_bytes(head[18:20], "little") != MACHINE_X86_64:
        return True
    start = int.from_bytes(head[32:40], "little")
    size, count = (int.from_bytes(head[at : at + 2], "little") for at in (54, 56))
    entries = (head[start + i * size :][:4] for i in range(count))
    return any(int.from_bytes(entry, "little") == PT_INTERP for entry in entries)


def environment(options: Options, env: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the environment with what libexo_preload.so is to know; it takes that out again."""
    others = env.get(b"LD_PRELOAD", b"")
    env = {**env, b"LD_PRELOAD": os.fsencode(LIBRARY) + (b":" + others if others else b"")}
    env[b"EXO_PRELOAD"] = b"required"
    env[b"EXO_NET"] = options.net.encode()
    if not options.patch:
        env[b"EXO_PATCH"] = b"0"
    if options.stats:
        env[b"EXO_STATS"] = os.fsencode(options.stats)
    return env


def execute(options: Options, path: bytes, env: dict[bytes, bytes]) -> tuple[int, str]:
    """Become the program; if that fails, return the exit status and what is to be said."""
    try:
        reason = why_not(path)
        if reason is not None:
            return 126, f"{reason}; leave --platform preload out"
        restore_signals()
        argv = [os.fsencode(word) for word in options.argv]
        os.execve(path, argv, environment(options, env))  # noqa: S606 - no shell is wanted
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return 127 if missing else 126, (error.strerror or str(error)).lower()
    raise AssertionError("execve has returned")


def restore_signals() -> None:
    """Undo what Python's start has done to the signals that a program inherits."""
    ignored = int(sys._xoptions.get("ignored", "0"))  # noqa: SLF001 - from launcher/main.c
    for number in (SIGPIPE, SIGXFSZ):
        if not ignored >> (number - 1) & 1:
            lib.exo_host_signal_default(number)
