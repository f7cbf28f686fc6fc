"""`exo-um run`: parses its options and runs a program in a new instance.

Has its own small parser: click and argparse would take longer than the whole boot.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

USAGE = "usage: exo-um run [OPTION]... [--] PROGRAM [ARG]..."
HELP = f"""{USAGE}

Run an unmodified x86-64 Linux program in an instance of its own. When it ends, so does the
instance, with the program's exit status.

  --env NAME=VALUE   set a variable of the program's environment (repeatable)
  --cwd DIR          start in DIR
  --name NAME        call the instance NAME, for exo-um ps, exec, kill and top
  --stats FILE       count system calls; write the counts to FILE as JSON at the end
  --platform WHERE   inproc: calls are intercepted by the guest's process itself (default);
                     ptrace: by another process, with PTRACE_SYSEMU; slow, patches nothing
                     preload: as inproc, in a dynamic program that the host itself starts, by
                     LD_PRELOAD; there is a kernel process only once one is needed
  --net WHOSE        exo: the instance has a loopback of its own (TCP, UDP); other addresses are the
                     host's (default); host: so is the loopback (default with preload)
  --placement HOW    none (default); advice: threads that keep waking each other are tried on one
                     CPU, and stay there if they get on faster
  --zero-copy WHETHER  on (default): pages that a program reads from one pipe and writes to
                     another as they are change hands without being copied; off
  --batch WHETHER    on (default): a reader of many small writes may let some come before it is
                     woken, while the writer goes on; off: it is woken at once
  --intercept HOW    how calls are caught before their sites are patched:
                     dispatch (Syscall User Dispatch, default) or seccomp
  --no-patch         leave every system-call site unpatched: slow, for comparison
  -v, --verbose      tell on stderr how the boot went
  -h, --help         print this

Exit status: the program's; 128 + N if signal N killed it; 127 if it was not found and 126 if it
cannot be run; 125 if exo-um itself failed, and 2 for a wrong command line.

Examples:
  exo-um run /bin/busybox sh
  exo-um run --env LANG=C -- ls -l /
  exo-um run --stats calls.json python3 -c 'print("hello")'
"""
CHOICES = {  # the first is the default
    "--batch": ("on", "off"),
    "--intercept": ("dispatch", "seccomp"),
    "--net": ("exo", "host"),
    "--placement": ("none", "advice"),
    "--platform": ("inproc", "ptrace", "preload"),
    "--zero-copy": ("on", "off"),
}
WITH_VALUE = ("--env", "--cwd", "--name", "--stats", *CHOICES)
DEFAULT_PATH = b"/bin:/usr/bin"  # execvp(3)'s, when the environment has no PATH


class UsageError(Exception):
    """The command line is wrong; says how."""


class Options:
    """The parsed command line of `exo-um run`."""

    __slots__ = (
        "argv",
        "batch",
        "cwd",
        "env",
        "help",
        "intercept",
        "name",
        "net",
        "patch",
        "placement",
        "platform",
        "stats",
        "verbose",
        "zero_copy",
    )

    def __init__(self) -> None:
        self.argv: list[str] = []
        self.batch = CHOICES["--batch"][0]
        self.cwd: str | None = None
        self.env: dict[bytes, bytes] = {}
        self.help = False
        self.intercept = CHOICES["--intercept"][0]
        self.name: str | None = None
        self.net = ""  # chosen by the platform
        self.patch = True
        self.placement = CHOICES["--placement"][0]
        self.platform = CHOICES["--platform"][0]
        self.stats: str | None = None
        self.verbose = False
        self.zero_copy = CHOICES["--zero-copy"][0]

    def set_value(self, name: str, value: str) -> None:
        """Take one of the options that have a value. Errors: UsageError."""
        if name == "--env":
            variable, equals, text = value.partition("=")
            if not variable or not equals:
                raise UsageError(f"--env {value}: not NAME=VALUE")
            self.env[os.fsencode(variable)] = os.fsencode(text)
        elif name in CHOICES:
            if value not in CHOICES[name]:
                raise UsageError(f"{name} {value}: not one of {', '.join(CHOICES[name])}")
            setattr(self, name.removeprefix("--").replace("-", "_"), value)
        elif name == "--cwd":
            self.cwd = value
        elif name == "--name":
            from exo_um.kernel.rundir import is_name

            if not is_name(value):
                raise UsageError(f"--name {value}: up to 32 letters, digits, dots, dashes")
            self.name = value
        else:
            self.stats = value

    def set_flag(self, name: str) -> None:
        """Take one of the options without a value. Errors: UsageError."""
        if name in ("-h", "--help"):
            self.help = True
        elif name in ("-v", "--verbose"):
            self.verbose = True
        elif name == "--no-patch":
            self.patch = False
        else:
            raise UsageError(f"no such option: {name}")


def parse(argv: list[str]) -> Options:
    """Parse the arguments after `run`: options up to the program's name. Errors: UsageError."""
    options = Options()
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name not in WITH_VALUE:
            options.set_flag(word)
        elif equals:
            options.set_value(name, value)
        elif rest:
            options.set_value(name, rest.pop(0))
        else:
            raise UsageError(f"{name} needs a value")
    options.argv = rest
    if not rest and not options.help:
        raise UsageError("which program?")
    options.net = options.net or ("host" if options.platform == "preload" else "exo")
    if options.platform == "preload":
        check_preload(options)
    return options


def check_preload(options: Options) -> None:
    """Refuse what needs a kernel process from the start. Errors: UsageError."""
    for name in ("name", "intercept", "placement"):
        default = CHOICES[f"--{name}"][0] if f"--{name}" in CHOICES else None
        if getattr(options, name) != default:
            raise UsageError(f"--{name} is not for --platform preload")


def initial_environment() -> dict[bytes, bytes]:
    """Return the environment that exo-um was started with.

    Not os.environ: an interpreter in the C locale sets LC_CTYPE there for itself.
    """
    with open("/proc/self/environ", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is slow to import
        pairs = (entry.partition(b"=") for entry in (file.readall() or b"").split(b"\0"))
        return {name: value for name, equals, value in pairs if equals}


def find_program(name: str, search: bytes) -> bytes | None:
    """Return the path to execute: a name with a slash as it is, others by the search path."""
    program = os.fsencode(name)
    if b"/" in program:
        return program
    for folder in search.split(b":") if program else ():
        candidate = (folder or b".") + b"/" + program
        if os.access(candidate, os.X_OK) and not is_directory(candidate):
            return candidate
    return None


def is_directory(path: bytes) -> bool:
    """Whether path names a directory."""
    return os.stat(path).st_mode & 0o170000 == 0o040000  # noqa: PTH116 - as above


def fail(status: int, message: str) -> NoReturn:
    """Leave at once with one line on stderr."""
    os.write(2, f"exo-um: {message}\n".encode(errors="surrogateescape"))
    os._exit(status)


def reason(error: OSError) -> str:
    """Return an OSError's message as the end of a line: "no such file or directory"."""
    return (error.strerror or str(error)).lower()


def check_stats(path: str) -> None:
    """End if a file cannot be written in the place of what is there; a device is itself written."""
    directory = path.rpartition("/")[0] or "/"
    if os.path.isdir(path):  # noqa: PTH112 - as above
        fail(125, f"--stats {path}: is a directory")
    exists = os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - as above
    if not os.access(path if exists else directory, os.W_OK):
        what = "not writable" if exists else "its directory is not there or not writable"
        fail(125, f"--stats {path}: {what}")


def enter(options: Options) -> None:
    """Change to --cwd, after the other paths of the command line were made absolute."""
    if options.stats:
        options.stats = os.path.abspath(options.stats)  # noqa: PTH100 - as above
        check_stats(options.stats)
    if options.cwd is None:
        return
    try:
        os.chdir(options.cwd)
    except OSError as error:
        fail(125, f"--cwd {options.cwd}: {reason(error)}")


def run(options: Options, started_ns: int) -> int:
    """Boot an instance, run the program, and return its status."""
    enter(options)
    env = initial_environment() | options.env
    name = options.argv[0]
    path = find_program(name, env.get(b"PATH", DEFAULT_PATH))
    if path is None:
        fail(127, f"{name}: command not found")

    if options.platform == "preload":
        from exo_um.cli.preload import execute

        status, reason_why = execute(options, path, env)
        fail(status, f"{name}: {reason_why}")

    from exo_um.boot import Boot, EntryError, Machine

    boot = Boot(path, [os.fsencode(word) for word in options.argv], env)
    boot.intercept, boot.patch, boot.name = options.intercept, options.patch, options.name
    boot.platform, boot.placement = options.platform, options.placement
    boot.net, boot.zero_copy, boot.batch = options.net, options.zero_copy, options.batch
    boot.stats, boot.verbose = options.stats is not None, options.verbose
    imported_ns = time.monotonic_ns()
    try:
        machine = Machine(boot)
    except EntryError as error:
        fail(125, str(error))
    except OSError as error:
        fail(125, f"cannot start {boot.loader}: {reason(error)}")
    status = machine.run()
    ended_ns = time.monotonic_ns()
    if options.verbose or options.stats:
        from exo_um.kernel import stats

        times = stats.Times(started_ns, imported_ns, ended_ns)
        report = stats.collect(machine.instance, times, status)
        if options.verbose:
            stats.tell(machine.instance, report)
        if options.stats:
            try:
                stats.write(options.stats, report)
            except OSError as error:
                fail(125, f"--stats {options.stats}: {reason(error)}")
    return status


def main(argv: list[str]) -> int:
    """Run `exo-um run` with the arguments after `run`; leaves the process when a guest has run."""
    started_ns = time.monotonic_ns()
    try:
        options = parse(argv)
    except UsageError as error:
        print(f"exo-um run: {error}; try exo-um run --help", file=sys.stderr)
        return 2
    if options.help:
        print(HELP, end="")
        return 0
    # No clean-up of an interpreter whose fds belong to the guest.
    os._exit(run(options, started_ns))
