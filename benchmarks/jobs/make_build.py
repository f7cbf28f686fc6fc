"""A build: make, shells and compilers, two at a time."""

from benchmarks.job import CACHE, Job, find

PROJECT = CACHE / "project"
COUNT = 50
MAKEFILE = """\
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: program
program: $(OBJECTS)
\tgcc -o $@ $^
%.o: %.c common.h
\tgcc -O1 -c -o $@ $<
"""


def write_project() -> None:
    """Write a project of 50 C files, a header and a Makefile."""
    PROJECT.mkdir(parents=True, exist_ok=True)
    (PROJECT / "Makefile").write_text(MAKEFILE)
    names = "".join(f"int part_{n}(int);\n" for n in range(COUNT))
    (PROJECT / "common.h").write_text(f"#include <stdio.h>\n#include <string.h>\n{names}")
    calls = " + ".join(f"part_{n}({n})" for n in range(1, COUNT))
    for n in range(COUNT):
        body = f'#include "common.h"\nint part_{n}(int a) {{ return a * {n}; }}\n'
        main = f'int main(void) {{ printf("%d\\n", {calls}); return 0; }}\n' if n == 0 else ""
        (PROJECT / f"part{n}.c").write_text(body + main)


JOB = Job(
    title="make -B -j2 of 50 C files",
    unit="ms",
    better="less",
    command=lambda: [find("make"), "-s", "-B", "-j2", "-C", str(PROJECT)],
    source="wall",
    rounds=3,
    setup=write_project,
    must=1.2,
    aim=1.0,
)
