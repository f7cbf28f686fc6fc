"""Writes the C source of exo_um.bindings._native, from the C headers themselves.

Called by CMake: python build_cffi.py OUT.c [--abi native/include/exo/abi.h]. The declarations cffi
needs are what the preprocessor leaves of the headers, so no layout is written twice.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from pathlib import Path

from cffi import FFI

HOST = Path(__file__).resolve().parent
MODULE = "exo_um.bindings._native"
SHARED = (  # of include/exo, beside abi.h
    *("core", "ring", "ringset", "pool", "roster", "channel"),
    *("alloc", "sched", "switch", "fiber"),
)
LINE_MARKER = re.compile(r'# \d+ "(.*)"')
INTEGER_DEFINE = re.compile(r"#define (EXO_\w+)\s+\S")
INLINE_FUNCTION = re.compile(r"static inline [^;{]*\{.*?\n\}\n", re.DOTALL)


def preprocess(include: Path, headers: list[Path]) -> list[str]:
    """Return the lines that come from the headers themselves, #define lines kept."""
    names = {str(header) for header in headers}
    source = "".join(f'#include "{header}"\n' for header in headers)
    output = subprocess.run(
        [os.environ.get("CC", "cc"), "-E", "-dD", f"-I{include}", "-xc", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines: list[str] = []
    ours = False
    for line in output.splitlines():
        marker = LINE_MARKER.match(line)
        if marker:
            ours = marker.group(1) in names
        elif ours:
            lines.append(line)
    return lines


def declarations(include: Path, headers: list[Path]) -> str:
    """Return what cffi's cdef understands: types, prototypes, and integer constants as `...`."""
    kept: list[str] = []
    for line in preprocess(include, headers):
        define = INTEGER_DEFINE.match(line)
        if define:
            kept.append(f"#define {define.group(1)} ...")
        elif not line.startswith("#"):
            kept.append(line)
    return INLINE_FUNCTION.sub("", "\n".join(kept) + "\n")


def main() -> None:
    """Write the module's C source."""
    parser = argparse.ArgumentParser(description="Write the C source of the cffi bindings.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--abi", type=Path, default=HOST.parent / "include" / "exo" / "abi.h")
    options = parser.parse_args()
    abi = options.abi.resolve()
    shared = [abi.with_name(f"{name}.h") for name in SHARED]
    headers = [abi, *shared, HOST / "host.h", HOST / "profile.h"]
    ffi = FFI()
    ffi.cdef(declarations(abi.parent.parent, headers))
    names = [f"exo/{name}.h" for name in SHARED] + ["host.h", "profile.h"]
    ffi.set_source(MODULE, "".join(f"#include <{name}>\n" for name in names))
    ffi.emit_c_code(str(options.out))
    options.out.touch()  # cffi leaves an unchanged file alone, make would come back for ever


if __name__ == "__main__":
    main()
