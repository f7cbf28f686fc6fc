"""A program with all that its loader brings along, and which of them a name means."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from posix_x.analyze.image import Image, ImageError, load

FOLDERS = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
)
MUSL_FOLDERS = (
    "/lib/x86_64-linux-musl",
    "/usr/lib/x86_64-linux-musl",
    "/lib",
    "/usr/local/lib",
    "/usr/lib",
)
CONFIGURATION = Path("/etc/ld.so.conf.d")


@dataclass(slots=True)
class Program:
    """The program first, then its libraries in the order in which names are searched for."""

    images: list[Image]
    missing: list[str] = field(default_factory=list)
    loader: Image | None = None

    def find(self, name: str) -> tuple[Image, int] | None:
        """Return the first image that exports a name, and where."""
        for image in self.images:
            if name in image.exports:
                return image, image.exports[name]
        return None


def gather(path: str) -> Program:
    """Load a program and its libraries. Errors: ImageError, OSError for the program itself."""
    main = load(path)
    program = Program([main])
    musl = main.interp is not None and "musl" in main.interp
    if main.interp is not None:
        program.loader = _load_or_miss(main.interp, program)
    known = {main.soname or os.path.basename(path)}  # noqa: PTH119 - a string
    for image in program.images:  # grows: breadth first, as the loader does
        for name in image.needed:
            if name not in known:
                known.add(name)
                _add(name, image, program, musl)
    if program.loader and program.loader not in program.images:
        program.images.append(program.loader)
    return program


def _add(name: str, by: Image, program: Program, musl: bool) -> None:
    loader = program.loader
    if loader and (
        name == os.path.basename(loader.path)  # noqa: PTH119 - strings
        or name == loader.soname
        or (musl and name.startswith("libc."))
    ):
        program.images.append(loader)
        return
    path = _search(name, by, program.images[0], musl)
    image = _load_or_miss(path, program) if path else None
    if path is None:
        program.missing.append(name)
    if image is not None:
        program.images.append(image)


def _load_or_miss(path: str, program: Program) -> Image | None:
    try:
        return load(path)
    except (OSError, ImageError):
        program.missing.append(path)
        return None


def _search(name: str, by: Image, main: Image, musl: bool) -> str | None:
    """Return the path of a needed library, as the loader would find it."""
    if "/" in name:
        return name
    own: list[str] = []
    for image in (by, main):
        origin = os.path.dirname(os.path.realpath(image.path))  # noqa: PTH120 - strings
        own += [
            folder.replace("$ORIGIN", origin).replace("${ORIGIN}", origin)
            for folder in image.search
        ]
    for folder in (*own, *(MUSL_FOLDERS if musl else (*_configured(), *FOLDERS))):
        candidate = f"{folder}/{name}"
        if _is_ours(candidate):
            return candidate
    return None


def _configured() -> list[str]:
    """Return the folders that the loader's configuration names."""
    folders: list[str] = []
    for file in sorted(CONFIGURATION.glob("*.conf")) if CONFIGURATION.is_dir() else ():
        for line in file.read_text(errors="replace").splitlines():
            folders += [line.strip()] if line.startswith("/") else []
    return folders


def _is_ours(path: str) -> bool:
    """Whether a file is an x86-64 ELF file: other architectures' have the same names."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a string
            head = file.read(20)
    except OSError:
        return False
    return head[:5] == b"\x7fELF\x02" and head[18:20] == b"\x3e\0"
