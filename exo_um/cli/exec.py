"""`exo-um exec`: one more program in a running instance."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from exo_um.cli.complete import Program, Running
from exo_um.cli.instances import Instance, find, is_stopped
from exo_um.cli.relay import Relay, shared_terminal
from exo_um.cli.run import DEFAULT_PATH, find_program, initial_environment, reason
from exo_um.kernel.control import STREAMS

# Python ignores these two for itself.
OURS_IGNORED = 1 << 12 | 1 << 24  # SIGPIPE, SIGXFSZ
EXAMPLES = """\b
Examples:
  exo-um exec build bash                     a shell, at this terminal
  exo-um exec build ps -ef                   what runs in build, as programs there see it
  exo-um exec -e LANG=C -w /tmp build sort names
  exo-um exec -d build httpd -p 8080         prints its pid and returns
"""


class Refusal(click.ClickException):
    """The program was not started; the exit status says why, as that of `run`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = status


@click.command(
    name="exec",
    short_help="run one more program in an instance",
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("instance", type=Running())
@click.argument("argv", metavar="PROGRAM [ARG]...", nargs=-1, required=True, type=Program())
@click.option("-e", "--env", "env", metavar="NAME=VALUE", multiple=True, help="Set a variable.")
@click.option("-w", "--cwd", "cwd", metavar="DIR", help="Start in DIR instead of here.")
@click.option("-d", "--detach", is_flag=True, help="Print its pid and return; no input, no output.")
def command(
    instance: str, argv: tuple[str, ...], env: tuple[str, ...], cwd: str | None, detach: bool
) -> int:
    """Run PROGRAM in INSTANCE, with this command's input, output, directory and environment.

    It is a child of pid 1, in a session of its own, and runs as the user that the instance runs
    as. At a terminal it gets a terminal of its own, which this one is connected to: Ctrl-C,
    Ctrl-Z and the window's size go to the program. Other signals that reach this command are
    passed on; should this command be killed, the program is hung up (SIGHUP).

    Exit status: the program's; 128 + N if signal N killed it; 127 if it was not found and 126 if
    it cannot be run; 1 if there is no such instance.
    """
    variables = environment(env)
    target = find(instance)
    if is_stopped(target.host_pid):  # our streams would lie there unread, and open
        raise Refusal(125, f"instance {instance} is stopped")
    enter(cwd)
    path = find_program(argv[0], variables.get(b"PATH", DEFAULT_PATH))
    if path is None:
        raise Refusal(127, f"{argv[0]}: command not found")
    words = [path, *map(os.fsencode, argv), *(k + b"=" + v for k, v in variables.items())]
    text = text_file(words)
    if detach:
        print(detached(target, text, len(argv)))
        return 0
    sys.stdout.flush()
    code = os.waitstatus_to_exitcode(attached(target, text, len(argv)))
    return code if code >= 0 else 128 - code


def environment(settings: tuple[str, ...]) -> dict[bytes, bytes]:
    """Return our own environment with variables set. Errors: UsageError, not NAME=VALUE."""
    variables = initial_environment()
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--env {setting}: not NAME=VALUE")
        variables[os.fsencode(name)] = os.fsencode(value)
    return variables


def enter(cwd: str | None) -> None:
    """Change to the program's directory. Errors: Refusal."""
    if cwd is None:
        return
    try:
        os.chdir(cwd)
    except OSError as error:
        raise Refusal(125, f"--cwd {cwd}: {reason(error)}") from error


def text_file(words: list[bytes]) -> int:
    """Return a memfd with words ended by NUL: more than a message has room for."""
    fd = os.memfd_create("exo-exec")
    with open(fd, "wb", closefd=False) as file:
        file.write(b"".join(word + b"\0" for word in words))
    return fd


def inherited_signals() -> tuple[int, int]:
    """Return the signals that our caller ignored and blocked, as bit masks."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return int(fields["SigIgn"], 16) & ~OURS_IGNORED, int(fields["SigBlk"], 16)


def join(
    target: Instance,
    text: int,
    argc: int,
    stdio: list[int | None],
    signals: tuple[int, int],
    *,
    terminal: bool = False,
    detach: bool = False,
) -> int:
    """Have the instance start a program; return its pid. Errors: Refusal.

    text holds its path, argc arguments and its environment; signals are those it is to find ignored
    and blocked.
    """
    directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    streams = zip(STREAMS, stdio, strict=True)
    fds = {"text": text, "directory": directory}
    fds |= {name: fd for name, fd in streams if fd is not None}
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "op": "join",
        "argc": argc,
        "fds": list(fds),
        "terminal": terminal,
        "detach": detach,
        "umask": umask,
        "ignored": signals[0],
        "blocked": signals[1],
    }
    try:
        answer, _ = target.ask(request, tuple(fds.values()))
    except OSError as error:
        raise Refusal(125, f"{target.name}: {reason(error)}") from error
    finally:
        os.close(directory)
        os.close(text)
    return int(answer["pid"])


def detached(target: Instance, text: int, argc: int) -> int:
    """Start a program without input and output; return its pid."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return join(target, text, argc, [nothing] * 3, inherited_signals(), detach=True)


def attached(target: Instance, text: int, argc: int) -> int:
    """Run a program on our own streams until it ends; return its wait status."""
    stdio = [fd if is_open(fd) else None for fd in range(3)]
    at_terminal = shared_terminal(stdio)
    signals = inherited_signals()  # before the relay blocks some
    relay = Relay(target.connection, at_terminal)
    for fd in at_terminal:
        stdio[fd] = relay.terminal
    join(target, text, argc, stdio, signals, terminal=bool(at_terminal))
    try:
        return relay.run()
    except EOFError:
        raise Refusal(125, f"instance {target.name} was killed") from None


def is_open(fd: int) -> bool:
    """Whether an fd is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
