"""The options of `exo-um trace`, and a parser of plain command lines that needs no import.

click takes longer to import than a small program to run under trace. It writes the help and the
messages of mistakes, from the same table: whatever parse() does not understand is left to it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    class Option(NamedTuple):
        """An option: its names, what it is called in the program, its kind, and its help.

        Kinds: flag; count, of how often it is given; text; number; texts and numbers, lists.
        """

        short: str
        long: str
        name: str
        kind: str
        help: str
        metavar: str | None = None
        default: Any = None
        choices: tuple[str, ...] = ()


SORTS = ("time", "time-percent", "total-time", "calls", "count", "errors", "error", "name",
         "syscall", "syscall-name", "avg-time", "nothing", "none")  # fmt: skip
FORMATS = ("strace", "json", "perfetto")
PLATFORMS = ("inproc", "ptrace")
ROWS: tuple[tuple[Any, ...], ...] = (
    ("f", "follow-forks", "follow", "count",
     "Follow children and threads; -ff with -o: a file for each."),
    ("e", "", "expressions", "texts",
     ("trace=SET, signal=SET, status=SET, inject=SET:..., fault=SET:..., quiet=SET, raw=SET, "
      "abbrev=SET, read=FDS, write=FDS; SET: names, %file %process %network %desc %signal "
      "%memory %ipc, !SET."), "EXPR"),
    ("c", "summary-only", "count", "flag", "Count calls, time and errors."),
    ("C", "summary", "both", "flag", "As -c, and write the calls, too."),
    ("S", "summary-sort-by", "sort", "text", "Sort by time, calls, errors, name or avg-time.",
     "KEY", "time", SORTS),
    ("U", "summary-columns", "columns_shown", "text",
     "Columns of -c: time-percent, total-time, avg-time, calls, errors, name.", "LIST"),
    ("w", "summary-wall-clock", "wall", "flag", "Times of -c are those of the wall: always."),
    ("t", "absolute-timestamps", "clock", "count",
     "The time of day; -tt with microseconds, -ttt since the epoch."),
    ("r", "relative-timestamps", "relative", "flag", "Time between calls."),
    ("T", "syscall-times", "spent", "flag", "Time spent in each call."),
    ("y", "decode-fds", "paths", "count", "What descriptors lead to."),
    ("k", "stack-traces", "stack", "flag", "Who made each call: a line for each function."),
    ("s", "string-limit", "limit", "number", "Write so much of a string (32).", "SIZE", 32),
    ("x", "", "hexadecimal", "count", "Strings with other than ASCII in hexadecimal; -xx: all."),
    ("n", "syscall-number", "number", "flag", "The number of each call."),
    ("i", "instruction-pointer", "pointer", "flag", "Where each call was made."),
    ("v", "no-abbrev", "verbose", "flag", "Write structs and lists whole."),
    ("a", "columns", "column", "number", "Where results stand (40).", "COLUMN", 40),
    ("o", "output", "path", "text", "Write there; |COMMAND: to its input.", "FILE"),
    ("A", "output-append-mode", "append", "flag", "Append to the file of -o."),
    ("q", "quiet", "quiet", "count", "Not who is attached; -qq: nor exits."),
    ("P", "trace-path", "only_paths", "texts", "Only calls that have to do with PATH.", "PATH"),
    ("z", "successful-only", "only_ok", "flag", "Only calls that succeed."),
    ("Z", "failed-only", "only_failed", "flag", "Only calls that fail."),
    ("E", "env", "env", "texts", "Set or unset a variable of the program's.", "NAME[=VALUE]"),
    ("u", "user", "user", "text", "Run as that user, as root alone can.", "NAME"),
    ("", "format", "format", "text", "strace's lines, JSON for each event, or for ui.perfetto.dev.",
     None, "strace", FORMATS),
    ("p", "attach", "pids", "numbers", "Attach to a running process.", "PID"),
    ("", "instance", "instance", "text",
     "Attach to a running instance: to all, or with -p to a process.", "ID"),
    ("", "platform", "platform", "text",
     ("Who watches: PROGRAM's own runtime in a new instance (default), or ptrace(2) "
      "on the host, as for -p without --instance."), None, "inproc", PLATFORMS),
    ("", "no-patch", "no_patch", "flag", "As exo-um run's."),
)  # fmt: skip
ABSENT: tuple[tuple[Any, ...], ...] = (
    ("b", "detach-on", "b", "text", "", "SYSCALL"),
    ("d", "debug", "d", "flag", ""),
    ("D", "daemonize", "D", "count", ""),
    ("I", "interruptible", "I", "text", "", "HOW"),
    ("O", "summary-syscall-overhead", "O", "text", "", "OVERHEAD"),
    ("X", "const-print-style", "X", "text", "", "FORMAT"),
    ("Y", "decode-pids", "Y", "flag", ""),
    ("", "argv0", "argv0", "text", "", "NAME"),
    ("", "seccomp-bpf", "seccomp_bpf", "flag", ""),
    ("", "secontext", "secontext", "flag", ""),
)  # of strace's, but not of ours
EMPTY: dict[str, Any] = {"flag": False, "count": 0, "texts": (), "numbers": (), "text": None}


def option_of(row: tuple[Any, ...]) -> Option:
    """Return a row with all its fields."""
    filled: Any = (*row, *(None, None, ())[len(row) - 5 :])
    return _Option(*filled)  # type: ignore[return-value]


class _Option:
    """Option, without the import of typing."""

    __slots__ = ("choices", "default", "help", "kind", "long", "metavar", "name", "short")

    def __init__(self, *fields: Any) -> None:
        self.short, self.long, self.name, self.kind, self.help, *rest = fields
        self.metavar, self.default, self.choices = rest


MISSING: tuple[Option, ...] = tuple(option_of(row) for row in ABSENT)
OPTIONS: tuple[Option, ...] = tuple(option_of(row) for row in ROWS) + MISSING
BY_WORD: dict[str, Option] = {f"--{option.long}": option for option in OPTIONS if option.long} | {
    f"-{option.short}": option for option in OPTIONS if option.short
}


def defaults() -> dict[str, Any]:
    """Return the value of each option that is not given."""
    return {
        option.name: EMPTY[option.kind] if option.default is None else option.default
        for option in OPTIONS
    }


def parse(words: list[str]) -> tuple[tuple[str, ...], dict[str, Any]] | None:
    """Return the program with its arguments, and the options; None: let click have a look."""
    given = defaults()
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            taken = _take(given, name, value if equals else None, rest)
        else:
            taken = _take_letters(given, word, rest)
        if not taken:
            return None
    return tuple(rest), given


def _take_letters(given: dict[str, Any], word: str, rest: list[str]) -> bool:
    """Take a word of letters, of which the last may have a value."""
    for i in range(1, len(word)):
        option = BY_WORD.get(f"-{word[i]}")
        if option is None:
            return False
        if option.kind not in ("flag", "count"):
            return _take(given, f"-{word[i]}", word[i + 1 :] or None, rest)
        _take(given, f"-{word[i]}", None, rest)
    return True


def _take(given: dict[str, Any], name: str, value: str | None, rest: list[str]) -> bool:
    """Take an option; False: it is none, or its value is not what it should be."""
    option = BY_WORD.get(name)
    if option is None:
        return False
    if option.kind in ("flag", "count"):
        given[option.name] = True if option.kind == "flag" else given[option.name] + 1
        return value is None
    if value is None:
        if not rest:
            return False
        value = rest.pop(0)
    if option.choices and value not in option.choices:
        return False
    if option.kind in ("number", "numbers"):
        if not value.isascii() or not value.isdigit():
            return False
        number = int(value)
        given[option.name] = number if option.kind == "number" else (*given[option.name], number)
    else:
        given[option.name] = value if option.kind == "text" else (*given[option.name], value)
    return True
