"""The `exo-cc` command: a C compiler's driver, whose programs enter the runtime by themselves.

Takes all options of the compiler; what it adds is the native API (exo/api.h, libexo.a), and, when
it links a program, native/direct/start.S and stubs for its system-call sites (direct.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from exo_um.cli.ccwords import VARIABLE, script
from exo_um.cli.output import answered

USAGE = "usage: exo-cc [OPTION OF THE COMPILER]... FILE..."
HELP = f"""{USAGE}

Compile and link C programs for exo-um; they run on plain Linux, too. On exo-um their system calls
enter the runtime directly, without trap or patch. All options are the compiler's, but for

  --exo-cc=PROGRAM   the compiler: gcc (default), clang, ... (or EXO_CC)
  --exo-libc=NAME    glibc (default) or musl, by musl-gcc (or EXO_LIBC)
  --exo-dynamic      link dynamically: then only sites in the program itself enter directly, those
                     in libc.so are patched as in any other program (or EXO_DYNAMIC=1).
                     Without it programs are linked with -static, or, where that fails, since
                     a library is there as lib*.so only, dynamically
  --exo-verbose      say how many sites there are, and which are left as they are
  -h, --help         print this

#include <exo/api.h> has the native API: channels, pipes, shared memory, spawn, batched writes.
Exit status: the compiler's; 1 if its program cannot be rewritten; 127 without a compiler.

Examples:
  exo-cc -O2 -o server server.c
  exo-cc --exo-libc=musl -o tiny tiny.c
  make CC=exo-cc

Completion: eval "$(_EXO_CC_COMPLETE=bash_source exo-cc)", or zsh_source, or fish_source.
"""
NATIVE = Path(__file__).parent.parent / "_native"
INCLUDE = NATIVE / "include"
START = NATIVE / "direct" / "start.S"
LIBRARY = NATIVE / "libexo.a"
NO_LINK = frozenset({"-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", "--version", "-v", "-###"})
NO_PROGRAM = frozenset({"-shared", "-r", "-nostdlib", "-nostartfiles"})
OWN_LINKING = frozenset({"-static", "-static-pie", "-dynamic", "-rdynamic"})
WITH_VALUE = frozenset(
    {
        "-o",
        "-I",
        "-L",
        "-l",
        "-x",
        "-include",
        "-isystem",
        "-MF",
        "-MT",
        "-MQ",
        "-D",
        "-U",
        "-T",
        "-u",
        "-z",
        "-Xlinker",
        "-idirafter",
        "-iquote",
    }
)
SPACE = 1 << 14  # bytes for stubs, at first


def fail(status: int, message: str) -> NoReturn:
    """Leave with one line on stderr."""
    print(f"exo-cc: {message}", file=sys.stderr)
    raise SystemExit(status)


class Options:
    """The command line: what is exo-cc's own, and what the compiler gets."""

    def __init__(self, argv: list[str]) -> None:
        self.compiler = os.environ.get("EXO_CC", "gcc")
        self.libc = os.environ.get("EXO_LIBC", "glibc")
        self.dynamic = os.environ.get("EXO_DYNAMIC", "") not in ("", "0")
        self.verbose = False
        self.rest: list[str] = []
        for word in argv:
            self._take(word)
        if self.libc not in ("glibc", "musl"):
            fail(2, f"--exo-libc={self.libc}: glibc or musl")
        if self.libc == "musl":
            self.compiler = "musl-gcc"

    def _take(self, word: str) -> None:
        name, _, value = word.partition("=")
        if name == "--exo-cc":
            self.compiler = value
        elif name == "--exo-libc":
            self.libc = value
        elif word == "--exo-dynamic":
            self.dynamic = True
        elif word == "--exo-verbose":
            self.verbose = True
        elif name.startswith("--exo-"):
            fail(2, f"no such option: {word}; try exo-cc --help")
        else:
            self.rest.append(word)

    def inputs(self) -> list[str]:
        """Return the files on the command line."""
        files, previous = [], ""
        for word in self.rest:
            if (not word.startswith("-") or word == "-") and previous not in WITH_VALUE:
                files.append(word)
            previous = word
        return files

    def links_program(self) -> bool:
        """Whether the compiler is to link, and a program."""
        return bool(self.inputs()) and not (NO_LINK | NO_PROGRAM).intersection(self.rest)

    def output(self) -> str:
        """Return the linked program's path."""
        output = "a.out"
        for word, following in zip(self.rest, [*self.rest[1:], ""], strict=True):
            if word == "-o":
                output = following
            elif word.startswith("-o") and len(word) > 2:
                output = word[2:]
        return output


def run(argv: list[str]) -> int:
    """Run the compiler and return its status."""
    try:
        return subprocess.run(argv, check=False).returncode
    except OSError as error:
        fail(127, f"{argv[0]}: {(error.strerror or str(error)).lower()}")


def run_quietly(argv: list[str]) -> bool:
    """Run the compiler; return whether it has succeeded. Else what it said is not shown."""
    try:
        done = subprocess.run(argv, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        fail(127, f"{argv[0]}: {(error.strerror or str(error)).lower()}")
    if done.returncode == 0:
        sys.stderr.buffer.write(done.stderr)
        sys.stderr.flush()
    return done.returncode == 0


def link(options: Options, command: list[str]) -> int:
    """Link a program and rewrite its sites; once more if the room for stubs was too small."""
    from exo_um.cli.direct import NoRoomError
    from exo_um.cli.direct import link as link_sites
    from posix_x.analyze.image import ImageError

    strip = "-s" in options.rest
    command = [word for word in command if word != "-s"]
    static = not options.dynamic and not OWN_LINKING.intersection(options.rest)
    space = SPACE
    with tempfile.TemporaryDirectory(prefix="exo-cc-") as folder:
        start = f"{folder}/start.o"
        while True:
            status = run(
                [
                    options.compiler,
                    "-c",
                    "-o",
                    start,
                    f"-DEXO_STUB_SPACE={space}",
                    f"-I{INCLUDE}",
                    str(START),
                ]
            )
            added = ["-xnone", start, str(LIBRARY), "-Wl,-e,exo_start"]
            if status == 0 and static:
                static = run_quietly([*command, *added, "-static"])
            if status == 0 and not static:
                status = run([*command, *added])
            if status != 0:
                return status
            try:
                done = link_sites(options.output())
                break
            except NoRoomError as error:
                space = int(error.args[0])
            except (ImageError, OSError, ValueError) as error:
                fail(1, str(error))
    if options.verbose:
        left = f"; left as they are: {', '.join(map(hex, done.left))}" if done.left else ""
        print(
            f"exo-cc: {done.sites - len(done.left)} of {done.sites} sites enter directly{left}",
            file=sys.stderr,
        )
    return run(["strip", options.output()]) if strip else 0


def main(argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's); return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    return answered("exo-cc", lambda: _answer(words))


def _answer(argv: list[str]) -> int:
    if argv in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    if VARIABLE in os.environ and not argv:
        print(script(os.environ[VARIABLE]), end="")
        return 0
    options = Options(argv)
    if not options.rest:
        fail(2, "no input files; try exo-cc --help")
    if shutil.which(options.compiler) is None:
        fail(127, f"{options.compiler}: not found")
    command = [options.compiler, *options.rest, "-idirafter", str(INCLUDE)]
    if options.links_program():
        return link(options, command)
    return run(command)
