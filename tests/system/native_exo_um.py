#!/usr/bin/env python3
"""A stand-in for exo-um that runs programs natively: it checks the tests, not exo-um.

EXO_UM=tests/system/native_exo_um.py pytest tests  must pass on any Linux; what fails then
is a test whose output varies by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

EXAMPLES = """examples:
  exo-um run /bin/busybox sh
  exo-um run --env LANG=C -- ls -l /
"""


def stop(status: int, message: str) -> NoReturn:
    """Leave with the one line that exo-um promises."""
    print(f"exo-um: {message}", file=sys.stderr)
    sys.exit(status)


def resolve(program: str) -> str:
    """The file that will run, by PATH as a shell would look it up."""
    if "/" in program:
        return program
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        candidate = Path(folder or ".") / program
        if program and candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    stop(127, f"{program}: command not found")


def check(path: str) -> None:
    """Refuse what exo-um cannot run, with its statuses."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        stop(127, f"{path}: no such file")
    except OSError as error:
        stop(126, f"{path}: {error.strerror}")
    if not os.access(path, os.X_OK):
        stop(126, f"{path}: permission denied")
    if head[:4] == b"\x7fELF" and (head[4:5] != b"\x02" or head[18:20] != b"\x3e\x00"):
        stop(126, f"{path}: exec format error: not an x86-64 ELF file")
    if head[:4] != b"\x7fELF" and head[:2] != b"#!":
        stop(126, f"{path}: exec format error: neither ELF nor #! script")


def main() -> None:
    """Parse `exo-um run`, run the program, pass its status on."""
    parser = argparse.ArgumentParser(
        "exo-um", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = parser.add_subparsers(required=True).add_parser(
        "run", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run.add_argument("--env", action="append", default=[])
    run.add_argument("--cwd")
    run.add_argument("--stats")
    run.add_argument("--no-patch", action="store_true")
    run.add_argument("--intercept")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        run.error("which program?")
    os.environ.update(pair.split("=", 1) for pair in options.env)
    if options.cwd:
        os.chdir(options.cwd)
    path = resolve(argv[0])
    check(path)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execv(path, argv)
        except OSError as error:
            print(f"exo-um: {path}: {error.strerror}", file=sys.stderr)
            os._exit(126)
    for inherited in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(inherited)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: os.kill(pid, received))
    _, status = os.waitpid(pid, 0)
    if options.stats:
        stats = {"calls": {"write": 1}, "sites": {}, "boot_us": 1}
        Path(options.stats).write_text(json.dumps(stats))
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
