"""How a command ends that could not write: quietly where nobody reads, else with a line."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EPIPE_STATUS = 141  # as of who was killed by SIGPIPE


def answered(program: str, answer: Callable[[], int]) -> int:
    """Return an answer's exit status once all that it has printed is written."""
    try:
        if sys.stdout is not None:
            sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        status = answer()
        flush()
    except OSError as error:
        return failed(program, error)
    return status


def flush() -> None:
    """Write what has been printed. Errors: OSError."""
    for file in (sys.stdout, sys.stderr):
        if file is not None:
            file.flush()


def failed(program: str, error: OSError) -> int:
    """Say why nothing more can be written; return an exit status."""
    for file, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if file is not None:
                file.flush()
        except OSError:  # the interpreter would try again, and tell, at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
    if isinstance(error, BrokenPipeError):
        return EPIPE_STATUS
    os.write(2, f"{program}: {line(error)}\n".encode(errors="surrogateescape"))
    return 1


def line(error: OSError, name: str = "") -> str:
    """Return what an error says: "FILE: no such file or directory"."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else name
    text = (error.strerror or str(error)).lower()
    return f"{what}: {text}" if what else text
