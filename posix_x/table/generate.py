"""Makes the C table, rows.py and docs/syscalls.md from syscalls.toml and types.toml.

CMake runs this file as a script before anything is installed, so it needs the standard library
only and finds its neighbours itself.
"""

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if not __package__:
    # A script's first path entry is its own folder, whose names must not hide other modules.
    sys.path[0] = str(ROOT)

from posix_x.table import emit_c, emit_docs, emit_python, schema  # noqa: E402

HEADERS = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm/unistd_64.h"),
)
EXAMPLES = """\
examples:
  python -m posix_x.table.generate --check
  python -m posix_x.table.generate --c build/syscalls_gen.c --python posix_x/table/rows.py
  python posix_x/table/generate.py --docs docs/syscalls.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files that argv asks for; return 1, and say why, if the tables are faulty."""
    options = _parse(argv)
    try:
        types = schema.load_types()
        calls = schema.load_calls(types)
    except schema.SchemaError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    faults = list(schema.problems(calls, types))
    if options.check:
        faults += _check_header(calls, options.header)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        return 1
    if options.c:
        _write(options.c, emit_c.c_source(calls))
    if options.python:
        _write(options.python, emit_python.python_source(calls, types))
    if options.docs:
        sources = emit_docs.Sources(ROOT, options.native_dir, options.handlers_dir)
        _write(options.docs, emit_docs.docs_source(calls, errno.errorcode, sources))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="generate",
        description="Make the C table, the Python module and the page about system calls.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--c", type=Path, metavar="FILE", help="write the C table")
    parser.add_argument("--python", type=Path, metavar="FILE", help="write rows.py")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write syscalls.md")
    parser.add_argument(
        "--handlers-dir",
        type=Path,
        metavar="DIR",
        default=ROOT / "posix_x" / "syscalls",
        help="Python handlers, searched for --docs (default: %(default)s)",
    )
    parser.add_argument(
        "--native-dir",
        type=Path,
        metavar="DIR",
        default=ROOT / "native",
        help="C handlers, searched for --docs (default: %(default)s)",
    )
    parser.add_argument(
        "--check", action="store_true", help="compare numbers and names with Linux's header too"
    )
    parser.add_argument(
        "--header",
        type=Path,
        metavar="FILE",
        default=next(filter(Path.exists, HEADERS), None),
        help="unistd_64.h for --check (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    if not (options.c or options.python or options.docs or options.check):
        parser.error("nothing to do: give --c, --python, --docs or --check")
    return options


def _check_header(calls: list[schema.Call], header: Path | None) -> list[str]:
    if header is None:
        return ["no unistd_64.h to compare with; give --header"]
    try:
        return list(schema.header_problems(calls, header))
    except OSError as problem:
        return [str(problem)]


def _write(path: Path, text: str) -> None:
    """Write text, keeping the file and its time if nothing changed."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
